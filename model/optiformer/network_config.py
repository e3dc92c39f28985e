"""Shape of the Llama backbone of both networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from optiformer.settings import Range, check, require

NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the Llama backbone.

    Attributes:
        hidden_size: Width.
        n_layers: Depth.
        n_heads: Attention heads.
        intermediate_size: Width of the feed-forward part.
        tie_query_key: Initialize W_k = W_q in every head, so that attention starts as a similarity kernel.
        copying_start: Initialize smooth number embeddings and three copying heads; see
            :mod:`optiformer.sequence.initialization`.
        tie_embeddings: Whether input and output embeddings are one table.
    """

    hidden_size: Annotated[int, Range(2, 2**16)] = 256
    n_layers: Annotated[int, Range(1, 1000)] = 6
    n_heads: Annotated[int, Range(1, 1024)] = 8
    intermediate_size: Annotated[int, Range(1, 2**20)] = 1024
    tie_query_key: bool = False
    copying_start: bool = False
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        check(self)
        require(
            self.hidden_size % (2 * self.n_heads) == 0,
            f"hidden_size must be an even multiple of n_heads, not {self.hidden_size} for {self.n_heads}.",
        )
        enough = self.n_layers >= 2 and self.n_heads >= 4 and self.hidden_size >= 16 * self.n_heads
        require(enough or not self.copying_start, "copying_start needs at least 2 layers and 4 heads of width 16.")

    def llama(self) -> dict[str, Any]:
        """The shape as arguments of ``transformers.LlamaConfig``."""
        return {
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_heads,
            "intermediate_size": self.intermediate_size,
            "rms_norm_eps": NORM_EPSILON,
        }


PRESETS: dict[str, NetworkConfig] = {
    "nano": NetworkConfig(256, 6, 8, 1024),
    "small": NetworkConfig(384, 8, 12, 1536),
    "base": NetworkConfig(512, 12, 16, 2048),
    "large": NetworkConfig(768, 16, 16, 3072),
    # What two CPU cores can train in about an hour.
    "pico": NetworkConfig(128, 4, 4, 384, tie_query_key=True, copying_start=True, tie_embeddings=True),
}
