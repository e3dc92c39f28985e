"""OptiFormerSampler behind the contract: settings reach it, weights are its fingerprint, pending trials are seen."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import optibench_optimizers
from optibench.store.fingerprint import of_optimizer
from optibench_optimizers import Observation, OptimizerError
from optibench_optimizers.conformance.spaces import bowl, conditional, mixed
from optibench_optimizers.conformance.suite import initial_design
from optibench_optimizers.spaces import SearchSpace
from optiformer.files import CONFIG, WEIGHTS, shipped

NAME = "optiformer-sampler"


def suggested(spec: str, n: int = 3, observed: int = 10) -> list[dict[str, Any]]:
    view = SearchSpace(mixed())
    found = []
    with closing(optibench_optimizers.create(spec, mixed(), seed=1, n_trials=observed + n)) as optimizer:
        optimizer.tell(initial_design(view, observed))
        for _ in range(n):
            (suggestion,) = optimizer.ask()
            found.append(dict(suggestion.config))
            optimizer.tell([Observation(suggestion.config, bowl(suggestion.config, view))])
    return found


def test_settings_reach_the_sampler() -> None:
    default = suggested(NAME, observed=20)
    surrogates = ("surrogate=untrained", "surrogate=gp-map", "surrogate=gp-prior")
    found = [default]
    for settings in ("preset=thorough", "temperature=4", "n_startup_trials=22", *surrogates):
        found.append(suggested(f"{NAME}:{settings}", observed=20))
        assert found.count(found[-1]) == 1, settings
    assert suggested(f"{NAME}:temperature=-1,n_startup_trials=-1", observed=20) == default


def test_a_checkpoint_of_named_tokens_is_taken() -> None:
    folder = shipped("optiformer-seq")
    assert suggested(f"{NAME}:checkpoint={folder}") != suggested(NAME)
    with pytest.raises(OptimizerError, match="'checkpoint': OptiFormerSampler: presets are for surrogate checkpoints"):
        suggested(f"{NAME}:checkpoint={folder},preset=thorough")


def test_the_weights_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    entry, _ = optibench_optimizers.parse(NAME)
    own = entry.identify({})
    assert own == entry.identify({"checkpoint": str(shipped("optiformer"))})
    assert own != entry.identify({"checkpoint": str(shipped("optiformer-seq"))})
    assert entry.identify({"surrogate": "gp-prior"}) == optibench_optimizers.parse("gp-prior")[0].identify({})
    parts = of_optimizer(NAME)
    assert parts["weights or worker"] == own
    assert "code optiformer/sampler.py" in parts
    assert "code optibench_optimizers/adapters/optuna_study.py" in parts
    assert "package optuna" in parts

    copy = tmp_path / "copy"
    shutil.copytree(shipped("optiformer"), copy)
    assert entry.identify({"checkpoint": str(copy)}) == own
    weights = bytearray((copy / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (copy / WEIGHTS).write_bytes(weights)
    with pytest.raises(OptimizerError, match="corrupted"):
        entry.identify({"checkpoint": str(copy)})
    (copy / CONFIG).unlink()
    with pytest.raises(OptimizerError, match="no complete checkpoint"):
        entry.identify({"checkpoint": str(copy)})


def test_only_active_parameters_are_in_a_trial() -> None:
    """The sampler learns conditions from the parameters of each trial."""
    view = SearchSpace(conditional())
    with closing(optibench_optimizers.create(NAME, conditional(), seed=1, n_trials=20)) as optimizer:
        optimizer.tell(initial_design(view))
        configs = [dict(optimizer.ask()[0].config) for _ in range(4)]
        trials = optimizer._study.get_trials()  # type: ignore[attr-defined]
    assert len({frozenset(trial.params) for trial in trials}) > 1
    for trial, config in zip(trials[-4:], configs, strict=True):
        assert set(trial.params) == {p.name for p in view.parameters if p.name in config}
