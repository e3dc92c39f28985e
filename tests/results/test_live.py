"""The standing in docs/reference/live-tasks.md is that of the committed grid `live`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import optibench_benchmarks
from optibench.store.run_folder import Store

ROOT = Path(__file__).parents[2]
AT = (15, 25, 40)
OPTIMIZERS = ("optiformer-sampler", "optiformer", "tpe", "tpe:group=true", "gp-optuna", "random")
#: Regrets nearer than this are a tie.
TIE = 1e-9


def standing(trials: pd.DataFrame, tasks: list[str]) -> list[str]:
    """A row for each optimizer: mean rank and mean regret over the tasks, and tasks won and lost against TPE."""
    cells = {}
    for n in AT:
        last = trials[(trials.trial == n - 1) & trials.task.isin(tasks)]
        regret = last.assign(regret=last.regret.clip(lower=0)).pivot_table("regret", "task", "optimizer", "mean")
        ranks = (regret / TIE).round().rank(axis=1)
        for name in OPTIMIZERS:
            ahead = int((regret[name] < regret.tpe - TIE).sum())
            behind = int((regret[name] > regret.tpe + TIE).sum())
            duel = "" if name == "tpe" else f", {ahead}-{behind}"
            cells[name, n] = f"{ranks[name].mean():.2f} ({regret[name].median():.3f}{duel})"
    return [f"| `{name}` | " + " | ".join(cells[name, n] for n in AT) + " |" for name in OPTIMIZERS]


def test_docs_have_the_standing_of_the_committed_grid() -> None:
    store = Store.open(ROOT / "results" / "live")
    trials = store.trials(store.plan().cells()).to_pandas().astype({"task": str, "optimizer": str})
    names = sorted(trials.task.unique())
    conditional = [name for name in names if optibench_benchmarks.create(name).space.conditions]
    assert (len(names), len(conditional)) == (20, 16)
    text = (ROOT / "docs" / "reference" / "live-tasks.md").read_text(encoding="utf-8")
    for tasks in (conditional, [name for name in names if name not in conditional]):
        rows = "\n".join(standing(trials, tasks))
        assert rows in text, rows
    three = trials[trials.optimizer.isin(["optiformer-sampler", "tpe", "random"]) & trials.task.isin(conditional)]
    for n in AT:
        last = three[three.trial == n - 1]
        regret = last.assign(regret=last.regret.clip(lower=0)).pivot_table("regret", "task", "optimizer", "mean")
        ranks = (regret / TIE).round().rank(axis=1).mean()
        assert f"{ranks['optiformer-sampler']:.2f} against {ranks['tpe']:.2f} after {n}" in " ".join(text.split())
