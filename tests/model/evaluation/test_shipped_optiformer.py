"""The checkpoint that comes with the package: whole, small, documented, trained, and better than random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from scipy.stats import wilcoxon

import optibench_optimizers
from optibench_optimizers import Observation
from optiformer.evaluation import likelihood as evaluation
from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import Array, UnitSpace
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays, default_checkpoint, load
from optiformer.surrogate.network.network import build
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.prior.trees import trees
from optiformer.surrogate.surrogate import NetworkSurrogate
from optiformer.training.config import RunConfig
from optiformer.training.surrogate import HELD_OUT


def space() -> ConfigurationSpace:
    made = ConfigurationSpace()
    made.add(
        Float("rate", (1e-5, 1.0), log=True),
        Float("decay", (0.0, 1.0)),
        Integer("depth", (1, 12)),
        Categorical("kind", ["a", "b", "c"]),
        Float("momentum", (0.0, 1.0)),
    )
    made.add(EqualsCondition(made["momentum"], made["kind"], "b"))
    return made


def loss(config: dict[str, object], unit: UnitSpace) -> float:
    """Curved, coupled, a step between kinds; in none of the benchmarks."""
    place = dict(zip((p.name for p in unit.parameters), unit.position(config)[0], strict=True))
    value = abs(place["rate"] - 0.4 - 0.2 * (place["decay"] - 0.5)) ** 1.5
    value += 0.4 * (1 - np.exp(-3 * abs(place["depth"] - 0.7)))
    value += {"a": 0.3, "b": 0.0, "c": 0.5}[str(config["kind"])]
    return float(value + (0.3 * place["momentum"] if "momentum" in config else 0.0))


def best_after(name: str, seed: int, n_trials: int = 40) -> float:
    unit = UnitSpace(Space.from_configspace(space()))
    optimizer = optibench_optimizers.create(name, space(), seed=seed, n_trials=n_trials)
    values = []
    for _ in range(n_trials):
        (suggestion,) = optimizer.ask()
        values.append(loss(dict(suggestion.config), unit))
        optimizer.tell([Observation(suggestion.config, values[-1])])
    return min(values)


def test_it_is_whole_small_and_says_how_it_was_made() -> None:
    found, folder = load(default_checkpoint()), default_checkpoint()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 16 * 2**20
    text = (folder / "README.md").read_text()
    assert found.info["command"] in text
    assert "## Limits" in text
    recipe = RunConfig.load("optiformer")
    assert found.info["run_digest"] == recipe.digest()
    assert found.encoding == recipe.surrogate


@pytest.mark.parametrize("preset", ["fast", "default"])
def test_it_beats_random_search_with_a_third_of_the_trials(preset: str) -> None:
    learned = [best_after(f"optiformer:preset={preset}", seed, 30) for seed in range(3)]
    random = [best_after("random", seed, 90) for seed in range(3)]
    assert np.mean(learned) < np.mean(random)
    assert np.median(learned) < 0.06


@pytest.fixture(params=["shipped", "untrained"])
def checkpoint(request: pytest.FixtureRequest) -> tuple[bool, SurrogateCheckpoint]:
    """Whether it is trained, and the shipped checkpoint or one of its shape with random weights."""
    found = load(default_checkpoint())
    if request.param == "shipped":
        return True, found
    weights = arrays(build(found.encoding, found.config, seed=0).state_dict())
    return False, SurrogateCheckpoint(weights, found.encoding, found.config, {})


def test_held_out_scores_are_likelier_than_without_training(checkpoint: tuple[bool, SurrogateCheckpoint]) -> None:
    """Nats a bin on the prior: 3.6 for the shipped network, 4.2 for random weights."""
    trained, found = checkpoint
    loss = np.mean([part.network for part in evaluation.prior_likelihood(found, functions=16, queries=16)])
    assert (loss < 3.9) == trained


def regret_on_trees(network: NetworkSurrogate, seed: int, n_trials: int = 40) -> float:
    """Of a sum of trees that training never saw: 0 at the best of 4,000 random points, 1 at their median."""
    d = 2 + seed % 6
    function = trees(RandomSource(HELD_OUT - 1 - seed), torch.ones(1, d, dtype=torch.bool))

    def values(points: Array) -> Array:
        return function(torch.from_numpy(points)[None].float())[0].double().numpy()

    reference = values(np.random.default_rng(seed).random((4000, d)))
    made = ConfigurationSpace()
    made.add(*(Float(f"x{i}", (0.0, 1.0)) for i in range(d)))
    proposer, trials = Proposer(Space.from_configspace(made), network), list[Trial]()
    for number in range(n_trials):
        (config,) = proposer.suggest(trials, seed=seed, number=number)
        trials.append(Trial(config, float(values(np.array([[config[f"x{i}"] for i in range(d)]]))[0])))
    best = min(trial.value for trial in trials if trial.value is not None)
    return float((best - reference.min()) / (np.median(reference) - reference.min()))


@pytest.mark.heavy
def test_its_regret_is_lower_than_without_training() -> None:
    """On rugged functions, where the network matters most: 60 of them, by Wilcoxon's signed-rank test."""
    found = load(default_checkpoint())
    untrained = arrays(build(found.encoding, found.config, seed=0).state_dict())
    networks = (
        NetworkSurrogate(found),
        NetworkSurrogate(SurrogateCheckpoint(untrained, found.encoding, found.config, {})),
    )
    shipped, ignorant = (np.array([regret_on_trees(network, seed) for seed in range(60)]) for network in networks)
    assert wilcoxon(shipped, ignorant, alternative="less").pvalue < 0.01


def test_its_quantiles_are_calibrated() -> None:
    nominal, observed = evaluation.calibration(load(default_checkpoint()), batches=3)
    assert np.abs(nominal - observed).max() < 0.09
