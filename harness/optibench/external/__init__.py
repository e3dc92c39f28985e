"""Optimizers and benchmarks in external processes, in any language or environment; docs/how-to/external.md."""

from optibench.external.definitions import External, load, parse, read, written
from optibench.external.registry import is_external, recall, record, register, registered

__all__ = ["External", "is_external", "load", "parse", "read", "recall", "record", "register", "registered", "written"]
