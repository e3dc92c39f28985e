"""The Python API; its names are in :mod:`optibench` (docs/api.md)."""
