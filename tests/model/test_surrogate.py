"""The trial-set network on NumPy predicts what the trained network does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import NetworkConfig
from model.prior.draw import Draw
from model.prior.histories import Batch, sample_batch
from model.surrogate import features
from model.surrogate.trialset import TrialSet
from model.trial_checkpoint import TrialSetCheckpoint, arrays
from model.trial_config import MixtureConfig, TrialSetConfig
from model.trial_evaluation import history
from model.trial_features import ScoreAnchors
from model.trial_network import TrialSetNetwork, build

ENCODING = TrialSetConfig(
    slots=6, choices=4, bins=32, queries=8, max_trials=80, prior=MixtureConfig(dimensions=(1, 2, 3, 6), conditional=0.9)
)
NETWORK = NetworkConfig(32, 2, 2, 48, tie_query_key=True)
Doubles = Callable[[TrialSetNetwork, Batch], tuple[TrialSetNetwork, Batch]]


@pytest.fixture(scope="module", params=[0, 1], ids=["attention only", "kernel heads"])
def trained(request: pytest.FixtureRequest) -> TrialSetNetwork:
    network = build(replace(ENCODING, kernels_after=request.param), NETWORK, seed=1)
    if network.kernels is not None:  # as after training: nothing is neutral any more
        for name, weight in network.kernels.named_parameters():
            if name.endswith("weight"):
                torch.nn.init.normal_(weight, std=0.3 if name == "combine.weight" else 0.1)
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("draw", [5, 6, 7])
def test_it_is_the_trained_network(trained: TrialSetNetwork, draw: int, in_doubles: Doubles) -> None:
    """With categories, conditions, failures, absent slots, and more trials than the corrections look at."""
    network, batch = in_doubles(trained, sample_batch(Draw(draw), ENCODING, 500))
    told = batch.kinds, batch.trials, batch.trials_active, batch.scores, batch.failed
    expected = network(*told, batch.queries, batch.queries_active)
    masses = expected.log_mass(ENCODING).exp().numpy()
    mine = TrialSet(TrialSetCheckpoint(arrays(network.state_dict()), network.encoding, NETWORK, {}), np.float64)
    for row in range(len(batch.scores)):
        kinds, trials, asked = history(batch, row)
        found = mine.predict(mine.encode(kinds, *trials), *asked)
        np.testing.assert_allclose(found.probabilities(), masses[row] / masses[row].sum(-1, keepdims=True), atol=1e-6)


def test_single_precision_is_near(trained: TrialSetNetwork) -> None:
    batch = sample_batch(Draw(5), ENCODING, 300)
    checkpoint = TrialSetCheckpoint(arrays(trained.state_dict()), trained.encoding, NETWORK, {})
    single, double = TrialSet(checkpoint), TrialSet(checkpoint, np.float64)
    for row in range(len(batch.scores)):
        kinds, trials, asked = history(batch, row)
        first, second = (n.predict(n.encode(kinds, *trials), *asked).below(-0.3) for n in (single, double))
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_scores_are_anchored_as_in_training() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=9), rng.normal(size=10) ** 9, np.zeros(4), np.array([1.0, 1, 1, 1, 5]), np.ones(1)):
        mine = features.ScoreAnchors.of(values, 0.05)
        theirs = ScoreAnchors.of(torch.from_numpy(values[None].copy()), 0.05)
        assert (mine.best, mine.gap) == pytest.approx((float(theirs.best), float(theirs.gap)))
        np.testing.assert_allclose(mine.squash(values), theirs.squash(torch.from_numpy(values[None]))[0].numpy())
