"""The NumPy surrogate compared with the torch network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from optiformer.evaluation.likelihood import history
from optiformer.gp.posterior import Kinds
from optiformer.network_config import NetworkConfig
from optiformer.surrogate import features
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.network.features import ScoreTransform
from optiformer.surrogate.network.network import SurrogateNetwork, build
from optiformer.surrogate.observed import Observed
from optiformer.surrogate.prior.histories import Batch, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.surrogate import NetworkSurrogate

ENCODING = SurrogateConfig(
    slots=6,
    choices=40,  # as many as any category has: beyond, inference distinguishes choices that training does not
    bins=32,
    queries=8,
    max_trials=80,
    prior=FunctionPriorConfig(
        dimensions=(1, 2, 3, 6), conditional=0.9, crashes=0.3, lost=0.5, plateaus=0.5, stepped=0.5
    ),
)
#: Two slots hold one parameter each, the third all others; one kernel head.
SORTED = replace(ENCODING, slots=3, sorted=True, heads=(1,), refinements=1, kernels_after=1)
NETWORK = NetworkConfig(32, 2, 2, 48, tie_query_key=True)
Doubles = Callable[[SurrogateNetwork, Batch], tuple[SurrogateNetwork, Batch]]


@pytest.fixture(
    scope="module",
    params=[ENCODING, replace(ENCODING, kernels_after=1), SORTED],
    ids=["attention only", "kernel heads", "sorted"],
)
def trained(request: pytest.FixtureRequest) -> SurrogateNetwork:
    return as_after_training(request.param)


def on_numpy(network: SurrogateNetwork, dtype: type[np.floating] = np.float32) -> NetworkSurrogate:
    return NetworkSurrogate(SurrogateCheckpoint(arrays(network.state_dict()), network.encoding, NETWORK, {}), dtype)


@pytest.fixture
def square() -> tuple[Kinds, np.ndarray, np.ndarray]:
    """Twenty trials of two numbers."""
    position = np.random.default_rng(0).random((20, 2))
    return Kinds(np.zeros(2, dtype=bool), np.zeros(2)), position, np.ones((20, 2), dtype=bool)


def as_after_training(encoding: SurrogateConfig) -> SurrogateNetwork:
    network = build(encoding, NETWORK, seed=1)
    if network.kernels is not None:  # as after training, no part is neutral
        for name, weight in network.kernels.named_parameters():
            if name.endswith("weight"):
                torch.nn.init.normal_(weight, std=0.3 if name == "combine.weight" else 0.1)
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("draw", [5, 6, 7])
def test_predictions_equal_those_of_the_torch_network(
    trained: SurrogateNetwork, draw: int, in_doubles: Doubles
) -> None:
    """With categories, conditions, absent slots, failures, ties, and histories beyond MAX_REFINE_TRIALS."""
    network, batch = in_doubles(trained, sample_batch(RandomSource(draw), ENCODING, 500))
    observed = batch.kinds, batch.trials, batch.trials_active, batch.scores, batch.failed
    expected = network(*observed, batch.queries, batch.queries_active)
    masses = expected.log_mass(network.encoding).exp().numpy()
    mine = on_numpy(network, np.float64)
    for row in range(len(batch.scores)):
        kinds, trials, candidates = history(batch, row)
        found = mine.predict(mine.encode(kinds, *trials), *candidates)
        np.testing.assert_allclose(found.probabilities(), masses[row] / masses[row].sum(-1, keepdims=True), atol=1e-5)


def test_single_precision_is_accurate(trained: SurrogateNetwork) -> None:
    batch = sample_batch(RandomSource(5), ENCODING, 300)
    single, double = on_numpy(trained), on_numpy(trained, np.float64)
    for row in range(len(batch.scores)):
        kinds, trials, candidates = history(batch, row)
        first, second = (n.predict(n.encode(kinds, *trials), *candidates).below(-0.3) for n in (single, double))
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_order_of_parameters_has_no_effect() -> None:
    mine = on_numpy(as_after_training(SORTED), np.float64)
    batch, rng, several = sample_batch(RandomSource(5), SORTED, 900), np.random.default_rng(0), 0
    for row in range(len(batch.scores)):
        kinds, (position, active, *scores), (candidates, asked_active) = history(batch, row)
        order = rng.permutation(len(kinds))
        other = Kinds(kinds.categorical[order], kinds.levels[order])
        first = mine.predict(mine.encode(kinds, position, active, *scores), candidates, asked_active)
        context = mine.encode(other, position[:, order], active[:, order], *scores)
        second = mine.predict(context, candidates[:, order], asked_active[:, order])
        np.testing.assert_allclose(first.probabilities(), second.probabilities(), atol=1e-9)
        several += len(kinds) > SORTED.slots
    assert several


def test_a_token_holds_a_hundred_parameters() -> None:
    """A change of the least relevant one changes the prediction."""
    mine = on_numpy(as_after_training(SORTED))
    rng, kinds = np.random.default_rng(0), Kinds(np.zeros(100, dtype=bool), np.zeros(100))
    position, candidates = rng.random((30, 100)), rng.random((2, 100))
    active, none = np.ones((30, 100), dtype=bool), np.zeros(30, dtype=bool)
    context = mine.encode(kinds, position, active, 3 * position[:, 7], none)
    candidates[1] = candidates[0]
    candidates[1, context.order[-1]] = 1 - candidates[0, context.order[-1]]
    assert context.order[0] == 7
    one, two = mine.predict(context, candidates, active[:2]).bars
    assert np.abs(one - two).max() > 1e-6


def test_the_score_transform_equals_that_of_training() -> None:
    rng = np.random.default_rng(0)
    ties = np.array([1.0, 1, 1, 1, 5, 1e9])
    for values in (rng.normal(size=9), rng.random(30), np.zeros(4), np.ones(1), ties, np.exp(5 * rng.normal(size=20))):
        mine = features.ScoreTransform.of(values, 0.05)
        tensor = torch.from_numpy(np.append(values, 7.0)[None])
        counted = torch.arange(tensor.shape[1])[None] < len(values)  # the last one failed
        theirs = ScoreTransform.of(tensor, counted, 0.05)
        assert (mine.best, mine.gap) == pytest.approx((float(theirs.best), float(theirs.gap)))
        np.testing.assert_allclose(mine.apply(values), theirs.apply(torch.from_numpy(values[None]))[0].numpy())


def test_quantiles_are_those_of_numpy() -> None:
    values, shares = np.random.default_rng(0).normal(size=37), (0.0, 0.1, 0.5, 0.77, 1.0)
    np.testing.assert_allclose(features.quantiles(values, shares), np.quantile(values, shares), rtol=1e-12)


def test_a_few_outliers_do_not_set_the_scale() -> None:
    calm = np.random.default_rng(0).random(20)
    for worst in (1e3, 1e10, 1e300):
        wild = np.append(calm, worst)
        assert features.ScoreTransform.of(wild, 0.05).gap < 2 * features.ScoreTransform.of(calm, 0.05).gap
        assert np.isfinite(features.ScoreTransform.of(wild, 0.05).apply(wild)).all()
    ties = np.array([1.0, 1, 1, 1, 5, 1e9])
    assert features.ScoreTransform.of(ties, 0.05).gap < 5


def test_values_over_many_orders_of_magnitude_are_put_on_a_logarithmic_scale() -> None:
    spread = np.exp(np.linspace(-20, 60, 40))
    scale = features.log_compress(spread, np.ones(40, dtype=bool))
    assert (np.diff(scale) > 0).all()
    assert scale.max() < 100
    calm = np.random.default_rng(0).random(20)
    assert features.log_compress(calm, np.ones(20, dtype=bool)) is calm


def test_kernel_heads_ignore_failed_trials(
    trained: SurrogateNetwork, square: tuple[Kinds, np.ndarray, np.ndarray]
) -> None:
    network, (kinds, position, active) = on_numpy(trained), square
    failed = np.arange(20) % 4 == 0
    value = position.sum(1)
    both = [
        network.condition(kinds, Observed(position, active, np.where(failed, bad, value), failed), evaluations=6)
        for bad in (value.max(), 1e9)
    ]
    if trained.kernels is None:
        assert [conditioned.context.gp for conditioned in both] == [None] * 2
        return
    first, second = (conditioned.context.gp[0] for conditioned in both)
    assert first.history.points.shape[0] == 15
    np.testing.assert_array_equal(first.history.score, second.history.score)


def test_a_tie_is_not_an_improvement(trained: SurrogateNetwork, square: tuple[Kinds, np.ndarray, np.ndarray]) -> None:
    network, (kinds, position, active) = on_numpy(trained), square
    stepped = np.round(position.sum(1) * 10) / 10
    conditioned = network.condition(kinds, Observed(position, active, stepped, np.zeros(20, dtype=bool)), evaluations=0)
    assert conditioned.step == pytest.approx(0.1)
    options = {"margin": 0.0, "temperature": 1.0}
    less = conditioned.probability_of_improvement(position, active, **options)
    smooth = replace(conditioned)
    vars(smooth)["step"] = 0.0
    assert (less < smooth.probability_of_improvement(position, active, **options)).all()
