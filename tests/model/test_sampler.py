"""OptiFormerSampler in Optuna: Optuna's sampler tests and additional ones."""

from __future__ import annotations

import copy
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import Trial, TrialState
from tests.model.surfaces import best, conditional

from optiformer import ModelError, OptiFormerSampler
from optiformer.one_thread import one_thread
from optiformer.sequence.network import Checkpoint, load
from optiformer.space.optuna_trials import Reading
from optiformer.space.trial import Trial as ModelTrial
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, default_checkpoint
from optiformer.surrogate.checkpoint import load as load_surrogate

optuna.logging.set_verbosity(optuna.logging.ERROR)


Loaded = Checkpoint | SurrogateCheckpoint


@pytest.fixture(scope="module", params=["named tokens", "trial set"])
def checkpoint(request: pytest.FixtureRequest, tiny_checkpoint: Path) -> Loaded:
    return load(tiny_checkpoint) if request.param == "named tokens" else load_surrogate(default_checkpoint())


class TestOptunaSamplerCases(BasicSamplerTestCase, RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self, checkpoint: Loaded) -> Callable[[], BaseSampler]:
        return lambda: OptiFormerSampler(checkpoint, n_startup_trials=1)


class TestOptunaCasesOfSeveralObjectives(MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: OptiFormerSampler(n_startup_trials=1)


class TestOptunaCasesOfOneObjective(SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self, tiny_checkpoint: Path) -> Callable[[], BaseSampler]:
        return lambda: OptiFormerSampler(tiny_checkpoint, n_startup_trials=1)


def bowl(trial: Trial) -> float:
    x = trial.suggest_float("x", -5, 5)
    n = trial.suggest_int("n", 1, 100, log=True)
    step = trial.suggest_float("step", 0, 1, step=0.25)
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    if kind == "a":
        return x * x + n + trial.suggest_float("only_a", 1e-4, 1, log=True)
    return x * x + n + step


def test_the_shipped_checkpoint_is_the_default() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=1))
    study.optimize(bowl, n_trials=12)
    assert len(study.trials) == 12


def run(sampler: BaseSampler, n: int = 15, **kwargs: object) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, **kwargs)  # type: ignore[arg-type]
    study.optimize(bowl, n_trials=n)
    return study


def test_a_seed_reproduces_a_study(checkpoint: Loaded) -> None:
    first, second = (run(OptiFormerSampler(checkpoint, seed=4)) for _ in range(2))
    other = run(OptiFormerSampler(checkpoint, seed=5))
    assert [t.params for t in first.trials] == [t.params for t in second.trials]
    assert [t.params for t in first.trials] != [t.params for t in other.trials]


def test_a_new_process_continues_a_study_as_the_old_one_would() -> None:
    """Nothing that an ask leaves behind, such as what it has read or fitted, changes a later suggestion."""

    continued = optuna.create_study(sampler=OptiFormerSampler(seed=4))
    continued.optimize(bowl, n_trials=22)
    for _ in range(3):
        fresh = optuna.create_study(sampler=OptiFormerSampler(seed=4))
        fresh.add_trials(continued.trials)
        trial = fresh.ask()
        bowl(trial)
        continued.optimize(bowl, n_trials=1)
        assert continued.trials[-1].params == trial.params


def test_maximizing_is_minimizing_the_negative(checkpoint: Loaded) -> None:
    def negative(trial: Trial) -> float:
        return -bowl(trial)

    down = run(OptiFormerSampler(checkpoint, seed=4))
    up = optuna.create_study(direction="maximize", sampler=OptiFormerSampler(checkpoint, seed=4))
    up.optimize(negative, n_trials=15)
    assert [t.params for t in down.trials] == [t.params for t in up.trials]


def test_failed_and_pruned_trials_do_not_stop_a_study(checkpoint: Loaded) -> None:
    def fragile(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        if trial.number % 4 == 1:
            raise optuna.TrialPruned
        if trial.number % 4 == 2:
            raise RuntimeError
        return float("nan") if trial.number % 4 == 3 else x

    study = optuna.create_study(sampler=OptiFormerSampler(checkpoint, seed=0))
    study.optimize(fragile, n_trials=24, catch=(RuntimeError,))
    states = [t.state for t in study.trials]
    assert states.count(TrialState.PRUNED) == 6
    assert states.count(TrialState.FAIL) == 12


def test_threads_share_one_sampler(checkpoint: Loaded) -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(checkpoint))
    study.optimize(bowl, n_trials=16, n_jobs=2)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    # Concurrent asks do not know of each other and sometimes choose the same boundary point.
    assert len({tuple(sorted(t.params.items(), key=str)) for t in study.trials}) >= 13


def test_a_study_in_a_database_resumes_as_if_it_had_not_stopped(checkpoint: Loaded, tmp_path: Path) -> None:
    whole = run(OptiFormerSampler(checkpoint, seed=9), 14)
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    run(OptiFormerSampler(checkpoint, seed=9), 8, storage=storage, study_name="s")
    again = optuna.load_study(study_name="s", storage=storage, sampler=OptiFormerSampler(checkpoint, seed=9))
    again.optimize(bowl, n_trials=6)
    assert [t.params for t in again.trials] == [t.params for t in whole.trials]


def test_reseeding_and_pickling(checkpoint: Loaded) -> None:
    sampler = OptiFormerSampler(checkpoint, seed=3)
    loaded = pickle.loads(pickle.dumps(sampler))
    assert [t.params for t in run(loaded, 8).trials] == [t.params for t in run(sampler, 8).trials]
    before = sampler._seed
    sampler.reseed_rng()
    assert sampler._seed != before


def test_define_by_run_conditions_are_sampled_together_once_seen(checkpoint: Loaded) -> None:
    study = run(OptiFormerSampler(checkpoint, seed=2), 20)
    space = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert list(space) == ["kind", "n", "only_a", "step", "x"]
    proposal = study.sampler.sample_relative(study, study.ask()._cached_frozen_trial, space)
    assert proposal.keys() == space.keys()


def test_conditions_are_learned_from_the_trials() -> None:
    """On the conditional toy of docs/model/optiformer.md, where TPE has .001 to .008."""
    assert best(conditional, trials=30, seeds=3, median=True) < 1e-3


def test_trials_with_a_parameter_outside_its_current_range_are_ignored() -> None:
    sampler = OptiFormerSampler(seed=0)
    observed: list[Sequence[ModelTrial]] = []
    suggest = type(sampler._engine).suggest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(sampler._engine), "suggest", lambda *a, **kw: observed.append(a[2]) or suggest(*a, **kw))
        study = optuna.create_study(sampler=sampler)
        for x, y in ((0.5, 0.1), (50.0, 0.2), (0.7, 0.3)):
            ranges = {"x": FloatDistribution(0, 100 if x > 1 else 1), "y": FloatDistribution(0, 1)}
            study.add_trial(optuna.trial.create_trial(params={"x": x, "y": y}, distributions=ranges, value=x))
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=1)
    assert [trial.config for trial in observed[0]] == [{"x": 0.5, "y": 0.1}, {"x": 0.7, "y": 0.3}]


def test_pruned_trials_rank_behind_complete_ones_and_never_pull() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, n_startup_trials=3))
    ranges = {"x": FloatDistribution(0, 1)}
    for x in np.linspace(0.5, 1, 9):
        study.add_trial(optuna.trial.create_trial(params={"x": x}, distributions=ranges, value=abs(x - 0.9)))
    for x in (0.1, 0.12):
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": x}, distributions=ranges, state=TrialState.PRUNED, intermediate_values={0: -5.0}
            )
        )
    found = [study.ask(ranges).params["x"] for _ in range(4)]
    assert min(abs(x - 0.11) for x in found) > 0.05


def test_an_independent_sampler_samples_new_parameters(caplog: pytest.LogCaptureFixture) -> None:
    class Fixed(optuna.samplers.RandomSampler):
        def sample_independent(self, *args: Any) -> float:
            return 0.25

    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, n_startup_trials=2, independent_sampler=Fixed()))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=3)
    assert study.trials[0].params["x"] == 0.25
    assert study.trials[1].params["x"] != 0.25
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("new", 0, 1), n_trials=2)
        assert caplog.text.count("'new' of trial 3 is new to OptiFormerSampler") == 1
    finally:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        optuna.logging.disable_propagation()


def test_threads_are_limited_inside_and_restored_outside() -> None:
    import threadpoolctl

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_thread():
            inside = threads()
            with one_thread():
                pass
            assert threads() == inside
        assert threads() == before
        assert set(inside) == {1}
        study = optuna.create_study(sampler=OptiFormerSampler(seed=0))
        study.optimize(bowl, n_trials=20, n_jobs=10)
        assert threads() == before


def test_nothing_global_is_touched() -> None:
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    states = np.random.get_state()[1].tolist(), random.getstate(), dict(os.environ), os.getcwd()  # type: ignore[index, union-attr]  # noqa: NPY002, PTH109
    with np.errstate(all="raise"):
        error_state = np.geterr()
        run(OptiFormerSampler(seed=0), 12)
        assert np.geterr() == error_state
    again = np.random.get_state()[1].tolist(), random.getstate(), dict(os.environ), os.getcwd()  # type: ignore[index, union-attr]  # noqa: NPY002, PTH109
    assert again == states


def test_ranges_as_wide_as_numbers_go_are_searched() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0))
    study.optimize(lambda t: abs(t.suggest_float("x", -sys.float_info.max, sys.float_info.max)), n_trials=12)
    assert len({t.params["x"] for t in study.trials}) == 12


def test_ranges_too_narrow_for_their_scale_are_searched(checkpoint: Loaded) -> None:
    """The halves of their bounds, or the logarithms, are the same number."""

    def narrow(trial: Trial) -> float:
        tiny = trial.suggest_float("tiny", 0, 5e-324)
        close = trial.suggest_float("close", 1e9, 1e9 + 1e-6, log=True)
        long = trial.suggest_int("long", 10**15, 10**15 + 1, log=True)
        return tiny + (close - 1e9) + (long - 10**15) + trial.suggest_float("x", 0, 1)

    study = optuna.create_study(sampler=OptiFormerSampler(checkpoint, seed=0))
    study.optimize(narrow, n_trials=12)
    assert all(trial.distributions[n]._contains(v) for trial in study.trials for n, v in trial.params.items())
    assert len({trial.params["x"] for trial in study.trials}) > 6


def test_what_another_thread_reads_meanwhile_is_not_taken_for_the_own_trials() -> None:
    class Overwritten(OptiFormerSampler):
        _known = property(lambda self: (Reading({}, (), ()), [], []), lambda self, found: None)  # type: ignore[assignment]

    assert [t.params for t in run(Overwritten(seed=4), 9).trials] == [
        t.params for t in run(OptiFormerSampler(seed=4), 9).trials
    ]


def test_settings_that_do_not_fit_a_checkpoint_say_so(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="presets are for surrogate checkpoints"):
        OptiFormerSampler(tiny_checkpoint, preset="thorough")
    for settings, words in (
        ({"independent_sampler": "tpe"}, "independent_sampler must be a sampler, not 'tpe'"),
        ({"constraints_func": 3}, "constraints_func must be a function, not 3"),
        ({"warn_independent_sampling": 1}, "warn_independent_sampling must be True or False"),
        ({"n_startup_trials": -1}, "OptiFormerSampler: n_startup_trials must be a whole number from 0 to 1,000,000"),
        ({"n_startup_trials": -1, "checkpoint": tiny_checkpoint}, "OptiFormerSampler: n_startup_trials must be a"),
        ({"device": "warp", "checkpoint": tiny_checkpoint}, "The device 'warp' cannot be used; name another one"),
        ({"checkpoint": 3}, "checkpoint must be a folder or a loaded one, not 3"),
        ({"constraints_func": "c"}, "constraints_func must be a function, not 'c'"),
    ):
        with pytest.raises(ModelError, match=words):
            OptiFormerSampler(**settings)  # type: ignore[arg-type]
    for seed in (-1, 0.5, "0", True):
        with pytest.raises(
            ModelError, match=f"OptiFormerSampler: seed must be a whole number of at least 0, not {seed!r}"
        ):
            OptiFormerSampler(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="OptiFormerSampler: temperature must be a number above 0, not nan"):
        OptiFormerSampler(temperature=float("nan"))
    with pytest.raises(ModelError, match="preset must be default or thorough, not 'quick'"):
        OptiFormerSampler(preset="quick")
    with pytest.raises(ModelError, match="surrogate must be network, gp-map or gp-prior, not 'gp'"):
        OptiFormerSampler(surrogate="gp")
    with pytest.raises(ModelError, match="gp-map has no checkpoint; leave checkpoint or surrogate out"):
        OptiFormerSampler(tiny_checkpoint, surrogate="gp-map")
    with pytest.raises(ModelError, match="runs on the CPU, not on 'cuda'"):
        OptiFormerSampler(device="cuda")
    with pytest.raises(ModelError, match="no complete checkpoint"):
        OptiFormerSampler(tmp_path)


def printed(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_imports_no_torch() -> None:
    code = """
import sys, optuna
from optiformer import OptiFormerSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=OptiFormerSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 3), n_trials=8)
print(sorted({"torch", "transformers", "ConfigSpace", "pandas", "sklearn"} & set(sys.modules)))
"""
    assert printed(code) == "[]"


def test_a_hundred_parameters_and_a_thousand_choices() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0))

    def wide(trial: Trial) -> float:
        choice = trial.suggest_categorical("choice", range(1000))
        return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(100)) + abs(choice - 500) / 100

    study.optimize(wide, n_trials=25)
    assert len({trial.params["choice"] for trial in study.trials}) > 5


def test_two_thousand_trials_are_subsampled() -> None:
    ranges = {"x": FloatDistribution(-1, 1), "y": FloatDistribution(-1, 1)}
    study, rng = optuna.create_study(sampler=OptiFormerSampler(seed=0)), np.random.default_rng(0)
    study.add_trials(
        [
            optuna.trial.create_trial(params={"x": x, "y": y}, distributions=ranges, value=x * x + y * y)
            for x, y in rng.uniform(-1, 1, (2000, 2)).tolist()
        ]
    )
    before = study.best_value
    study.optimize(lambda t: t.suggest_float("x", -1, 1) ** 2 + t.suggest_float("y", -1, 1) ** 2, n_trials=6)
    assert study.best_value < before


def test_infinite_values_foreign_trials_and_enqueued_ones_are_taken() -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(seed=0, n_startup_trials=2))
    other = {"z": FloatDistribution(0, 1)}
    study.add_trial(optuna.trial.create_trial(params={"z": 0.3}, distributions=other, value=-7.0))
    study.enqueue_trial({"x": 0.25})
    values = iter([np.inf, -np.inf, 1.0, np.inf, *np.linspace(1, 0, 8)])

    def odd(trial: Trial) -> float:
        trial.suggest_float("x", 0, 1)
        return float(next(values))

    study.optimize(odd, n_trials=12)
    assert study.trials[1].params["x"] == 0.25
    assert all(0 <= trial.params["x"] <= 1 for trial in study.trials[1:])


def test_a_copy_and_a_second_study_in_the_storage_are_apart(tmp_path: Path) -> None:
    sampler = OptiFormerSampler(seed=6)
    alone = run(copy.deepcopy(sampler), 9)
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    run(OptiFormerSampler(seed=1), 5, storage=storage, study_name="first")
    second = run(sampler, 9, storage=storage, study_name="second")
    assert [trial.params for trial in second.trials] == [trial.params for trial in alone.trials]
