"""Cells on the workers of a Dask scheduler; docs/how-to/dask.md.

The coordinator (:mod:`optibench.executors.dask.coordinator`) submits cells and writes their results. On a worker, a
Dask task (:mod:`optibench.executors.dask.task`) passes each cell to a separate process
(:mod:`optibench.executors.dask.cell_process`), which supervises it like the executor `processes`.
"""
