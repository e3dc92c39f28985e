"""Learning curves of a grid's trainings: which quantity is the objective, the long table, the figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optibench_reports import ReportError
from optibench_reports.figures.learning_curves import MAX_TASKS, LearningCurves, objective


def trials(tasks: tuple[str, ...] = ("mnist/mlp",), optimizers: tuple[str, ...] = ("random", "tpe")) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for task in tasks:
        for optimizer in optimizers:
            for seed in (0, 1):
                for trial in range(3):
                    accuracy = np.sort(rng.random(4)).round(6)
                    curve = {"epoch": [1, 2, 3, 4], "train_loss": [4.0, 3.0, None, 1.0], "accuracy": accuracy.tolist()}
                    one = (optimizer, task, seed, trial, "ok", accuracy[-1], json.dumps(curve))
                    rows.append(one)
    return pd.DataFrame(rows, columns=["optimizer", "task", "seed", "trial", "state", "value", "curve"])


def test_the_objective_is_the_quantity_that_ends_at_the_value() -> None:
    frame = trials()
    assert objective(frame) == "accuracy"
    assert objective(frame.assign(value=1.0)) == "train_loss"
    assert objective(frame.assign(value=77.0)) is None


def test_the_table_has_a_row_for_each_step_and_quantity() -> None:
    table = LearningCurves(trials(), {"mnist/mlp": "maximize"}).table()
    assert len(table) == 12 * 4 * 2
    one = table[(table.optimizer == "tpe") & (table.seed == 1) & (table.trial == 2) & (table.quantity == "train_loss")]
    assert one.step.tolist() == [1, 2, 3, 4]
    assert one.value.isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_figure_shows_the_mean_of_each_runs_best_training(direction: str) -> None:
    from optibench_reports.figures.learning_curves import _figure

    frame = trials()
    figure = _figure(LearningCurves(frame, {"mnist/mlp": direction}), ["mnist/mlp"], {"mnist/mlp": "accuracy"}, ["tpe"])
    (axis,) = figure.axes
    (line,) = [line for line in axis.lines if line.get_zorder() == 2]
    mine = frame[frame.optimizer == "tpe"]
    by_seed = mine.groupby("seed")["value"]
    rows = mine.loc[by_seed.idxmax() if direction == "maximize" else by_seed.idxmin()]
    expected = np.mean([json.loads(text)["accuracy"] for text in rows["curve"]], axis=0)
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert len([line for line in axis.lines if line.get_zorder() == 1]) == 12
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("epoch", "accuracy", "mnist/mlp")


def test_it_is_drawn_with_a_caption_and_its_numbers(tmp_path: Path) -> None:
    names = tuple(f"task/{i:02}" for i in range(MAX_TASKS + 5))
    frame = pd.concat([trials(names), trials(("other/task",)).assign(value=77.0)], ignore_index=True)
    curves = LearningCurves(frame, dict.fromkeys((*names, "other/task"), "maximize"))
    ((name, caption),) = curves.draw(tmp_path, ["tpe", "random", "cmaes"])
    assert f"{MAX_TASKS} of {MAX_TASKS + 5} tasks" in caption
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{suffix}" for suffix in ("png", "pdf", "csv")}
    assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(frame) * 8
    (tmp_path / "none").mkdir()
    nothing = LearningCurves(trials().assign(value=77.0), {"mnist/mlp": "maximize"})
    assert nothing.draw(tmp_path / "none", ["tpe"]) == []
    assert not list((tmp_path / "none").iterdir())


@pytest.mark.parametrize("text", ["{", "[]", '{"epoch": [1]}', '{"epoch": [1, 2], "loss": [1]}', '{"e": [], "l": []}'])
def test_a_damaged_curve_is_one_sentence(text: str) -> None:
    frame = trials()
    frame.loc[4, "curve"] = text
    with pytest.raises(ReportError, match="The learning curve of random on mnist/mlp, seed 1, trial 1 is damaged"):
        LearningCurves(frame, {})
    with pytest.raises(ReportError, match=r"lack the column\(s\) curve"):
        LearningCurves(frame.drop(columns="curve"), {})
