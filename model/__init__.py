"""OptiFormer: a transformer that proposes configurations, usable with no harness around it.

Importing this package loads neither torch nor Optuna; the names below are resolved when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model.errors import ModelError

if TYPE_CHECKING:
    from model.inference import Policy
    from model.sampler import OptiFormerSampler
    from model.space import Space
    from model.tokenizer import Tokenizer, Vocabulary

__all__ = ["ModelError", "OptiFormerSampler", "Policy", "Space", "Tokenizer", "Vocabulary"]

_LAZY = {
    "OptiFormerSampler": "model.sampler",
    "Policy": "model.inference",
    "Space": "model.space",
    "Tokenizer": "model.tokenizer",
    "Vocabulary": "model.tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"model.{name} needs the package {error.name!r}, which is missing; run `pip install optiformer-bench`."
        ) from error
