"""One thread a worker: many small models in parallel beat one model on many threads, and timings stay comparable."""

from __future__ import annotations

import os

from model import cores

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def limit(threads: int = 1) -> None:
    """Limit BLAS, OpenMP and torch in this process and its children; to be called before they are imported."""
    for variable in VARIABLES:
        os.environ[variable] = str(threads)


def respect_quota() -> None:
    """Where a cgroup's quota is below the affinity, which is all that BLAS looks at, limit BLAS to the quota.

    To be called before BLAS is imported; what the user has set stays.
    """
    usable = cores.usable()
    if usable < cores.allowed():
        for variable in VARIABLES:
            os.environ.setdefault(variable, str(usable))
