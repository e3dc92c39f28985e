"""The trial-set network for inference: the context is encoded once and scores any number of candidates.

The same arithmetic as :class:`model.trial_network.TrialSetNetwork` (a test compares), without the tokens' mutual mask:
a candidate attends to the context's keys and to itself. Rotary embeddings at position 0 change nothing and are left
out. Where the CPU multiplies bf16 natively the layers' products are in bf16, as in training: three times as fast.
Imports torch only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import silu

from model.errors import ModelError
from model.kernel_heads import KernelHeads
from model.kernel_improvement import ProcessImprovement
from model.kernel_systems import Solved, coordinates
from model.plan import Array, likeness
from model.prediction import Prediction
from model.trial_checkpoint import TrialSetCheckpoint
from model.trial_features import SlotKinds, candidate_features, trial_features

NORM_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Context:
    """An encoded history.

    Attributes:
        kinds: The slots' kinds, batch of one.
        n_trials: Trials in it.
        keys: (layers, heads, n, width of a head).
        values: As the keys.
        solved: The kernel heads' systems, if there are any.
    """

    kinds: SlotKinds
    n_trials: int
    keys: torch.Tensor
    values: torch.Tensor
    solved: Solved | None = None

    @functools.cached_property
    def improvement(self) -> ProcessImprovement:
        """What one kernel head alone expects to gain.

        Raises:
            ModelError: The network has no kernel heads.
        """
        if self.solved is None:
            raise ModelError("This checkpoint has no kernel heads, and the acquisition gp-ei is of one of them.")
        return ProcessImprovement(self.kinds, self.solved)


class TrialSetDecoder:
    """Scores candidates.

    Args:
        checkpoint: The trained network.
        dtype: Of the layers' products; bf16 where the CPU has instructions for it unless told.

    Raises:
        ModelError: The network computes something else than the shipped one does.
    """

    def __init__(self, checkpoint: TrialSetCheckpoint, dtype: torch.dtype | None = None) -> None:
        checkpoint.encoding.variant.refuse_other_arithmetic()
        self.encoding, self.config = checkpoint.encoding, checkpoint.config
        self.dtype = dtype or (torch.bfloat16 if _has_bf16() else torch.float32)
        self._weights = {name: torch.as_tensor(array) for name, array in checkpoint.weights.items()}
        self._layers = [_layer(self._weights, f"backbone.layers.{i}.", self.dtype) for i in range(self.config.n_layers)]
        self._kernels = _kernels(checkpoint)
        self._scale = (self.config.hidden_size // self.config.n_heads) ** -0.5

    @torch.no_grad()
    def encode(
        self,
        kinds: SlotKinds,
        position: torch.Tensor,
        active: torch.Tensor,
        score: torch.Tensor,
        failed: torch.Tensor,
        *,
        evaluations: int = 0,
    ) -> Context:
        """Encode a history: positions and activity (1, n, S), squashed scores and failures (1, n).

        S may be smaller than the encoding's number of slots: the last ones are then absent. ``evaluations`` of the
        marginal likelihood fit the kernel heads to the history (:mod:`model.kernel_fit`).
        """
        features = trial_features(self.encoding, kinds, position, active, score, failed)
        hidden, keys, values = self.lower(features)
        solved = None
        if self._kernels is not None:
            solved, left_out = self._kernels.solve(kinds, position, active, score, hidden[None], evaluations)
            upper_keys, upper_values = self.upper(hidden, left_out)
            keys, values = torch.cat([keys, upper_keys]), torch.cat([values, upper_values])
        return Context(kinds, score.shape[1], keys, values, solved)

    def predict(self, context: Context, position: torch.Tensor, active: torch.Tensor) -> Prediction:
        """Candidates' predicted scores, (m, ...), from positions and activity (1, m, S).

        Differentiable by the positions; call it under ``torch.no_grad()`` where that is not wanted.
        """
        features = candidate_features(self.encoding, context.kinds, position, active, context.n_trials)
        if self._kernels is None or context.solved is None:
            _, logits = self.candidates(features, None, context.keys, context.values)
            return Prediction(logits)
        mean, deviation = self._kernels.posterior(context.solved, context.kinds, position, active)
        told = self._kernels.features(context.solved, mean, deviation)
        hidden, logits = self.candidates(features, told, context.keys, context.values)
        return self._kernels.mixture(hidden, logits, mean[0], deviation[0])

    def alike(self, context: Context, position: torch.Tensor, active: torch.Tensor) -> Callable[[int], Array]:
        """How the function's values at candidates correlate with the value at one of them, given its row: (m,).

        The mean over the kernel heads; without any, of a Gaussian with a tenth of the diagonal as lengthscale.
        """
        if context.solved is None:
            place, weight = position[0].double().numpy(), 50 / int(context.kinds.present.sum())
            return lambda row: np.asarray(np.exp(-weight * np.square(place - place[row]).sum(-1)))
        points = coordinates(self.encoding, context.kinds, position, active)[0].numpy()
        return likeness(context.solved, points)

    def lower(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Trials' features (1, n, width) to states (n, hidden), keys and values of the layers below the kernel heads.

        Without kernel heads these are all layers. Keys and values are (layers, heads, n, width of a head).
        """
        last = self.encoding.kernels_after or len(self._layers)
        return self._trials(self._embed(features), self._layers[:last])

    def upper(self, hidden: torch.Tensor, left_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States (n, hidden) and posteriors' features (1, n, WIDTH) to keys and values of the layers above."""
        assert self._kernels is not None
        joined = hidden + self._kernels.inject(left_out)[0]
        return self._trials(joined, self._layers[self.encoding.kernels_after :])[1:]

    def candidates(
        self, features: torch.Tensor, posteriors: torch.Tensor | None, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Candidates' features (1, m, width) to last states (m, hidden) and logits (m, bins)."""
        hidden = self._embed(features)
        for index, layer in enumerate(self._layers):
            if self._kernels is not None and posteriors is not None and index == self.encoding.kernels_after:
                hidden = hidden + self._kernels.inject(posteriors)[0]
            queries, own_key, own_value = self._heads(hidden, layer)
            seen = queries @ keys[index].transpose(1, 2)
            itself = (queries * own_key).sum(-1, keepdim=True)
            weights = torch.softmax(torch.cat([seen, itself], -1) * self._scale, -1)
            mixed = weights[..., :-1] @ values[index] + weights[..., -1:] * own_value
            hidden = self._finish(hidden, mixed, layer)
        hidden = _norm(hidden, self._weights["backbone.norm.weight"])
        return hidden, hidden @ self._weights["head.weight"].T + self._weights["head.bias"]

    def _trials(self, hidden: torch.Tensor, layers: list[_Layer]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """States through some layers, and these layers' keys and values."""
        all_keys, all_values = [], []
        for layer in layers:
            queries, keys, values = self._heads(hidden, layer)
            all_keys.append(keys)
            all_values.append(values)
            if layer is not self._layers[-1]:  # nobody reads the trials after the last layer's keys
                weights = torch.softmax(queries @ keys.transpose(1, 2) * self._scale, -1)
                hidden = self._finish(hidden, weights @ values, layer)
        return hidden, torch.stack(all_keys), torch.stack(all_values)

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        """The first linear layer, without the slots that are not there: (1, m, width or less) to (m, hidden)."""
        weight, missing = self._weights["embed.weight"], self.encoding.width - features.shape[2]
        if missing:
            used = self.encoding.slots * self.encoding.slot_width - missing
            weight = torch.cat([weight[:, :used], weight[:, used + missing :]], 1)
        return torch.addmm(self._weights["embed.bias"], features[0], weight.T)

    def _heads(self, hidden: torch.Tensor, layer: _Layer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of the heads, (heads, m, width of a head) each."""
        projected = _norm(hidden, layer.first_norm).to(self.dtype) @ layer.attention
        queries, keys, values = projected.view(
            -1, 3, self.config.n_heads, self.config.hidden_size // self.config.n_heads
        ).permute(1, 2, 0, 3)
        return queries, keys, values

    def _finish(self, hidden: torch.Tensor, mixed: torch.Tensor, layer: _Layer) -> torch.Tensor:
        """The layer's output projection and feed-forward part, with both residuals."""
        hidden = hidden + mixed.transpose(0, 1).reshape(-1, self.config.hidden_size) @ layer.output
        gate, up = (_norm(hidden, layer.second_norm).to(self.dtype) @ layer.forward).chunk(2, 1)
        return hidden + (silu(gate) * up) @ layer.down


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weights, transposed, those with one input side by side."""

    first_norm: torch.Tensor
    attention: torch.Tensor
    output: torch.Tensor
    second_norm: torch.Tensor
    forward: torch.Tensor
    down: torch.Tensor


def _layer(weights: dict[str, torch.Tensor], prefix: str, dtype: torch.dtype) -> _Layer:
    def joined(*names: str) -> torch.Tensor:
        return torch.cat([weights[f"{prefix}{name}_proj.weight"] for name in names]).T.to(dtype).contiguous()

    return _Layer(
        weights[f"{prefix}input_layernorm.weight"],
        joined("self_attn.q", "self_attn.k", "self_attn.v"),
        joined("self_attn.o"),
        weights[f"{prefix}post_attention_layernorm.weight"],
        joined("mlp.gate", "mlp.up"),
        joined("mlp.down"),
    )


def _kernels(checkpoint: TrialSetCheckpoint) -> KernelHeads | None:
    """The kernel heads with their trained weights."""
    if not checkpoint.encoding.kernels_after:
        return None
    kernels = KernelHeads(checkpoint.encoding, checkpoint.config.hidden_size)
    prefix = "kernels."
    mine = {name: torch.as_tensor(array) for name, array in checkpoint.weights.items() if name.startswith(prefix)}
    kernels.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in mine.items()})
    return kernels.eval().requires_grad_(False)


def _has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in torch.backends.cpu.get_cpu_capability()


def _norm(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + NORM_EPSILON) * weight
