"""The surrogate on NumPy: the context is encoded once and scores any number of candidates.

The same arithmetic as :class:`optiformer.surrogate.network.network.SurrogateNetwork` (a test compares), without the
tokens' mutual mask: a candidate attends to the context's keys and to itself. Rotary embeddings at position 0 change
nothing and are left out. Single precision on every CPU, the kernel heads' systems in double.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optiformer.gp.improvement import ProcessImprovement
from optiformer.gp.kernels import Array, Mask, squared_distances
from optiformer.gp.processes import Coordinates, Kinds, Processes
from optiformer.surrogate.checkpoint import SurrogateCheckpoint
from optiformer.surrogate.features import ScoreAnchors, candidate_features, tame, trial_features
from optiformer.surrogate.heads import Heads, most_telling_first, silu, softmax, statistics
from optiformer.surrogate.history import Rows, thin
from optiformer.surrogate.interface import Told
from optiformer.surrogate.prediction import Prediction

NORM_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Context:
    """An encoded history.

    Attributes:
        kinds: The parameters, in the order in which the network has them.
        order: Their columns, (S,).
        n_trials: Trials in it.
        keys: Of each layer, (heads, n, width of a head).
        values: As the keys.
        solved: The kernel heads' processes and the coordinates of configurations in them, if there are any.
    """

    kinds: Kinds
    order: Rows
    n_trials: int
    keys: list[Array]
    values: list[Array]
    solved: tuple[Processes, Coordinates] | None = None


class NetworkSurrogate:
    """The network: a :class:`optiformer.surrogate.interface.Surrogate`.

    Args:
        checkpoint: The trained network.
        dtype: Of the network's arithmetic.

    Raises:
        ModelError: The network computes something else than the shipped one does.
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
        """How many parameters it sees at most."""
        return sys.maxsize if self.encoding.sorted else self.encoding.slots

    @property
    def has_processes(self) -> bool:
        """Whether it has kernel heads."""
        return self._heads is not None

    def condition(self, kinds: Kinds, told: Told, *, evaluations: int) -> NetworkBelief:
        """Read a history; one longer than the network was trained on is thinned.

        Args:
            kinds: The parameters, at most as many as the encoding has slots.
            told: The history.
            evaluations: See :meth:`encode`.
        """
        value = tame(told.value, ~told.failed)
        anchors = ScoreAnchors.of(value[~told.failed], self.encoding.knee)
        # What is far worse than the median is no more than that: beyond the bins the network has seen nothing.
        score = np.minimum(anchors.squash(value), self.encoding.high)
        rows = thin(told.value, told.failed, self.encoding.max_trials)
        shown = told.position[rows], told.active[rows], score[rows], told.failed[rows]
        context = self.encode(kinds, *shown, evaluations=evaluations)
        return NetworkBelief(self, context, anchors, _step(value[~told.failed]))

    def encode(
        self, kinds: Kinds, position: Array, active: Mask, score: Array, failed: Mask, *, evaluations: int = 0
    ) -> Context:
        """Encode a history.

        Args:
            kinds: The parameters, at most as many as the encoding has slots.
            position: The trials' values in [0, 1], (n, S).
            active: Which parameters they have, (n, S).
            score: Squashed scores, (n,).
            failed: Which trials failed, (n,), not all; to the network a flag beside the worst score, to the processes
                nothing.
            evaluations: Of the marginal likelihood, to fit the kernel heads to the history (:mod:`optiformer.gp.fit`).
        """
        ok = ~failed
        worked = position[ok], active[ok], score[ok]
        telling = statistics(kinds, *worked) if self._heads or self.encoding.sorted else np.empty(0)
        order = most_telling_first(telling) if self.encoding.sorted else np.arange(len(kinds))
        ordered = Kinds(kinds.categorical[order], kinds.levels[order])
        single = position[:, order].astype(self._dtype), active[:, order], score.astype(self._dtype)
        hidden = self._embed(trial_features(self.encoding, ordered, *single, failed))
        context = Context(ordered, order, len(score), [], [])
        cut = self.encoding.kernels_after or len(self._layers)
        hidden = self._read(hidden, self._layers[:cut], context)
        if self._heads is None:
            return context
        coordinates = Coordinates(kinds, self.encoding.choices, *worked[:2])
        solved = self._heads.solve(kinds, coordinates, *worked, telling, hidden, order, evaluations)
        posteriors = np.empty_like(hidden)
        posteriors[ok] = self._heads.told_of_trials(solved, self._dtype)
        if failed.any():
            found = solved.posterior(coordinates(position[failed], active[failed]))
            posteriors[failed] = self._heads.told_of_candidates(solved, *found, self._dtype)
        self._read(hidden + posteriors, self._layers[cut:], context)
        return replace(context, solved=(solved, coordinates))

    def predict(self, context: Context, position: Array, active: Mask) -> Prediction:
        """Candidates' predicted scores, from their values in [0, 1] and what is active in them, (m, S) each."""
        order = context.order
        features = candidate_features(
            self.encoding, context.kinds, position[:, order].astype(self._dtype), active[:, order], context.n_trials
        )
        hidden = self._embed(features)
        mean = deviation = told = None
        if self._heads is not None and context.solved is not None:
            solved, coordinates = context.solved
            mean, deviation = solved.posterior(coordinates(position, active))
            told = self._heads.told_of_candidates(solved, mean, deviation, self._dtype)
        for index, layer in enumerate(self._layers):
            if told is not None and index == self.encoding.kernels_after:
                hidden = hidden + told
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
        """Trials' states through some layers, whose keys and values the context keeps."""
        for layer in layers:
            queries, keys, values = self._split(hidden, layer)
            context.keys.append(keys)
            context.values.append(values)
            if layer is not self._layers[-1]:  # nobody reads the trials after the last layer's keys
                weights = softmax(queries @ keys.transpose(0, 2, 1) * self._scale)
                hidden = self._finish(hidden, weights @ values, layer)
        return hidden

    def _embed(self, features: Array) -> Array:
        """The first linear layer, without the slots that are not there: (m, width or less) to (m, hidden)."""
        weight, missing = self._weights["embed.weight"], self.encoding.width - features.shape[1]
        if missing:
            used = self.encoding.slots * self.encoding.slot_width - missing
            weight = np.concatenate([weight[:, :used], weight[:, used + missing :]], 1)
        return np.asarray(features @ weight.T + self._weights["embed.bias"])

    def _split(self, hidden: Array, layer: _Layer) -> tuple[Array, Array, Array]:
        """Queries, keys and values of the heads, (heads, m, width of a head) each."""
        projected = _norm(hidden, layer.first_norm) @ layer.attention
        width = self.config.hidden_size // self.config.n_heads
        queries, keys, values = projected.reshape(len(hidden), 3, self.config.n_heads, width).transpose(1, 2, 0, 3)
        return queries, keys, values

    def _finish(self, hidden: Array, mixed: Array, layer: _Layer) -> Array:
        """The layer's output projection and feed-forward part, with both residuals."""
        hidden = hidden + mixed.transpose(1, 0, 2).reshape(-1, self.config.hidden_size) @ layer.output
        gate, up = np.split(_norm(hidden, layer.second_norm) @ layer.forward, 2, 1)
        return np.asarray(hidden + (silu(gate) * up) @ layer.down)


@dataclass(frozen=True, eq=False)
class NetworkBelief:
    """What the network makes of one history: a :class:`optiformer.surrogate.interface.Belief`.

    Attributes:
        network: The network.
        context: The history.
        anchors: The scale of its scores.
        step: Where values repeat, the least distance of two that do not; else 0.
    """

    network: NetworkSurrogate
    context: Context
    anchors: ScoreAnchors
    step: float

    @functools.cached_property
    def improvement(self) -> ProcessImprovement | None:
        """What one kernel head alone expects to gain."""
        if self.context.solved is None:
            return None
        solved, coordinates = self.context.solved
        return ProcessImprovement(coordinates, solved)

    def improving(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """The probability that candidates (m, S) improve by a margin in gaps between best and median, (m,).

        Where scores go by steps, half a step at least is asked for: a tie with the best is no improvement.
        """
        least = max(margin, 0.5 * self.step / self.anchors.gap)
        predicted = self.network.predict(self.context, position, active)
        return predicted.below(-math.asinh(least / self.anchors.knee), temperature)

    def related(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """How the function's values at configurations (m, S) correlate with those at others (n, S): (m, n).

        The mean over the kernel heads; without any, of a Gaussian with a tenth of the diagonal as lengthscale.
        """
        context = self.context
        if context.solved is None:
            return np.asarray(np.exp(-self._narrow * squared_distances(position, others)))
        solved, coordinates = context.solved
        return solved.related(coordinates(position, active), coordinates(others, others_active))

    def alike(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """As :meth:`related`, of candidates with one of them, given its row: (m,)."""
        context = self.context
        if context.solved is None:
            return lambda row: np.asarray(np.exp(-self._narrow * np.square(position - position[row]).sum(-1)))
        solved, coordinates = context.solved
        return solved.alike(coordinates(position, active))

    @property
    def _narrow(self) -> float:
        return 50 / len(self.context.kinds)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weights, transposed, those with one input side by side."""

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
    """The least distance of two different values of the better half, if some of all are the same; else 0."""
    distinct = np.unique(values)
    if len(distinct) == len(values):
        return 0.0
    better = distinct[distinct <= np.median(values)]
    return float(np.diff(better).min(initial=np.inf)) if len(better) > 1 else 0.0


def _norm(hidden: Array, weight: Array) -> Array:
    square = np.square(hidden).mean(-1, keepdims=True, dtype=hidden.dtype)
    return np.asarray(hidden / np.sqrt(square + hidden.dtype.type(NORM_EPSILON)) * weight)
