"""The surrogate on NumPy: a history is encoded once, then any number of candidates are predicted.

Computes :class:`optiformer.surrogate.network.network.SurrogateNetwork` (a test compares) without an attention mask: a
candidate attends to the trials' cached keys and to itself. Rotary embeddings are the identity at position 0 and
omitted. The network is float32 on every CPU, the kernel heads are float64.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optiformer.gp.expected_improvement import ExpectedImprovement
from optiformer.gp.kernels import Array, Mask, squared_distances
from optiformer.gp.posterior import Coordinates, GPPosterior, Kinds
from optiformer.network_config import NORM_EPSILON
from optiformer.surrogate.checkpoint import SurrogateCheckpoint
from optiformer.surrogate.features import ScoreTransform, candidate_features, log_compress, trial_features
from optiformer.surrogate.heads import Heads, by_relevance, silu, softmax, statistics
from optiformer.surrogate.history import Rows, subsample
from optiformer.surrogate.interface import Observed
from optiformer.surrogate.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Context:
    """An encoded history.

    Attributes:
        kinds: Types of the parameters, in the network's order.
        order: Their columns, (S,).
        n_trials: Number of trials.
        keys: Cached keys of each layer, (heads, n, head size).
        values: Cached values of each layer, (heads, n, head size).
        gp: Posterior of the kernel heads and the map from configurations to points; ``None`` without kernel heads.
    """

    kinds: Kinds
    order: Rows
    n_trials: int
    keys: list[Array]
    values: list[Array]
    gp: tuple[GPPosterior, Coordinates] | None = None


class NetworkSurrogate:
    """A trained network as a :class:`optiformer.surrogate.interface.Surrogate`.

    Args:
        checkpoint: The trained network.
        dtype: Floating point type of the network.

    Raises:
        ModelError: The checkpoint's architecture is a variant that cannot propose.
    """

    def __init__(self, checkpoint: SurrogateCheckpoint, dtype: type[np.floating] = np.float32) -> None:
        checkpoint.encoding.variant.refuse_other_arithmetic()
        self.encoding, self.config = checkpoint.encoding, checkpoint.config
        self._dtype = np.dtype(dtype)
        weights = {name: array.astype(dtype) for name, array in checkpoint.weights.items()}
        self._weights = weights
        self._layers = [_Layer.of(weights, f"backbone.layers.{i}.") for i in range(self.config.n_layers)]
        self._heads: Heads | None = None
        if self.encoding.kernels_after:
            mine = {name.removeprefix("kernels."): w for name, w in weights.items() if name.startswith("kernels.")}
            self._heads = Heads(self.encoding, mine)

    @property
    def slots(self) -> int:
        """Maximum number of parameters it sees."""
        return sys.maxsize if self.encoding.sorted else self.encoding.slots

    @property
    def has_kernel_heads(self) -> bool:
        """Whether it has kernel heads."""
        return self._heads is not None

    def condition(self, kinds: Kinds, observed: Observed, *, evaluations: int) -> ConditionedNetwork:
        """Condition on a history, subsampled to the length the network was trained on.

        Args:
            kinds: Types of the parameters, at most :attr:`slots`.
            observed: The history.
            evaluations: See :meth:`encode`.
        """
        value = log_compress(observed.value, ~observed.failed)
        score_transform = ScoreTransform.of(value[~observed.failed], self.encoding.knee)
        # Clip to the bins: training has no scores beyond them.
        score = np.minimum(score_transform.apply(value), self.encoding.high)
        rows = subsample(observed.value, observed.failed, self.encoding.max_trials)
        used = observed.position[rows], observed.active[rows], score[rows], observed.failed[rows]
        context = self.encode(kinds, *used, evaluations=evaluations)
        return ConditionedNetwork(self, context, score_transform, _step(value[~observed.failed]))

    def encode(
        self, kinds: Kinds, position: Array, active: Mask, score: Array, failed: Mask, *, evaluations: int = 0
    ) -> Context:
        """Encode a history.

        Args:
            kinds: Types of the parameters, at most :attr:`slots`.
            position: The trials' values in [0, 1], (n, S).
            active: Which parameters they have, (n, S).
            score: Transformed scores, (n,).
            failed: Which trials failed, (n,), not all. The network sees a flag and the worst score; the kernel heads
                ignore them.
            evaluations: Approximate number of marginal-likelihood evaluations that fit the kernel heads
                (:mod:`optiformer.gp.fit`).
        """
        ok = ~failed
        worked = position[ok], active[ok], score[ok]
        stats = statistics(kinds, *worked) if self._heads or self.encoding.sorted else np.empty(0)
        order = by_relevance(stats) if self.encoding.sorted else np.arange(len(kinds))
        ordered = Kinds(kinds.categorical[order], kinds.levels[order])
        single = position[:, order].astype(self._dtype), active[:, order], score.astype(self._dtype)
        hidden = self._embed(trial_features(self.encoding, ordered, *single, failed))
        context = Context(ordered, order, len(score), [], [])
        cut = self.encoding.kernels_after or len(self._layers)
        hidden = self._read(hidden, self._layers[:cut], context)
        if self._heads is None:
            return context
        coordinates = Coordinates(kinds, self.encoding.choices, *worked[:2])
        gp = self._heads.solve(kinds, coordinates, *worked, stats, hidden, order, evaluations)
        posteriors = np.empty_like(hidden)
        posteriors[ok] = self._heads.loo_features(gp, self._dtype)
        if failed.any():
            found = gp.predict(coordinates(position[failed], active[failed]))
            posteriors[failed] = self._heads.posterior_features(gp, *found, self._dtype)
        self._read(hidden + posteriors, self._layers[cut:], context)
        return replace(context, gp=(gp, coordinates))

    def predict(self, context: Context, position: Array, active: Mask) -> Prediction:
        """Predict candidates' scores from their values in [0, 1] and their activity, (m, S) each."""
        order = context.order
        features = candidate_features(
            self.encoding, context.kinds, position[:, order].astype(self._dtype), active[:, order], context.n_trials
        )
        hidden = self._embed(features)
        mean = deviation = embedded = None
        if self._heads is not None and context.gp is not None:
            gp, coordinates = context.gp
            mean, deviation = gp.predict(coordinates(position, active))
            embedded = self._heads.posterior_features(gp, mean, deviation, self._dtype)
        for index, layer in enumerate(self._layers):
            if embedded is not None and index == self.encoding.kernels_after:
                hidden = hidden + embedded
            queries, own_key, own_value = self._split(hidden, layer)
            seen = queries @ context.keys[index].transpose(0, 2, 1)
            itself = (queries * own_key).sum(-1, keepdims=True)
            weights = softmax(np.concatenate([seen, itself], -1) * self._scale)
            mixed = weights[..., :-1] @ context.values[index] + weights[..., -1:] * own_value
            hidden = self._finish(hidden, mixed, layer)
        hidden = _norm(hidden, self._weights["backbone.norm.weight"])
        own = softmax(hidden @ self._weights["head.weight"].T + self._weights["head.bias"])
        if self._heads is None or mean is None or deviation is None:
            return Prediction(self.encoding, own)
        return Prediction(self.encoding, own, *self._heads.mix(hidden, mean, deviation))

    @property
    def _scale(self) -> float:
        return float((self.config.hidden_size // self.config.n_heads) ** -0.5)

    def _read(self, hidden: Array, layers: list[_Layer], context: Context) -> Array:
        """Pass the trials' states through some layers, caching keys and values in the context."""
        for layer in layers:
            queries, keys, values = self._split(hidden, layer)
            context.keys.append(keys)
            context.values.append(values)
            if layer is not self._layers[-1]:  # states after the last layer's keys are unused
                weights = softmax(queries @ keys.transpose(0, 2, 1) * self._scale)
                hidden = self._finish(hidden, weights @ values, layer)
        return hidden

    def _embed(self, features: Array) -> Array:
        """Input layer without the columns of absent slots, (m, width or less) to (m, hidden size)."""
        weight, missing = self._weights["embed.weight"], self.encoding.width - features.shape[1]
        if missing:
            used = self.encoding.slots * self.encoding.slot_width - missing
            weight = np.concatenate([weight[:, :used], weight[:, used + missing :]], 1)
        return np.asarray(features @ weight.T + self._weights["embed.bias"])

    def _split(self, hidden: Array, layer: _Layer) -> tuple[Array, Array, Array]:
        """Queries, keys and values, (heads, m, head size) each."""
        projected = _norm(hidden, layer.first_norm) @ layer.attention
        width = self.config.hidden_size // self.config.n_heads
        queries, keys, values = projected.reshape(len(hidden), 3, self.config.n_heads, width).transpose(1, 2, 0, 3)
        return queries, keys, values

    def _finish(self, hidden: Array, mixed: Array, layer: _Layer) -> Array:
        """Output projection and feed-forward part with residual connections."""
        hidden = hidden + mixed.transpose(1, 0, 2).reshape(-1, self.config.hidden_size) @ layer.output
        gate, up = np.split(_norm(hidden, layer.second_norm) @ layer.forward, 2, 1)
        return np.asarray(hidden + (silu(gate) * up) @ layer.down)


@dataclass(frozen=True, eq=False)
class ConditionedNetwork:
    """The network conditioned on one history: a :class:`optiformer.surrogate.interface.ConditionedSurrogate`.

    Attributes:
        network: The network.
        context: The encoded history.
        score_transform: The score transform of the history.
        step: Smallest difference of distinct values if some repeat; else 0.
    """

    network: NetworkSurrogate
    context: Context
    score_transform: ScoreTransform
    step: float

    @functools.cached_property
    def expected_improvement(self) -> ExpectedImprovement | None:
        """Expected improvement under one kernel head; ``None`` without kernel heads."""
        if self.context.gp is None:
            return None
        gp, coordinates = self.context.gp
        return ExpectedImprovement(coordinates, gp)

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """Probability that candidates (m, S) improve by a margin in units of the distance from best to median, (m,).

        The margin is at least half a step, so that a tie with the best value is not an improvement.
        """
        least = max(margin, 0.5 * self.step / self.score_transform.gap)
        predicted = self.network.predict(self.context, position, active)
        return predicted.below(-math.asinh(least / self.score_transform.asinh_scale), temperature)

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations of the function values at configurations (m, S) and at others (n, S), (m, n).

        The mean over the kernel heads; without any, an RBF kernel whose lengthscale is a tenth of the cube's diagonal.
        """
        context = self.context
        if context.gp is None:
            return np.asarray(np.exp(-self._narrow * squared_distances(position, others)))
        gp, coordinates = context.gp
        return gp.prior_correlation(coordinates(position, active), coordinates(others, others_active))

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        context = self.context
        if context.gp is None:
            return lambda row: np.asarray(np.exp(-self._narrow * np.square(position - position[row]).sum(-1)))
        gp, coordinates = context.gp
        return gp.prior_correlation_rows(coordinates(position, active))

    @property
    def _narrow(self) -> float:
        return 50 / len(self.context.kinds)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's transposed weights, concatenated where they share an input."""

    first_norm: Array
    attention: Array
    output: Array
    second_norm: Array
    forward: Array
    down: Array

    @classmethod
    def of(cls, weights: dict[str, Array], prefix: str) -> _Layer:
        def joined(*names: str) -> Array:
            return np.ascontiguousarray(np.concatenate([weights[f"{prefix}{name}_proj.weight"] for name in names]).T)

        return cls(
            weights[f"{prefix}input_layernorm.weight"],
            joined("self_attn.q", "self_attn.k", "self_attn.v"),
            joined("self_attn.o"),
            weights[f"{prefix}post_attention_layernorm.weight"],
            joined("mlp.gate", "mlp.up"),
            joined("mlp.down"),
        )


def _step(values: Array) -> float:
    """Smallest difference of distinct values in the better half if any values repeat; else 0."""
    distinct = np.unique(values)
    if len(distinct) == len(values):
        return 0.0
    better = distinct[distinct <= np.median(values)]
    return float(np.diff(better).min(initial=np.inf)) if len(better) > 1 else 0.0


def _norm(hidden: Array, weight: Array) -> Array:
    square = np.square(hidden).mean(-1, keepdims=True, dtype=hidden.dtype)
    return np.asarray(hidden / np.sqrt(square + hidden.dtype.type(NORM_EPSILON)) * weight)
