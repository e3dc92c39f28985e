"""The optimizers that come with the bench."""

from __future__ import annotations

from optimizers.base import Capabilities
from optimizers.registry import Entry, register

register(
    Entry(
        name="random",
        summary="uniform random search",
        target="optimizers.random_search:RandomSearch",
        capabilities=Capabilities(batch=True),
        packages=("ConfigSpace",),
    )
)
