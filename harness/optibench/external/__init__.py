"""Optimizers and benchmarks in processes of their own, in any language or environment; docs/external.md."""

from optibench.external.definitions import External, ExternalError, load, parse
from optibench.external.registry import is_external, recall, record, register, registered

__all__ = ["External", "ExternalError", "is_external", "load", "parse", "recall", "record", "register", "registered"]
