"""The encodings by name.

There is one training loop. ``seq`` (named tokens, causal) is in :mod:`optiformer.training.sequence`, ``surrogate`` in
:mod:`optiformer.training.surrogate`; a new one is a class with the methods of
:class:`~optiformer.training.encoding.Encoding`, added to :data:`ENCODINGS`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from optiformer.training.config import RunConfig
from optiformer.training.encoding import Encoding

#: Module, class, and the function that wraps its network; imported on demand.
ENCODINGS = {
    "seq": ("optiformer.training.sequence", "SequenceEncoding", "sequence_loss"),
    "surrogate": ("optiformer.training.surrogate", "SurrogateEncoding", "unwrapped"),
}
#: Encodings trained on a dataset of trajectories; the others sample functions on the fly.
NEED_DATA = ("seq",)


def get(run: RunConfig, data: Path) -> tuple[Encoding, Any]:
    """The run's encoding, and the function that wraps its network into a module that returns losses."""
    module, cls, wrap = ENCODINGS[run.encoding]
    found = importlib.import_module(module)
    return getattr(found, cls)(run, data), getattr(found, wrap)
