"""Optimizers and benchmarks in processes of their own, in any language or environment; docs/external.md."""

from harness.external.definitions import (
    External,
    ExternalError,
    load,
    parse,
    recall,
    record,
    register,
    registered,
)

__all__ = ["External", "ExternalError", "load", "parse", "recall", "record", "register", "registered"]
