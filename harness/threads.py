"""One thread a worker: many small models in parallel beat one model on many threads, and timings stay comparable."""

from __future__ import annotations

import os

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
