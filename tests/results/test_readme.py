"""The README's numbers are those of the committed results."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.cells import plan
from harness.store import Store
from reports import latency

ROOT = Path(__file__).parents[2]
#: Regrets that differ by less are a tie, as in the report.
TIE = 1e-3
SLOW = ("gp-optuna", "gp-skopt", "smac-rf")
RIVALS = ("tpe", "tpe:group=true", "tpe-univariate", "cmaes", "random")


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
    tables = [at(trials, n) for n in (25, 50, 100)]
    for optimizer in tables[0]:
        means = " | ".join(f"{tasks[optimizer].mean():.3f}" for tasks in tables)
        assert f"| `{optimizer}` | {means} | {tables[2].rank(axis=1)[optimizer].mean():.2f} |" in readme


def at(trials: pd.DataFrame, n: int) -> pd.DataFrame:
    """Mean regret after n trials, tasks by optimizers."""
    return trials[trials.trial == n - 1].groupby(["task", "optimizer"]).regret.mean().unstack()


def against(tasks: pd.DataFrame, rival: str, of: str = "optiformer") -> str:
    """Wins, ties and losses, with the report's tolerance for a tie."""
    gain = tasks[rival] - tasks[of]
    return f"{(gain > TIE).sum()} / {(gain.abs() <= TIE).sum()} / {(gain < -TIE).sum()}"


def test_the_table_of_the_test_suite(readme: str) -> None:
    trials = regrets("test")
    middle, late = at(trials, 50), at(trials, 100)
    assert len(late) == 193
    for optimizer in late:
        cells = [f"{t[optimizer].mean():.3f} | {t.rank(axis=1)[optimizer].mean():.2f}" for t in (middle, late)]
        versus = "" if optimizer == "optiformer" else against(late, optimizer)
        assert f"| `{optimizer}` | {cells[0]} | {cells[1]} | {versus} |" in readme


def test_the_table_by_family(readme: str) -> None:
    late = at(regrets("test"), 100)
    family = late.index.str.extract(r"^(yahpo/[^/]+|[^/]+)", expand=False)
    for name, tasks in late.groupby(family):
        means = " | ".join(f"{tasks[optimizer].mean():.3f}" for optimizer in ("optiformer", *RIVALS))
        assert f"| {name} | {len(tasks)} | {means} | {against(tasks, 'tpe:group=true')} |" in readme


def test_the_table_beside_the_slow_optimizers(readme: str) -> None:
    slow = at(regrets("test-slow"), 50)
    tasks = at(regrets("test"), 50).loc[slow.index].join(slow)
    family = tasks.index.str.extract(r"^(yahpo/[^/]+|[^/]+)", expand=False)
    for name, part in [("all", tasks), *tasks.groupby(family)]:
        means = " | ".join(f"{part[optimizer].mean():.3f}" for optimizer in ("optiformer", *SLOW))
        versus = " | ".join(against(part, optimizer) for optimizer in SLOW)
        assert f"| {name} | {len(part)} | {means} | {versus} |" in readme


def test_the_figures_of_botorch_on_lcbench(readme: str) -> None:
    botorch = at(regrets("test-lcbench"), 50)
    tasks = at(regrets("test"), 50).loc[botorch.index].join(botorch)
    slow = at(regrets("test-slow"), 50).index
    assert sorted(tasks.index) == sorted(task for task in slow if task.startswith("yahpo/lcbench/"))
    means = f"{tasks['gp-botorch'].mean():.3f}, `optiformer` {tasks['optiformer'].mean():.3f}"
    assert f"{means} ({against(tasks, 'gp-botorch')}," in " ".join(readme.split())


def test_the_figures_of_optuna_on_all_of_lcbench(readme: str) -> None:
    optuna = at(regrets("test-lcbench-optuna"), 50)
    every = at(regrets("test"), 50)
    tasks = every.loc[[task for task in every.index if task.startswith("yahpo/lcbench/")]].join(optuna)
    again = at(regrets("test-slow"), 50)["gp-optuna"].reindex(tasks.index).dropna()
    pd.testing.assert_series_equal(tasks.loc[again.index, "gp-optuna"], again)
    means = {name: tasks[name].mean() for name in ("gp-optuna", "optiformer")}
    ranks = tasks.rank(axis=1).mean()
    assert len(ranks) == 7
    p = f"{stats.wilcoxon(tasks['gp-optuna'] - tasks['optiformer']).pvalue:.2f}".removeprefix("0")
    text = " ".join(readme.split())
    assert (
        f"On all {len(tasks)} `test` tasks of lcbench (`results/test-lcbench-optuna`) the two are level: "
        f"`gp-optuna` {means['gp-optuna']:.3f}, `optiformer` {means['optiformer']:.3f}, a difference of "
        f"{means['optiformer'] - means['gp-optuna']:.3f} ["
    ) in text
    versus = against(tasks, "gp-optuna")
    assert f"({versus}, p {p}; mean ranks {ranks['gp-optuna']:.2f} and {ranks['optiformer']:.2f} " in text


def test_the_figures_of_the_fast_preset(readme: str) -> None:
    trials, fast = regrets("test"), regrets("test-fast")
    for n in (50, 100):
        tasks = at(fast, n).set_axis(["optiformer"], axis=1)
        tasks = tasks.join(at(trials, n)["tpe"])
        assert len(tasks) == 61
        assert f"{tasks['optiformer'].mean():.3f} against {tasks['tpe'].mean():.3f} after {n}" in " ".join(
            readme.split()
        )
    assert f"({against(tasks, 'tpe')}," in " ".join(readme.split())


def test_the_ablation_table() -> None:
    """Rows of docs/model/optiformer.md in the order of the grid: regrets after 25 and 50 trials and mean rank."""
    text = (ROOT / "docs" / "model" / "optiformer.md").read_text(encoding="utf-8")
    trials = regrets("ablation")
    early, late = at(trials, 25), at(trials, 50)
    smooth = late[~late.index.str.contains("ackley")]
    for optimizer in late:
        means = (f"{tasks[optimizer].mean():.3f}".removeprefix("0") for tasks in (early, late, smooth))
        assert f" | {' | '.join(means)} | {late.rank(axis=1)[optimizer].mean():.2f} |" in text, optimizer


def test_the_table_of_the_training_tasks() -> None:
    tasks = at(regrets("training"), 15)
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    order = tasks.mean().sort_values().index
    table = [(f"`{name}`", tasks.loc[name], 3) for name in tasks.index]
    table += [("mean", tasks.mean(), 3), ("mean rank", tasks.rank(axis=1).mean(), 2)]
    for name, row, digits in table:
        assert f"| {name} | " + " | ".join(f"{row[optimizer]:.{digits}f}" for optimizer in order) + " |" in page


def test_the_table_of_hebo() -> None:
    trials = regrets("hebo")
    early, late = at(trials, 25), at(trials, 50)
    page = (ROOT / "docs" / "external.md").read_text(encoding="utf-8")
    for optimizer in late:
        means = f"{early[optimizer].mean():.3f} | {late[optimizer].mean():.3f} | {late.rank(axis=1)[optimizer].mean():.2f}"
        versus = "" if optimizer == "hebo" else against(late, optimizer, of="hebo")
        assert f"| `{optimizer}` | {means} | {versus} |" in page


def test_the_latency_table(readme: str) -> None:
    every = latency.read(ROOT / "docs" / "latency.json").cases
    cases = {case.optimizer: case for case in every if (case.n, case.d) == (100, 7)}
    assert len(cases) > 15
    for name, case in cases.items():
        times = [1e3 * case.mean, 1e3 * float(np.median(case.seconds)), 1e3 * float(case.seconds.max())]
        numbers = [three_digits(number) for number in (*times, case.mean / cases["tpe"].mean)]
        assert f"| `{name}` | {' | '.join(numbers)} |" in readme
    assert f"1/{cases['gp-optuna'].mean / cases['optiformer'].mean:.0f} of Optuna's GP" in readme


def three_digits(number: float) -> str:
    if number < 0.1:
        return f"{number:.1g}"
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"
