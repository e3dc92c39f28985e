"""The likely best under noise: smoothing, repeats, what is ignored, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from tests.model.noisy_tables import COLLECTIONS, compare

from optiformer import ModelError, OptiFormerSampler
from optiformer.search import best_guess as module
from optiformer.search.best_guess import MIN_TRIALS, best_guess
from optiformer.space.optuna_trials import covering
from optiformer.space.space import Space
from optiformer.space.trial import Trial

RANGES: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}


@pytest.fixture(scope="module")
def sampler() -> OptiFormerSampler:
    return OptiFormerSampler(seed=0)


def study_of(*trials: optuna.trial.FrozenTrial, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    return study


def at(x: float, value: float | None, **settings: Any) -> optuna.trial.FrozenTrial:
    return create_trial(params={"x": x}, distributions=RANGES, value=value, **settings)


def valley(noise: float = 0.0, seed: int = 0, n: int = 25) -> list[optuna.trial.FrozenTrial]:
    rng = np.random.default_rng(seed)
    return [at(x, (x - 0.6) ** 2 + noise * rng.normal()) for x in np.linspace(0, 1, n).tolist()]


def test_a_lucky_value_far_from_the_optimum_is_not_the_guess(sampler: OptiFormerSampler) -> None:
    lucky = 0
    for seed in range(8):
        trials = [*valley(0.05, seed, 60), at(0.05, -0.1)]
        study = study_of(*trials)
        lucky += study.best_trial.params["x"] == 0.05
        assert abs(sampler.best_guess(study).params["x"] - 0.6) < 0.3
    assert lucky >= 4, "the observed best is the lucky one"


def test_without_noise_it_is_the_observed_best(sampler: OptiFormerSampler) -> None:
    study = study_of(*valley())
    guess = sampler.best_guess(study)
    assert guess == study.best_trial
    guess.params["x"] = 7.0
    assert sampler.best_guess(study) == study.best_trial, "it is a copy"


def test_maximizing_is_minimizing_the_negative(sampler: OptiFormerSampler) -> None:
    trials = valley(0.05)
    negative = [at(trial.params["x"], -float(trial.value or 0)) for trial in trials]
    down, up = study_of(*trials), study_of(*negative, direction="maximize")
    assert sampler.best_guess(down).number == sampler.best_guess(up).number


def test_repeats_of_a_configuration_are_averaged() -> None:
    """Choices have no neighbours: one lucky value of b among its repeats against the steady values of a."""
    space = Space.from_optuna({"c": CategoricalDistribution(tuple("abcdef"))})
    values = {0: [0.2] * 6, 1: [0.0, 1.0, 0.9, 1.1, 1.0, 0.8], 2: [1.0, 0.8], 3: [0.9, 1.2], 4: [1.1], 5: [1.2]}
    trials = [Trial({"c": choice}, value) for choice, each in values.items() for value in each]
    assert trials[best_guess(space, trials)].config == {"c": 0}


def test_failed_pruned_infeasible_and_foreign_trials_are_ignored(sampler: OptiFormerSampler) -> None:
    study = study_of(
        create_trial(params={"x": "a"}, distributions={"x": CategoricalDistribution("ab")}, value=-9.0),
        at(0.11, None, state=TrialState.FAIL),
        at(0.12, None, state=TrialState.PRUNED, intermediate_values={0: -9.0}),
        at(0.13, -9.0, constraints={"late": 1.0}),
        *valley(),
    )
    assert sampler.best_guess(study).params["x"] == pytest.approx(0.6, abs=0.03)


def test_conditional_parameters_infinite_values_and_outliers_are_taken(sampler: OptiFormerSampler) -> None:
    choice = {"kind": CategoricalDistribution(("a", "b"))}
    rng = np.random.default_rng(0)
    trials = [
        create_trial(params={"kind": "a", "x": x}, distributions=choice | RANGES, value=(x - 0.6) ** 2)
        for x in rng.random(20).tolist()
    ]
    trials += [create_trial(params={"kind": "b"}, distributions=choice, value=v) for v in (0.5, np.inf, 1e9, -np.inf)]
    guess = sampler.best_guess(study_of(*trials))
    assert guess.params["kind"] == "a"
    assert guess.params["x"] == pytest.approx(0.6, abs=0.1)


def test_of_few_trials_it_is_the_observed_best(sampler: OptiFormerSampler) -> None:
    for n in range(1, MIN_TRIALS):
        study = study_of(*(at(0.1 * i, float(-i)) for i in range(n)), at(0.9, None, state=TrialState.FAIL))
        assert sampler.best_guess(study) == study.best_trial
    without = study_of(*(create_trial(value=value) for value in (2.0, 1.0, 3.0)))
    assert sampler.best_guess(without).value == 1.0
    constant = {"x": FloatDistribution(0.5, 0.5)}
    same = study_of(*(create_trial(params={"x": 0.5}, distributions=constant, value=v) for v in (2.0, 1.0, 3.0) * 3))
    assert sampler.best_guess(same).value == 1.0


@pytest.mark.parametrize("last", [0.0, 0.95])
def test_trials_count_wherever_a_parameters_range_was(sampler: OptiFormerSampler, last: float) -> None:
    rng, trials = np.random.default_rng(0), []
    for a in (*rng.random(30).tolist(), last):
        b, n = float(rng.uniform(a, 1)), int(rng.integers(1, 9))
        ranges = {"a": FloatDistribution(0, 1), "b": FloatDistribution(a, 1), "n": IntDistribution(1, n)}
        value = (a - 0.2) ** 2 + (b - 0.5) ** 2
        trials.append(create_trial(params={"a": a, "b": b, "n": 1}, distributions=ranges, value=value))
    study = study_of(*trials)
    assert sampler.best_guess(study) == study.best_trial


def test_a_covering_distribution_has_every_value_of_the_trials() -> None:
    def covered(*ranges: BaseDistribution) -> BaseDistribution:
        given = [(one, one.choices[0] if isinstance(one, CategoricalDistribution) else one.low) for one in ranges]  # type: ignore[attr-defined]
        trials = [create_trial(params={"x": value}, distributions={"x": one}, value=0.0) for one, value in given]
        return covering(trials)["x"]

    assert covered(FloatDistribution(0, 1, step=0.5), FloatDistribution(0, 1, step=0.5)).step == 0.5  # type: ignore[attr-defined]
    assert covered(FloatDistribution(0, 1, step=0.5), FloatDistribution(0.2, 3)) == FloatDistribution(0, 3)
    assert covered(FloatDistribution(1, 2, log=True), FloatDistribution(0.5, 1, log=True)) == FloatDistribution(
        0.5, 2, log=True
    )
    assert covered(IntDistribution(4, 8, step=4), IntDistribution(2, 6, step=2)) == IntDistribution(2, 8, step=2)
    assert covered(FloatDistribution(1, 2), FloatDistribution(1, 3, log=True)) == FloatDistribution(1, 3, log=True)
    assert covered(CategoricalDistribution("ab"), CategoricalDistribution("bc")) == CategoricalDistribution("bc")


def test_equal_values_are_taken_and_long_histories_subsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space.from_optuna(RANGES)
    assert best_guess(space, [Trial({"x": 0.1 * i}, 1.0) for i in range(9)]) in range(9)
    monkeypatch.setattr(module, "MAX_TRIALS", 60)
    trials = [Trial({"x": x}, (x - 0.6) ** 2) for x in np.random.default_rng(0).random(300).tolist()]
    assert trials[best_guess(space, trials)].config["x"] == pytest.approx(0.6, abs=0.02)


def test_what_has_no_best_guess_says_why(sampler: OptiFormerSampler) -> None:
    several = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(ModelError, match="best_guess needs a study with one objective; with several"):
        sampler.best_guess(several)
    with pytest.raises(ModelError, match="best_guess needs an Optuna study, not 3"):
        sampler.best_guess(3)  # type: ignore[arg-type]
    for study in (
        study_of(),
        study_of(at(0.1, None, state=TrialState.FAIL), at(0.2, None, state=TrialState.PRUNED)),
        study_of(at(0.1, 1.0, constraints={"late": 0.5})),
    ):
        with pytest.raises(ModelError, match="no complete and feasible trial, so there is no best guess yet"):
            sampler.best_guess(study)


@pytest.mark.parametrize(
    ("tables", "sampler", "seeds", "most"),
    [
        ("HPOBench", "random", 12, -0.004),
        ("HPOLib", "random", 4, 0.0005),
        ("NAS-Bench-201", "TPE", 4, 0.0005),
        pytest.param("HPOBench", "TPE", 24, -0.002, marks=pytest.mark.heavy),
        pytest.param("HPOLib", "TPE", 24, 0.0005, marks=pytest.mark.heavy),
        pytest.param("NAS-Bench-201", "TPE", 24, 0.0, marks=pytest.mark.heavy),
    ],
)
def test_on_recorded_repeats_it_is_on_average_not_behind_the_best_trial(
    tables: str, sampler: str, seeds: int, most: float
) -> None:
    """Means of the differences, paired: better where the noise is large (HPOBench), level elsewhere."""
    pairs = compare(COLLECTIONS[tables], [sampler], range(seeds), (60,))
    assert (pairs[:, 1] - pairs[:, 0]).mean() <= most
