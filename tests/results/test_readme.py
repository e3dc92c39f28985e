"""The README's numbers are those of the committed results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.cells import plan
from harness.store import Store

ROOT = Path(__file__).parents[2]


def regrets(*grids: str) -> pd.DataFrame:
    """The trials of committed grids with the regret clipped at 0."""
    stores = [Store.open(ROOT / "results" / name) for name in grids]
    trials = pd.concat([store.trials(plan(store.resolved())).to_pandas() for store in stores])
    return trials.astype({"task": str, "optimizer": str}).assign(regret=trials.regret.clip(lower=0))


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_measured_table(readme: str) -> None:
    trials = regrets("measured", "measured-gp")
    last = trials[trials.trial == 49].groupby(["optimizer", "task"]).regret.agg(["mean", "sem", "count"])
    for optimizer in last.index.unique("optimizer"):
        cells = [last.loc[(optimizer, task)] for task in ("yahpo/lcbench/189906", "yahpo/rbv2_xgboost/40981")]
        numbers = " | ".join(f"{cell['mean']:.3f} ± {cell['sem']:.3f}" for cell in cells)
        assert f"| `{optimizer}` | {numbers} | {int(cells[0]['count'])} |" in readme


def test_the_table_of_both_optiformers(readme: str) -> None:
    trials = regrets("dev")
    tasks = trials[trials.trial.isin([24, 49])].groupby(["optimizer", "trial", "task"]).regret.mean().unstack()
    ranks = tasks.xs(49, level="trial").rank().mean(axis=1)
    for optimizer, rank in ranks.items():
        early, late = (tasks.loc[(optimizer, trial)].mean() for trial in (24, 49))
        assert f"| `{optimizer}` | {early:.3f} | {late:.3f} | {rank:.2f} |" in readme
