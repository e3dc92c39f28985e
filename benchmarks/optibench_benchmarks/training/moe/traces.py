"""Routing traces of a mixture of experts: generated ones, real ones from Parquet, and their encoding for a model.

A trace has one row for each token and layer: which of 8 experts the router chose first and second, and with which
weights. Real traces are read from a Parquet file with the columns of :class:`Trace`.

Generated traces stand in for real ones, which are not public. They have known properties of trained routers: experts
are used unevenly, each layer in its own way; consecutive tokens tend to go where the last one went or to its usual
successors (a Markov chain for each layer); texts differ (a topic for each sequence shifts all layers); and the routing
drifts with the position in the sequence. See Jiang et al., "Mixtral of Experts", arXiv 2401.04088, section 5, for
repetition between consecutive tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.training.base import Split

EXPERTS = 8
LAYERS = 32
HISTORY = 32
"""How many of a layer's latest choices a model sees."""
COLUMNS = HISTORY + 2
"""Integer inputs of a model: layer, second expert, history."""

_TOPICS = 6
_LOAD, _SUCCESSOR, _TOPIC, _DRIFT = 0.9, 1.6, 0.9, 1.2
"""Standard deviations of the parts of a router's logits; the noise beside them is Gumbel's, of scale 1."""
_STAY = 0.8
"""The logit advantage of the last token's expert."""


@dataclass(frozen=True)
class Trace:
    """Routing choices, one entry for each token and layer; all arrays have shape ``(n,)``.

    Attributes:
        sequence: Which text the token is from.
        position: The token's place in it, from 0.
        layer: From 0 to 31.
        expert: The first choice, from 0 to 7.
        second_expert: The second choice.
        gate: The first choice's weight, in [0, 1].
        second_gate: The second choice's weight.
    """

    sequence: NDArray[np.int64]
    position: NDArray[np.int64]
    layer: NDArray[np.int64]
    expert: NDArray[np.int64]
    second_expert: NDArray[np.int64]
    gate: NDArray[np.float64]
    second_gate: NDArray[np.float64]


def generate(sequences: int, tokens: int, seed: int) -> Trace:
    """Generate the traces of ``sequences`` texts of ``tokens`` tokens each.

    Args:
        sequences: How many texts.
        tokens: How long each is.
        seed: Of the router as well as of the texts.
    """
    rng = np.random.default_rng(seed)
    load = _LOAD * rng.standard_normal((LAYERS, 1, EXPERTS))
    successor = _SUCCESSOR * rng.standard_normal((LAYERS, EXPERTS, EXPERTS)) + _STAY * np.eye(EXPERTS)
    topics = _TOPIC * rng.standard_normal((LAYERS, _TOPICS, EXPERTS))
    drift, phase = _DRIFT * rng.standard_normal((LAYERS, 1, EXPERTS)), rng.uniform(0, 2 * np.pi, (LAYERS, 1, 1))
    topic = rng.integers(_TOPICS, size=sequences)
    shape = (tokens, LAYERS, sequences)
    chosen, weights = np.empty((*shape, 2), dtype=np.int64), np.empty((*shape, 2))
    each_layer, last = np.arange(LAYERS)[:, None], rng.integers(EXPERTS, size=(LAYERS, sequences))
    for position in range(tokens):
        logits = load + successor[each_layer, last] + topics[:, topic]
        logits = logits + drift * np.sin(phase + 2 * np.pi * position / tokens) + rng.gumbel(size=logits.shape)
        order = np.argsort(-logits, axis=2)[:, :, :2]
        top = np.take_along_axis(logits, order, axis=2)
        share = np.exp(top - top[:, :, :1])
        chosen[position], weights[position] = order, share / share.sum(axis=2, keepdims=True)
        last = order[:, :, 0]
    position_of, layer_of, sequence_of = (each.ravel() for each in np.indices(shape))
    first, second = chosen.reshape(-1, 2).T
    return Trace(sequence_of, position_of, layer_of, first, second, *weights.reshape(-1, 2).T)


def read(path: Path) -> Trace:
    """Read traces from a Parquet file with the columns of :class:`Trace`; further columns are ignored.

    Raises:
        BenchmarkError: It is not a Parquet file, lacks a column, or holds a number out of its range.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {field.name: np.float64 if "gate" in field.name else np.int64 for field in fields(Trace)}
    try:
        table = pq.read_table(path, columns=list(kinds))
        columns: dict[str, Any] = {
            name: table.column(name).to_numpy().astype(kind, casting="same_kind") for name, kind in kinds.items()
        }
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"The traces in {path} cannot be read ({' '.join(str(error).split())[:200]}).") from None
    ends = {"sequence": np.inf, "position": np.inf, "layer": LAYERS, "expert": EXPERTS, "second_expert": EXPERTS}
    for name, values in columns.items():
        end = ends.get(name, 1.0 + 1e-6)
        if not len(values) or not (values.min() >= 0 and values.max() < end):
            problem = f"has values outside of 0 to {end - 1:g}" if name in ends else "is no weight between 0 and 1"
            raise BenchmarkError(f"Column {name} of the traces in {path} is empty or {problem}; fix the file.")
    return Trace(**columns)


def histories(trace: Trace, rows: NDArray[np.int64]) -> NDArray[np.int8]:
    """The last 32 first choices in the same layer and sequence before each of some rows, latest first.

    Args:
        trace: The traces, in any order.
        rows: Indices into them, shape ``(m,)``.

    Returns:
        Shape ``(m, 32)``: experts counted from 1; 0 pads where the sequence has not been so long.
    """
    order = np.lexsort((trace.position, trace.layer, trace.sequence))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    found = np.zeros((len(rows), HISTORY), dtype=np.int8)
    for back in range(1, HISTORY + 1):
        earlier = order[np.maximum(place[rows] - back, 0)]
        same = (trace.sequence[earlier] == trace.sequence[rows]) & (trace.layer[earlier] == trace.layer[rows])
        found[:, back - 1] = np.where(same & (place[rows] >= back), trace.expert[earlier] + 1, 0)
    return found


def split(trace: Trace, rows: tuple[int, int, int], seed: int) -> Split:
    """Split traces by sequence, 60 % to train on and 20 % each to validate and test, and draw rows of each.

    Args:
        trace: The traces.
        rows: How many rows each part has at most.
        seed: Of the split and the draw.

    Returns:
        Inputs of shape ``(n, 37)``, float32: layer, second expert (from 1), history, both gates, relative position; and
        the first choice as the target.

    Raises:
        BenchmarkError: There are fewer than five sequences.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(trace.sequence))
    if len(names) < 5:
        raise BenchmarkError(f"Routing traces need at least 5 sequences to be split, not {len(names)}.")
    ends = [round(0.6 * len(names)), round(0.8 * len(names))]
    length = max(1, trace.position.max())
    parts = []
    for part, most in zip(np.split(names, ends), rows, strict=True):
        chosen = rng.permutation(np.flatnonzero(np.isin(trace.sequence, part)))[:most]
        columns = (
            trace.layer[chosen],
            trace.second_expert[chosen] + 1,
            *histories(trace, chosen).T,
            trace.gate[chosen],
            trace.second_gate[chosen],
            trace.position[chosen] / length,
        )
        parts.append((np.stack([each.astype(np.float32) for each in columns], axis=1), trace.expert[chosen]))
    return Split(*parts)
