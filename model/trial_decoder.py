"""The trial-set network for inference: the context is encoded once and scores any number of candidates.

The same arithmetic as :class:`model.trial_network.TrialSetNetwork` (a test compares), without the tokens' mutual mask:
a candidate attends to the context's keys and to itself. Rotary embeddings at position 0 change nothing and are left
out. Imports torch only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import silu

from model.trial_checkpoint import TrialSetCheckpoint
from model.trial_features import SlotKinds, candidate_features, trial_features

NORM_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Context:
    """An encoded history.

    Attributes:
        kinds: The slots' kinds, batch of one.
        n_trials: Trials in it.
        keys: A layer each, (heads, n, width of a head).
        values: As the keys.
    """

    kinds: SlotKinds
    n_trials: int
    keys: list[torch.Tensor]
    values: list[torch.Tensor]


class TrialSetDecoder:
    """Scores candidates.

    Args:
        checkpoint: The trained network.
    """

    def __init__(self, checkpoint: TrialSetCheckpoint) -> None:
        self.encoding, self.config = checkpoint.encoding, checkpoint.config
        self._weights = checkpoint.weights
        self._layers = [
            {
                name.removeprefix(f"backbone.layers.{index}."): tensor
                for name, tensor in checkpoint.weights.items()
                if name.startswith(f"backbone.layers.{index}.")
            }
            for index in range(self.config.n_layers)
        ]
        self._scale = (self.config.hidden_size // self.config.n_heads) ** -0.5

    @torch.inference_mode()
    def encode(
        self,
        kinds: SlotKinds,
        position: torch.Tensor,
        active: torch.Tensor,
        score: torch.Tensor,
        failed: torch.Tensor,
    ) -> Context:
        """Encode a history: positions and activity (1, n, S), squashed scores and failures (1, n)."""
        hidden = self._embed(trial_features(self.encoding, kinds, position, active, score, failed))
        context = Context(kinds, score.shape[1], [], [])
        for index, layer in enumerate(self._layers):
            normed = _norm(hidden, layer["input_layernorm.weight"])
            keys, values = self._heads(normed, layer, "k"), self._heads(normed, layer, "v")
            context.keys.append(keys)
            context.values.append(values)
            if index + 1 < len(self._layers):  # nobody reads the trials after the last layer's keys
                queries = self._heads(normed, layer, "q")
                weights = torch.softmax(queries @ keys.transpose(1, 2) * self._scale, -1)
                hidden = self._finish(hidden, weights @ values, layer)
        return context

    @torch.inference_mode()
    def logits(self, context: Context, position: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Logits of candidates' scores, (m, bins), from positions and activity (1, m, S)."""
        features = candidate_features(self.encoding, context.kinds, position, active, context.n_trials)
        hidden = self._embed(features)
        for layer, keys, values in zip(self._layers, context.keys, context.values, strict=True):
            normed = _norm(hidden, layer["input_layernorm.weight"])
            queries, own_key, own_value = (self._heads(normed, layer, name) for name in "qkv")
            seen = queries @ keys.transpose(1, 2)
            itself = (queries * own_key).sum(-1, keepdim=True)
            weights = torch.softmax(torch.cat([seen, itself], -1) * self._scale, -1)
            mixed = weights[..., :-1] @ values + weights[..., -1:] * own_value
            hidden = self._finish(hidden, mixed, layer)
        hidden = _norm(hidden, self._weights["backbone.norm.weight"])
        return hidden @ self._weights["head.weight"].T + self._weights["head.bias"]

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        return features[0] @ self._weights["embed.weight"].T + self._weights["embed.bias"]

    def _heads(self, normed: torch.Tensor, layer: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        projected = normed @ layer[f"self_attn.{name}_proj.weight"].T
        return projected.view(len(normed), self.config.n_heads, -1).transpose(0, 1)

    def _finish(self, hidden: torch.Tensor, mixed: torch.Tensor, layer: dict[str, torch.Tensor]) -> torch.Tensor:
        """The layer's output projection and feed-forward part, with both residuals."""
        joined = mixed.transpose(0, 1).reshape(len(hidden), -1)
        hidden = hidden + joined @ layer["self_attn.o_proj.weight"].T
        normed = _norm(hidden, layer["post_attention_layernorm.weight"])
        gate, up = (normed @ layer[f"mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        return hidden + (silu(gate) * up) @ layer["mlp.down_proj.weight"].T


def _norm(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + NORM_EPSILON) * weight
