"""OptiFormer: a transformer that proposes configurations, usable with no harness around it.

Importing this package loads neither torch nor Optuna; the names below are resolved when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError

if TYPE_CHECKING:
    from optiformer.sampler import OptiFormerSampler
    from optiformer.sequence.policy import Policy
    from optiformer.sequence.tokenizer import Tokenizer, Vocabulary
    from optiformer.space.space import Space

__all__ = ["ModelError", "OptiFormerSampler", "Policy", "Space", "Tokenizer", "Vocabulary"]

_LAZY = {
    "OptiFormerSampler": "optiformer.sampler",
    "Policy": "optiformer.sequence.policy",
    "Space": "optiformer.space.space",
    "Tokenizer": "optiformer.sequence.tokenizer",
    "Vocabulary": "optiformer.sequence.tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'optiformer' has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"optiformer.{name} needs the package {error.name!r}, which is missing; "
            "run `pip install 'optiformer[train]'`."
        ) from error
