"""Measures exploitation and exploration of batches that an optimizer proposes on a bowl in three parameters.

Exploitation: the median distance of a proposal from the best trial relative to that of a random point; below 1,
proposals are closer. Exploration: the mean standard deviation of the proposals per parameter; 0 for identical
proposals, .289 for uniform ones. ``python -m optiformer.evaluation.probes`` prints both for the shipped networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optiformer.errors import command
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial

NAMES = ("p0", "p1", "p2")
OPTIMUM = np.array([0.7, 0.3, 0.55])
N_TRIALS = 20
#: From past trials, the number of proposals and a random generator to proposals.
Suggest = Callable[[list[Trial], int, np.random.Generator], list[dict[str, Any]]]


@dataclass(frozen=True)
class Probes:
    """Result of the probes.

    Attributes:
        exploitation: Median distance to the best trial, 1 for random points.
        exploration: Spread of the proposals, .289 for random points.
        repeats: Number of duplicates within batches.
    """

    exploitation: float
    exploration: float
    repeats: int


def space() -> Space:
    """The search space of the probes."""
    return Space(tuple(Parameter(name, "float") for name in NAMES))


def probe(suggest: Suggest, *, histories: int = 12, batch: int = 48, seed: int = 0) -> Probes:
    """Request a batch after each of several random histories."""
    rng = np.random.default_rng(seed)
    ratios, spreads, repeats = [], [], 0
    for _ in range(histories):
        past = rng.random((N_TRIALS, len(NAMES)))
        values = ((past - OPTIMUM) ** 2).sum(axis=1)
        trials = [
            Trial(dict(zip(NAMES, map(float, row), strict=True)), float(value))
            for row, value in zip(past, values, strict=True)
        ]
        proposals = np.array([[config[name] for name in NAMES] for config in suggest(trials, batch, rng)])
        best = past[values.argmin()]
        near = np.median(np.linalg.norm(proposals - best, axis=1))
        chance = np.median(np.linalg.norm(rng.random((1000, len(NAMES))) - best, axis=1))
        ratios.append(near / chance)
        spreads.append(float(proposals.std(axis=0).mean()))
        repeats += batch - len(np.unique(proposals, axis=0))
    return Probes(float(np.mean(ratios)), float(np.mean(spreads)), repeats)


def _suggest(proposer: Any) -> Suggest:
    return lambda trials, n, rng: proposer.suggest(trials, n, rng=rng)


def _propose(proposer: Any) -> Suggest:
    return lambda trials, n, rng: proposer.suggest(trials, n, seed=int(rng.integers(2**31)), number=len(trials))


def main() -> None:
    """Print a table for the shipped networks."""
    from optiformer.search.config import PRESETS
    from optiformer.search.proposer import Proposer
    from optiformer.sequence.policy import Policy
    from optiformer.surrogate.checkpoint import default_checkpoint, load
    from optiformer.surrogate.surrogate import NetworkSurrogate

    network = NetworkSurrogate(load(default_checkpoint()))
    rows = {"optiformer-seq": _suggest(Policy(space()))}
    for preset, config in PRESETS.items():
        rows["optiformer" if preset == "default" else f"optiformer:preset={preset}"] = _propose(
            Proposer(space(), network, config)
        )
    print("| | exploitation | exploration | repeats |\n| --- | ---: | ---: | ---: |")
    for name, suggest in rows.items():
        found = probe(suggest)
        print(f"| `{name}` | {found.exploitation:.2f} | {found.exploration:.3f} | {found.repeats} |", flush=True)


if __name__ == "__main__":
    command(main)
