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
from optiformer.gp.kernels import HEADS, Array, Mask
from optiformer.gp.posterior import Coordinates, GPPosterior, Kinds, WarpedHistory
from optiformer.network_config import NORM_EPSILON
from optiformer.surrogate.checkpoint import SurrogateCheckpoint
from optiformer.surrogate.features import candidate_features, log_compress, trial_features
from optiformer.surrogate.gp_surrogate import ConditionedGP, GPSurrogate
from optiformer.surrogate.heads import Heads, by_relevance, silu, softmax, statistics
from optiformer.surrogate.history import Rows, subsample
from optiformer.surrogate.observed import Observed
from optiformer.surrogate.prediction import Prediction

#: Which of :data:`optiformer.gp.kernels.HEADS` is fitted as the plain GP, and the minimum of its leave-one-out R^2 for
#: which the kernel heads take its hyperparameters.
FITTED_HEAD, FITTED_R2 = 1, 0.95


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

    Attributes:
        gp: The plain GP beside it, with a learned prior.

    Raises:
        ModelError: The checkpoint's architecture is a variant that cannot propose.
    """

    def __init__(self, checkpoint: SurrogateCheckpoint, dtype: type[np.floating] = np.float32) -> None:
        checkpoint.encoding.variant.refuse_other_arithmetic()
        self.encoding, self.config = checkpoint.encoding, checkpoint.config
        self._dtype = np.dtype(dtype)
        weights = {name: array.astype(dtype) for name, array in checkpoint.weights.items()}
        self._weights = weights
        scale = (self.config.hidden_size // self.config.n_heads) ** -0.5
        self._layers = [_Layer.of(weights, f"backbone.layers.{i}.", scale) for i in range(self.config.n_layers)]
        norm, head = weights["backbone.norm.weight"], weights["head.weight"]
        self._head = np.ascontiguousarray((head * norm).T)
        self._embeddings: dict[int, Array] = {}
        heads = tuple(range(len(HEADS)))
        self.gp = GPSurrogate(heads, checkpoint.priors, fitted_head=FITTED_HEAD, encoding=self.encoding)
        self._heads: Heads | None = None
        if self.encoding.kernels_after:
            mine = {name.removeprefix("kernels."): w for name, w in weights.items() if name.startswith("kernels.")}
            self._heads = Heads(self.encoding, mine)

    @property
    def slots(self) -> int:
        """Maximum number of parameters it sees."""
        return sys.maxsize if self.encoding.sorted else self.encoding.slots

    def condition(self, kinds: Kinds, observed: Observed, *, evaluations: int) -> ConditionedNetwork:
        """Condition on a history.

        Args:
            kinds: Types of the parameters.
            observed: The history.
            evaluations: Approximate number of marginal-likelihood evaluations that fit the plain GP.
        """
        return ConditionedNetwork(self, kinds, observed, self.gp.condition(kinds, observed, evaluations=evaluations))

    def encode(
        self,
        kinds: Kinds,
        position: Array,
        active: Mask,
        score: Array,
        failed: Mask,
        hyperparameters: tuple[Array, Array] | None = None,
    ) -> Context:
        """Encode a history.

        Args:
            kinds: Types of the parameters, at most :attr:`slots`.
            position: The trials' values in [0, 1], (n, S).
            active: Which parameters they have, (n, S).
            score: Transformed scores, (n,).
            failed: Which trials failed, (n,), not all. The network sees a flag and the worst score; the kernel heads
                ignore them.
            hyperparameters: Log lengthscales (S, H) and log noise shares (H,) of the kernel heads; by default those
                that the network infers, as in training.
        """
        ok = ~failed
        worked = position[ok], active[ok], score[ok]
        infers = self._heads is not None and hyperparameters is None
        stats = statistics(kinds, *worked) if infers or self.encoding.sorted else np.empty(0)
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
        scores = WarpedHistory.of(self.encoding.head_kinds, self.encoding.knee, coordinates(*worked[:2]), worked[2])
        gp = scores.solve(*(hyperparameters or self._heads.infer(scores, stats, hidden, order)))
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
            queries, own_key, own_value = self._projected(hidden, layer.attention)
            weights = np.empty((*queries.shape[:2], context.n_trials + 1), self._dtype)
            np.matmul(queries, context.keys[index].transpose(0, 2, 1), out=weights[..., :-1])
            np.einsum("hmd,hmd->hm", queries, own_key, out=weights[..., -1])
            weights = softmax(weights)
            mixed = weights[..., :-1] @ context.values[index] + weights[..., -1:] * own_value
            hidden = self._finish(hidden, mixed, layer)
        hidden = _normalized(hidden)
        own = softmax(hidden @ self._head + self._weights["head.bias"])
        hidden *= self._weights["backbone.norm.weight"]
        if self._heads is None or mean is None or deviation is None:
            return Prediction(self.encoding, own)
        return Prediction(self.encoding, own, *self._heads.mix(hidden, mean, deviation))

    def _read(self, hidden: Array, layers: list[_Layer], context: Context) -> Array:
        """Pass the trials' states through some layers, caching keys and values in the context."""
        for layer in layers:
            if layer is self._layers[-1]:  # what follows its keys and values is unused
                keys, values = self._projected(hidden, layer.attention[:, self.config.hidden_size :])
            else:
                queries, keys, values = self._projected(hidden, layer.attention)
                hidden = self._finish(hidden, softmax(queries @ keys.transpose(0, 2, 1)) @ values, layer)
            context.keys.append(keys)
            context.values.append(values)
        return hidden

    def _embed(self, features: Array) -> Array:
        """Input layer without the columns of absent slots, (m, width or less) to (m, hidden size)."""
        width = features.shape[1]
        if width not in self._embeddings:
            weight, missing = self._weights["embed.weight"], self.encoding.width - width
            used = self.encoding.slots * self.encoding.slot_width - missing
            self._embeddings[width] = np.ascontiguousarray(np.delete(weight, np.s_[used : used + missing], 1).T)
        return np.asarray(features @ self._embeddings[width] + self._weights["embed.bias"])

    def _projected(self, hidden: Array, weights: Array) -> Array:
        """Scaled queries, keys and values, or the last two, (3 or 2, heads, m, head size)."""
        shape = len(hidden), -1, self.config.n_heads, self.config.hidden_size // self.config.n_heads
        return (_normalized(hidden) @ weights).reshape(shape).transpose(1, 2, 0, 3)

    def _finish(self, hidden: Array, mixed: Array, layer: _Layer) -> Array:
        """Output projection and feed-forward part with residual connections."""
        hidden = hidden + mixed.transpose(1, 0, 2).reshape(-1, self.config.hidden_size) @ layer.output
        both = _normalized(hidden) @ layer.forward
        gate, up = both[:, : self.config.intermediate_size], both[:, self.config.intermediate_size :]
        inner = silu(gate)
        inner *= up
        return np.asarray(hidden + inner @ layer.down)


@dataclass(frozen=True, eq=False)
class ConditionedNetwork:
    """The network and a plain GP on one history: a :class:`optiformer.surrogate.interface.ConditionedSurrogate`.

    Attributes:
        network: The network.
        kinds: Types of the parameters.
        observed: The history.
        gp: The plain GP.
    """

    network: NetworkSurrogate
    kinds: Kinds
    observed: Observed
    gp: ConditionedGP

    @property
    def expected_improvement(self) -> ExpectedImprovement:
        """Expected improvement under the plain GP."""
        return self.gp.expected_improvement

    @functools.cached_property
    def visible(self) -> Rows:
        """Columns that the network sees, (S,): all, or half by rank correlation with the value and others in turn."""
        slots, observed = self.network.slots, self.observed
        if len(self.kinds) <= slots:
            return np.arange(len(self.kinds))
        ranks = observed.value.argsort(kind="stable").argsort(kind="stable").astype(float)
        columns = observed.position.argsort(0, kind="stable").argsort(0, kind="stable") - (len(ranks) - 1) / 2
        relevant = np.argsort(-np.abs((ranks - ranks.mean()) @ columns), kind="stable")
        half, others = relevant[: slots // 2], np.sort(relevant[slots // 2 :])
        turn = len(ranks) * (slots - len(half))
        return np.sort(np.concatenate([half, np.roll(others, -turn)[: slots - len(half)]]))

    @functools.cached_property
    def context(self) -> Context:
        """The history, subsampled to the length the network was trained on and encoded.

        Where the plain GP predicts well, the kernel heads take its hyperparameters, which is faster than to infer them.
        """
        observed, encoding, visible = self.observed, self.network.encoding, self.visible
        value = log_compress(observed.value, ~observed.failed)
        # Clip to the bins: training has no scores beyond them.
        score = np.minimum(self.gp.score_transform.apply(value), encoding.high)
        rows = subsample(observed.value, observed.failed, encoding.max_trials)
        columns = np.ix_(rows, visible)
        kinds = Kinds(self.kinds.categorical[visible], self.kinds.levels[visible])
        positions, active, failed = observed.position[columns], observed.active[columns], observed.failed[rows]
        fitted = None
        if self.expected_improvement.loo_r2 >= FITTED_R2:
            log_lengthscale, log_noise = self.gp.hyperparameters
            heads = list(encoding.heads)
            fitted = log_lengthscale[visible][:, heads], log_noise[heads]
        return self.network.encode(kinds, positions, active, score[rows], failed, fitted)

    @functools.cached_property
    def step(self) -> float:
        """Smallest difference of distinct values if some repeat; else 0."""
        worked = ~self.observed.failed
        return _step(log_compress(self.observed.value, worked)[worked])

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """Probability that candidates (m, S) improve by a margin in units of the distance from best to median, (m,).

        The margin is at least half a step, so that a tie with the best value is not an improvement.
        """
        transform = self.gp.score_transform
        least = max(margin, 0.5 * self.step / transform.gap)
        predicted = self.network.predict(self.context, position[:, self.visible], active[:, self.visible])
        return predicted.below(-math.asinh(least / transform.asinh_scale), temperature)

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations under the plain GP of the values at configurations (m, S) and at others (n, S), (m, n)."""
        return self.gp.prior_correlation(position, active, others, others_active)

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        return self.gp.prior_correlation_rows(position, active)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's transposed weights, concatenated where they share an input, which holds its norm's weights."""

    attention: Array
    output: Array
    forward: Array
    down: Array

    @classmethod
    def of(cls, weights: dict[str, Array], prefix: str, scale: float) -> _Layer:
        """The layer whose queries are multiplied by ``scale``."""

        def joined(*names: str) -> Array:
            return np.ascontiguousarray(np.concatenate([weights[f"{prefix}{name}_proj.weight"] for name in names]).T)

        first, second = (weights[f"{prefix}{name}_layernorm.weight"] for name in ("input", "post_attention"))
        attention = first[:, None] * joined("self_attn.q", "self_attn.k", "self_attn.v")
        attention[:, : len(first)] *= scale
        forward = second[:, None] * joined("mlp.gate", "mlp.up")
        return cls(attention, joined("self_attn.o"), forward, joined("mlp.down"))


def _step(values: Array) -> float:
    """Smallest difference of distinct values in the better half if any values repeat; else 0."""
    distinct = np.unique(values)
    if len(distinct) == len(values):
        return 0.0
    better = distinct[distinct <= np.median(values)]
    return float(np.diff(better).min(initial=np.inf)) if len(better) > 1 else 0.0


def _normalized(hidden: Array) -> Array:
    """States (m, hidden size) of mean square 1."""
    square = np.einsum("md,md->m", hidden, hidden) / hidden.dtype.type(hidden.shape[1])
    return np.asarray(hidden / np.sqrt(square + hidden.dtype.type(NORM_EPSILON))[:, None])
