"""One thread a worker: many small models in parallel beat one model on many threads, and timings stay comparable."""

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
    """One thread for BLAS and OpenMP in this process and the children it starts meanwhile; then as it was before."""
    before = dict(os.environ)  # all of it: some libraries set variables of their own when they are imported
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
    """Keep BLAS, OpenMP and torch to one thread, here and in children; to be called before they are imported."""
    for variable in VARIABLES:
        os.environ[variable] = "1"


def respect_quota() -> None:
    """Where a cgroup's quota is below the affinity, which is all that BLAS looks at, limit BLAS to the quota.

    To be called before BLAS is imported; what the user has set stays.
    """
    usable = cores.usable()
    if usable < cores.allowed():
        for variable in VARIABLES:
            os.environ.setdefault(variable, str(usable))
