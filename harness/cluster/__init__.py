"""Cells on the workers of a Dask scheduler; docs/dask.md.

The coordinator (:mod:`harness.cluster.coordinator`) hands out cells and writes what comes back. On a worker, a Dask
task (:mod:`harness.cluster.task`) has each cell run by a process beside it (:mod:`harness.cluster.station`), under the
same supervision as one of `processes`.
"""
