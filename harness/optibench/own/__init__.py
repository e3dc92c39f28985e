"""Optimizers and benchmarks that a Python call was given as objects: they reach workers, and no folder holds them."""

from optibench.own.given import Own, OwnEntry, OwnFamily, is_own

__all__ = ["Own", "OwnEntry", "OwnFamily", "is_own"]
