"""Held-out likelihood on recorded tunings, of a network and of GPs.

``python -m optiformer.evaluation.recorded ROWS FOLDER ...`` prints a table: each network on the group of learners that
its training left out, or on all of them if it was trained on synthetic functions only, beside a GP with a fixed prior
(``gp-map``) and one whose prior was learned from the network's own training histories (``gp-prior``).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from optiformer.errors import ModelError, command
from optiformer.evaluation.baseline import ONE_HEAD, baseline, baseline_history
from optiformer.evaluation.likelihood import bin_loss, history
from optiformer.gp.kernels import Array
from optiformer.gp.prior import GPPrior, learned
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, load
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.prior.histories import as_batch, context_length, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.recorded import Surfaces, sample_rows
from optiformer.surrogate.surrogate import NetworkSurrogate

#: Seed of the histories from which a GP's prior is learned; training never uses it.
PRIOR_SEED = 10**12
#: Histories of each batch from which it is learned; the share of recorded ones is that of the training.
HISTORIES = 5


def recorded_likelihood(
    checkpoint: SurrogateCheckpoint,
    surfaces: Surfaces,
    priors: Mapping[str, GPPrior],
    *,
    functions: int = 60,
    queries: int = 0,
    seed: int = 10**13,
) -> dict[str, Array]:
    """Compare with GPs on recorded surfaces: negative log mass of held-out bins, in nats.

    A GP is :func:`~optiformer.evaluation.baseline.baseline`.

    Args:
        checkpoint: The network.
        surfaces: The recorded surfaces.
        priors: The GPs' priors by name.
        functions: Number of histories.
        queries: Candidates per history; 0 for as many as in training.
        seed: Seed of the first history.

    Returns:
        Arrays named ``n``, ``network`` and after each prior, one number per history.
    """
    network, encoding = NetworkSurrogate(checkpoint), checkpoint.encoding
    found: dict[str, list[float]] = {"n": [], "network": [], **{name: [] for name in priors}}
    for number in range(functions):
        draw = RandomSource(seed + number)
        n = context_length(draw, encoding)
        rows = sample_rows(draw, surfaces, 1, n, queries or encoding.queries, noisy=0.0, changed=False)
        batch = as_batch(encoding, rows, torch.zeros(1, n, dtype=torch.bool))
        kinds, observed, candidates = history(batch, 0)
        mine = network.predict(network.encode(kinds, *observed), *candidates).probabilities()
        found["n"].append(n)
        found["network"].append(bin_loss(encoding, mine, batch.targets[0].numpy()))
        for name, prior in priors.items():
            mass = baseline(encoding, prior, kinds, observed, candidates).probabilities()
            found[name].append(bin_loss(encoding, mass, batch.targets[0].numpy()))
    return {name: np.array(values) for name, values in found.items()}


def learned_prior(
    encoding: SurrogateConfig, surfaces: Surfaces | None, *, batches: int = 40, heads: tuple[int, ...] = ONE_HEAD
) -> GPPrior:
    """The GP prior learned from histories of a network's training distribution, :data:`HISTORIES` per batch."""
    histories, positions = [], HISTORIES * (encoding.max_trials + encoding.queries)
    recorded = round(encoding.recorded.share * HISTORIES) if surfaces is not None else 0
    for number in range(batches):
        batch = sample_batch(RandomSource(PRIOR_SEED + number), encoding, positions, surfaces=surfaces)
        count = len(batch.scores)  # recorded ones come last
        for row in (*range(HISTORIES - recorded), *range(count - recorded, count)):
            kinds, observed, _ = history(batch, row)
            histories.append((baseline_history(encoding, kinds, observed, heads)[0], kinds))
    return learned(histories)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.evaluation.recorded", description=__doc__)
    parser.add_argument("rows", type=Path, help="packed tunings")
    parser.add_argument("folders", nargs="+", type=Path, help="checkpoints whose training left learners out")
    parser.add_argument("--functions", type=int, default=100, help="histories for each network (default: 100)")
    parser.add_argument("--prior-batches", type=int, default=40, help=f"of {HISTORIES} histories each (default: 40)")
    given = parser.parse_args(arguments)
    print("| network | left out | network | `gp-map` | `gp-prior` |\n| --- | --- | --- | --- | --- |")
    for folder in given.folders:
        checkpoint = load(folder)
        training, surfaces = checkpoint.encoding.recorded, Surfaces.load(given.rows, checkpoint.encoding.columns)
        if training.file and not training.left_out:
            raise ModelError(f"{folder} left no group of learners out: there is nothing to test it on.")
        known, left_out = surfaces.split(training.left_out) if training.file else (None, surfaces)
        prior = learned_prior(checkpoint.encoding, known, batches=given.prior_batches)
        priors = {"gp-map": GPPrior(), "gp-prior": prior}
        found = recorded_likelihood(checkpoint, left_out, priors, functions=given.functions)
        losses = " | ".join(f"{found[name].mean():.2f}" for name in ("network", *priors))
        print(f"| {folder.name} | {training.left_out or 'all'} | {losses} |", flush=True)


if __name__ == "__main__":
    command(main)
