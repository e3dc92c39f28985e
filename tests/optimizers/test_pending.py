"""Pending configurations: every optimizer declares that it considers them, and SMAC does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smac.runhistory.enumerations import StatusType
from smac.runhistory.runhistory import RunHistory
from smac.scenario import Scenario

import optibench_optimizers
from optibench_optimizers import Fidelity, Observation
from optibench_optimizers.adapters.smac.liar import LyingEncoder
from optibench_optimizers.conformance.spaces import bowl, line, mixed
from optibench_optimizers.conformance.suite import initial_design, observe
from optibench_optimizers.spaces import SearchSpace

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "batches.md"


def test_every_optimizer_takes_account_of_what_is_out_and_the_documentation_says_how() -> None:
    ours = {
        name: entry
        for name, entry in optibench_optimizers.entries().items()
        if entry.target.startswith("optibench_optimizers.")
    }
    assert [name for name, entry in ours.items() if not entry.capabilities.batch] == []
    table = [row.split("|")[1] for row in DOCUMENT.read_text().splitlines() if row.startswith("| `")]
    assert sorted(name for cell in table for name in cell.replace("`", "").replace(" ", "").split(",")) == sorted(ours)


class Trained:
    """The training data of each of SMAC's models."""

    def __init__(self, optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        model = optimizer._smac._config_selector._model
        train, self.targets = model.train, list[Any]()

        def noted(x: Any, y: Any) -> Any:
            self.targets.append(np.ravel(y).copy())
            return train(x, y)

        monkeypatch.setattr(model, "train", noted)

    @property
    def sizes(self) -> list[int]:
        return [len(y) for y in self.targets]


@pytest.mark.parametrize("name", ["smac-rf", "smac-gp"])
def test_smacs_model_is_told_the_median_of_what_is_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = mixed()
    view = SearchSpace(space)
    told = initial_design(view, 9)
    with closing(optibench_optimizers.create(name, space, seed=1, n_trials=30)) as optimizer:
        optimizer.tell(told)
        asked = optimizer.ask()
        trained = Trained(optimizer, monkeypatch)
        asked += optimizer.ask(2)
        assert trained.sizes == [10, 11]
        values = sorted(observation.value for observation in told)
        rank = np.argsort([observation.value for observation in told])[4]
        for target in trained.targets:  # the median of logarithms is that of the values
            assert set(target[9:]) == {target[rank]} == {np.median(target[:9])}
        assert len({repr(one.config) for one in asked}) == 3
        optimizer.tell([observe(one.config, view, bowl) for one in asked])
        optimizer.ask()
        assert trained.sizes == [10, 11, 12], "the values took the places of the lies"
        assert values == sorted(observation.value for observation in told)


def test_smac_trains_as_seldom_as_ever_where_nothing_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    space = mixed()
    view = SearchSpace(space)
    with closing(optibench_optimizers.create("smac-rf", space, seed=1, n_trials=40)) as optimizer:
        optimizer.tell(initial_design(view, 9))
        batch = optimizer.ask(2)
        trained = Trained(optimizer, monkeypatch)
        for _ in range(10):
            optimizer.tell([observe(one.config, view, bowl) for one in batch])
            batch = optimizer.ask()
        assert trained.sizes == [11, 19]


def test_the_points_of_a_batch_of_smacs_gp_keep_apart() -> None:
    """Without lies the median over seeds is .0001: the best points of one surrogate are neighbours."""
    space = line()

    def spread(seed: int) -> float:
        told = [Observation({"x": (i + 0.5) / 12}, abs((i + 0.5) / 12 - 0.45)) for i in range(12)]
        with closing(optibench_optimizers.create("smac-gp", space, seed=seed, n_trials=40)) as optimizer:
            optimizer.tell(told)
            return float(np.std([one.config["x"] for one in optimizer.ask(4)]))

    assert np.median([spread(seed) for seed in range(3)]) > 0.02


def history(tmp_path: Path, *costs: tuple[float | None, float | None]) -> LyingEncoder:
    """An encoder of trials with these costs (None: running) and budgets."""
    space = line()
    scenario = Scenario(space, output_directory=tmp_path, deterministic=True)
    encoder = LyingEncoder(scenario)
    encoder.runhistory = RunHistory()
    space.seed(3)
    for config, (cost, budget) in zip(space.sample_configuration(len(costs)), costs, strict=True):
        status = StatusType.RUNNING if cost is None else StatusType.SUCCESS
        encoder.runhistory.add(config, 0.0 if cost is None else cost, status=status, seed=0, budget=budget)
    return encoder


def test_lies_are_the_median_of_the_finished_trials_of_their_fidelity(tmp_path: Path) -> None:
    encoder = history(tmp_path, (1.0, 9.0), (None, 9.0), (3.0, 9.0), (8.0, 9.0), (None, 3.0), (100.0, 3.0))
    positions, costs = encoder.transform(budget_subset=[9.0])
    assert np.ravel(costs).tolist() == [1.0, 3.0, 8.0, 3.0]
    assert np.ravel(encoder.transform(budget_subset=[3.0])[1]).tolist() == [100.0, 100.0]
    assert len(encoder.get_configurations(budget_subset=[9.0])) == len(positions) == 4
    assert np.ravel(history(tmp_path, (None, None), (2.0, None)).transform()[1]).tolist() == [2.0, 2.0]


def test_where_nothing_is_finished_there_is_no_lie(tmp_path: Path) -> None:
    encoder = history(tmp_path, (None, 9.0), (1.0, 3.0))
    assert len(encoder.transform(budget_subset=[9.0])[0]) == 0


def test_what_runs_at_the_full_fidelity_is_known_where_a_rung_of_smac_hb_is_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs = Fidelity("epochs", 1, 9, whole=True)
    space = line()
    view = SearchSpace(space)
    with closing(optibench_optimizers.create("smac-hb", space, seed=1, n_trials=60, fidelity=epochs)) as optimizer:
        optimizer.tell(initial_design(view, 9))
        first = optimizer.ask()
        trained = Trained(optimizer, monkeypatch)
        while not trained.sizes:
            (one,) = first
            optimizer.tell([Observation(one.config, bowl(one.config, view), "ok", one.fidelity)])
            (one,) = optimizer.ask()
            trained, full = Trained(optimizer, monkeypatch), 9
            while not trained.sizes:
                optimizer.tell([Observation(one.config, bowl(one.config, view), "ok", one.fidelity)])
                full += one.fidelity == {"epochs": 9}
                (one,) = optimizer.ask()
            assert trained.sizes == [full], "nothing is out: the full evaluations and no lie"
            optimizer.ask(10)
        assert trained.sizes[-1] > full, "the last bracket of each round begins with full evaluations"
        assert set(trained.targets[-1][full:]) == {np.median(trained.targets[-1][:full])}
