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
        self._layers = [_layer(checkpoint.weights, f"backbone.layers.{i}.") for i in range(self.config.n_layers)]
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
        """Encode a history: positions and activity (1, n, S), squashed scores and failures (1, n).

        S may be smaller than the encoding's number of slots: the last ones are then absent.
        """
        hidden = self._embed(trial_features(self.encoding, kinds, position, active, score, failed))
        context = Context(kinds, score.shape[1], [], [])
        for index, layer in enumerate(self._layers):
            queries, keys, values = self._heads(hidden, layer)
            context.keys.append(keys)
            context.values.append(values)
            if index + 1 < len(self._layers):  # nobody reads the trials after the last layer's keys
                weights = torch.softmax(queries @ keys.transpose(1, 2) * self._scale, -1)
                hidden = self._finish(hidden, weights @ values, layer)
        return context

    @torch.inference_mode()
    def logits(self, context: Context, position: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Logits of candidates' scores, (m, bins), from positions and activity (1, m, S)."""
        features = candidate_features(self.encoding, context.kinds, position, active, context.n_trials)
        hidden = self._embed(features)
        for layer, keys, values in zip(self._layers, context.keys, context.values, strict=True):
            queries, own_key, own_value = self._heads(hidden, layer)
            seen = queries @ keys.transpose(1, 2)
            itself = (queries * own_key).sum(-1, keepdim=True)
            weights = torch.softmax(torch.cat([seen, itself], -1) * self._scale, -1)
            mixed = weights[..., :-1] @ values + weights[..., -1:] * own_value
            hidden = self._finish(hidden, mixed, layer)
        hidden = _norm(hidden, self._weights["backbone.norm.weight"])
        return hidden @ self._weights["head.weight"].T + self._weights["head.bias"]

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        """The first linear layer, without the slots that are not there: (1, m, width or less) to (m, hidden)."""
        weight, missing = self._weights["embed.weight"], self.encoding.width - features.shape[2]
        if missing:
            used = self.encoding.slots * self.encoding.slot_width - missing
            weight = torch.cat([weight[:, :used], weight[:, used + missing :]], 1)
        return torch.addmm(self._weights["embed.bias"], features[0], weight.T)

    def _heads(self, hidden: torch.Tensor, layer: _Layer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of the heads, (heads, m, width of a head) each."""
        projected = _norm(hidden, layer.first_norm) @ layer.attention
        queries, keys, values = projected.view(len(hidden), 3, self.config.n_heads, -1).permute(1, 2, 0, 3)
        return queries, keys, values

    def _finish(self, hidden: torch.Tensor, mixed: torch.Tensor, layer: _Layer) -> torch.Tensor:
        """The layer's output projection and feed-forward part, with both residuals."""
        hidden = torch.addmm(hidden, mixed.transpose(0, 1).reshape(len(hidden), -1), layer.output)
        gate, up = (_norm(hidden, layer.second_norm) @ layer.forward).chunk(2, 1)
        return torch.addmm(hidden, silu(gate) * up, layer.down)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weights, transposed, those with one input side by side."""

    first_norm: torch.Tensor
    attention: torch.Tensor
    output: torch.Tensor
    second_norm: torch.Tensor
    forward: torch.Tensor
    down: torch.Tensor


def _layer(weights: dict[str, torch.Tensor], prefix: str) -> _Layer:
    def joined(*names: str) -> torch.Tensor:
        return torch.cat([weights[f"{prefix}{name}_proj.weight"] for name in names]).T.contiguous()

    return _Layer(
        weights[f"{prefix}input_layernorm.weight"],
        joined("self_attn.q", "self_attn.k", "self_attn.v"),
        joined("self_attn.o"),
        weights[f"{prefix}post_attention_layernorm.weight"],
        joined("mlp.gate", "mlp.up"),
        joined("mlp.down"),
    )


def _norm(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + NORM_EPSILON) * weight
