"""One thread per worker: many small models in parallel beat one model on many threads, and times stay comparable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from optiformer import cores

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread in this process and its new children; restores the limits at the end."""
    before = dict(os.environ)  # all variables: some libraries set their own when they are imported
    import threadpoolctl

    limit()
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        for variable in os.environ.keys() - before.keys():
            del os.environ[variable]
        os.environ.update(before)


def limit() -> None:
    """Limit BLAS, OpenMP and torch to one thread, here and in children; call it before they are imported."""
    for variable in VARIABLES:
        os.environ[variable] = "1"


def respect_quota() -> None:
    """If a cgroup's quota is below the CPU affinity, limit BLAS to the quota, since BLAS only reads the affinity.

    Call it before BLAS is imported; variables that the user has set stay.
    """
    usable = cores.usable()
    if usable < cores.allowed():
        for variable in VARIABLES:
            os.environ.setdefault(variable, str(usable))
