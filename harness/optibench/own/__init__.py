"""Optimizers and tasks passed to a Python call as objects: they are sent to workers, and no run folder stores them."""

from optibench.own.given import Own, OwnEntry, OwnFamily, is_own

__all__ = ["Own", "OwnEntry", "OwnFamily", "is_own"]
