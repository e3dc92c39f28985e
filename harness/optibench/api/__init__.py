"""The Python API; its names are in :mod:`optibench` (docs/reference/python.md)."""
