"""OptiFormerSampler inside Optuna: Optuna's own sampler tests, and what they leave out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import Trial, TrialState

from model import ModelError, OptiFormerSampler
from model.network import Checkpoint, load
from model.trial_checkpoint import TrialSetCheckpoint, default_checkpoint
from model.trial_checkpoint import load as load_trialset

optuna.logging.set_verbosity(optuna.logging.ERROR)


Loaded = Checkpoint | TrialSetCheckpoint


@pytest.fixture(scope="module", params=["named tokens", "trial set"])
def checkpoint(request: pytest.FixtureRequest, tiny_checkpoint: Path) -> Loaded:
    return load(tiny_checkpoint) if request.param == "named tokens" else load_trialset(default_checkpoint())


class TestOptunasOwn(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self, checkpoint: Loaded) -> Callable[[], BaseSampler]:
        return lambda: OptiFormerSampler(checkpoint, n_startup_trials=1)


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
    # Two threads that ask at the same moment cannot know of each other: now and then they meet at a wall.
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
    copy = pickle.loads(pickle.dumps(sampler))
    assert [t.params for t in run(copy, 8).trials] == [t.params for t in run(sampler, 8).trials]
    before = sampler._seed
    sampler.reseed_rng()
    assert sampler._seed != before


def test_define_by_run_conditions_are_sampled_together_once_seen(checkpoint: Loaded) -> None:
    study = run(OptiFormerSampler(checkpoint, seed=2), 20)
    space = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert list(space) == ["kind", "n", "only_a", "step", "x"]
    proposal = study.sampler.sample_relative(study, study.ask()._cached_frozen_trial, space)
    assert proposal.keys() == space.keys()


def test_a_history_outside_a_narrowed_range_is_left_out(checkpoint: Loaded) -> None:
    study = optuna.create_study(sampler=OptiFormerSampler(checkpoint, seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 100), n_trials=8)
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=8)
    assert all(0 <= t.params["x"] <= 1 for t in study.trials[8:])
    assert np.isfinite(study.best_value)


def test_settings_that_do_not_fit_a_checkpoint_say_so(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="presets are for trial-set checkpoints"):
        OptiFormerSampler(tiny_checkpoint, preset="fast")
    for seed in (-1, 0.5, "0", True):
        with pytest.raises(
            ModelError, match=f"OptiFormerSampler: seed must be a whole number of at least 0, not {seed!r}"
        ):
            OptiFormerSampler(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="temperature must be a number above 0, not nan"):
        OptiFormerSampler(temperature=float("nan"))
    with pytest.raises(ModelError, match="Unknown preset 'quick'"):
        OptiFormerSampler(preset="quick")
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
from model import OptiFormerSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=OptiFormerSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 3), n_trials=8)
print(sorted({"torch", "transformers", "ConfigSpace", "pandas", "sklearn"} & set(sys.modules)))
"""
    assert printed(code) == "[]"
