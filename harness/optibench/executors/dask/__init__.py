"""Cells on the workers of a Dask scheduler; docs/how-to/dask.md.

The coordinator (:mod:`optibench.executors.dask.coordinator`) hands out cells and writes what comes back. On a worker, a
Dask task (:mod:`optibench.executors.dask.task`) has each cell run by a process beside it
(:mod:`optibench.executors.dask.cell_process`), under the same supervision as one of `processes`.
"""
