"""The numbers in docs/earlier-looks.md: the four looks at the suite ``test`` with the first network.

``readme_numbers.py`` writes and compares them.
"""

# ruff: noqa: E501  (the templates keep the line breaks of the page)
from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from committed import ROOT, Versus, adjusted, at, names, p_value, table, three_digits, trials
from scipy import stats

from optibench.store.to_results import load
from optibench_benchmarks.references.table import entries
from optibench_reports.data.merge import on_shared_tasks
from optibench_reports.data.score_array import family
from optibench_reports.stats.analysis import analyse
from optibench_reports.stats.families import balanced, balanced_difference, family_means
from optibench_reports.stats.tests import holm, signed_rank

LOOKS = Path(__file__).with_name("looks.csv")
"""Mean regret after 50 trials on the tasks of test-slow: Optuna's GP, and optiformer at each published revision."""
RIVALS = ("tpe", "tpe:group=true", "tpe-univariate", "cmaes", "random")
SLOW = ("gp-optuna", "gp-skopt", "smac-rf")
XGBOOST = "yahpo/rbv2_xgboost"
NROUNDS = (7, 2981)
"""Range of rbv2_xgboost's nrounds, on a logarithmic scale."""
FAST = (("optiformer:preset=fast", "test-fast"), ("tpe", "test"))


@functools.cache
def beside_the_slow() -> pd.DataFrame:
    """Mean regret after 50 trials on the tasks of test-slow, of every optimizer."""
    slow = at("test-slow", 50)
    return at("test", 50).loc[slow.index].join(slow)


def test() -> str:
    middle, late = at("test", 50), at("test", 100)
    order = late.rank(axis=1).mean().sort_values().index
    rows = []
    for name in order:
        cells = [f"{t[name].mean():.3f} | {t.rank(axis=1)[name].mean():.2f}" for t in (middle, late)]
        rows.append((f"`{name}`", *cells, "" if name == "optiformer" else Versus.of(late, name)))
    head = ("optimizer", "regret after 50", "mean rank", "regret after 100", "mean rank", "wins / ties / losses")
    return table(head, rows)


def reached() -> str:
    late = at("test", 100)
    worst = max(adjusted(late).values())
    median, behind, ties = first_reached()
    return f"""Against the {len(RIVALS)} fast optimizers, the largest p is {p_value(worst)} (Wilcoxon over the {len(late)} tasks, Holm). On the median task, `optiformer`
needs {median:.0f} trials to reach what the best rival reaches after 100. On {behind + ties} tasks it never gets below that value: it stays
behind on {behind} and ties above a regret of 0 on {ties} (differences of 1e-12 count as rounding)."""


def first_reached() -> tuple[float, int, int]:
    """Median over tasks of the trials that optiformer needs to reach the best rival's regret after 100; the number of
    tasks on which it never does; the number of tasks on which both end at the same regret above 0."""
    found = trials("test")
    curve = found[found.optimizer == "optiformer"].groupby(["task", "trial"]).regret.mean().unstack()
    best = at("test", 100).drop(columns="optiformer").min(axis=1)
    hit = curve.le(best + 1e-12, axis=0)
    first = np.where(hit.any(axis=1), hit.to_numpy().argmax(axis=1) + 1, np.inf)
    ties = ((curve[99] - best).abs() <= 1e-12) & (best > 1e-12)
    return float(np.median(first)), int(np.isinf(first).sum()), int(ties.sum())


def by_family(tasks: pd.DataFrame, optimizers: Iterable[str], rivals: Iterable[str]) -> list[tuple[object, ...]]:
    """Rows: each family, all tasks, and the mean in which every family counts once."""
    optimizers, rivals = list(optimizers), list(rivals)
    parts = [*tasks.groupby(tasks.index.map(family)), ("all tasks", tasks)]
    rows: list[tuple[object, ...]] = [
        (name, len(part), *(f"{part[o].mean():.3f}" for o in optimizers), *(Versus.of(part, r) for r in rivals))
        for name, part in parts
    ]
    means = balanced(tasks)
    return [
        *rows,
        ("each family once", len(parts) - 1, *(f"{means[o]:.3f}" for o in optimizers), *([""] * len(rivals))),
    ]


def test_families() -> str:
    shown = ("optiformer", *RIVALS)
    head = ("family", "tasks", *(f"`{name}`" for name in shown), "wins / ties / losses")
    return table(head, by_family(at("test", 100), shown, ["tpe:group=true"]))


def slow() -> str:
    tasks = beside_the_slow()
    control, every = adjusted(tasks), all_pairs(tasks)
    real = tasks[~tasks.index.str.startswith(XGBOOST)]
    ps = [p_value(control[name]) for name in SLOW]
    low, high = min(SLOW, key=asking), max(SLOW, key=asking)
    balance = family_difference()
    pairs = len(tasks.columns) * (len(tasks.columns) - 1) // 2
    return f"""{names(SLOW)} need {three_digits(asking(low))} to {three_digits(asking(high))} ms per suggestion, so they ran
on {len(tasks)} of these tasks (suite `test-slow`, selected by a rule) for 50 trials. `optiformer` against each of them, Wilcoxon over tasks: p {ps[0]},
{ps[1]} and {ps[2]} (Holm over its {len(control)} comparisons; over all {pairs} pairs the first is {p_value(every)}). Without the
{len(tasks) - len(real)} tasks of `{XGBOOST}`, the first has an unadjusted p of {p_value(Versus.of(real, "gp-optuna").p)}. With each family counted once,
`optiformer` minus `gp-optuna` is {balance} (95% bootstrap over families, then tasks, then seeds):

{table(slow_head(), by_family(tasks, ("optiformer", *SLOW), SLOW))}"""


def slow_head() -> list[str]:
    shown = [f"`{name}`" for name in ("optiformer", *SLOW)]
    return ["family", "tasks", *shown, *(f"against {name}" for name in shown[1:])]


def all_pairs(tasks: pd.DataFrame) -> float:
    """Holm's p of optiformer against Optuna's GP among all pairs of optimizers."""
    pairs = [(a, b) for i, a in enumerate(tasks) for b in list(tasks)[i + 1 :]]
    found = holm(np.array([Versus.of(tasks, b, a).p for a, b in pairs]))
    return float(found[[{a, b} == {"optiformer", "gp-optuna"} for a, b in pairs].index(True)])


@functools.cache
def family_difference() -> str:
    runs = [t[t.trial == 49] for t in (trials("test"), trials("test-slow"))]
    both = pd.concat(runs).pivot(index=["task", "seed"], columns="optimizer", values="regret")
    found = balanced_difference(both[["optiformer", "gp-optuna"]].dropna(), "optiformer", "gp-optuna")
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def asking(name: str, grid: str = "test-slow", until: int = 50) -> float:
    """Mean milliseconds of asking in a grid, on the tasks of test-slow, over trials 11 to ``until``."""
    found = trials(grid)
    rows = (found.optimizer == name) & found.task.isin(beside_the_slow().index)
    return float(1e3 * found[rows & (found.phase == "search") & (found.trial < until)].ask_seconds.mean())


def lcbench() -> str:
    both = on_shared_tasks([load(ROOT / "results" / name) for name in ("test", "test-lcbench-optuna")])
    analysis = analyse(both, at=[50], draws=10_000, seed=0, control="optiformer")
    found, tests = analysis.overall[0], analysis.comparisons[0]
    assert found is not None
    assert tests is not None
    place = {analysis.grid.optimizers[o]: i for i, o in enumerate(found.selection.optimizers)}
    ours, theirs = place["optiformer"], place["gp-optuna"]
    gap = found.mean_draws[:, ours] - found.mean_draws[:, theirs]
    low, high = np.quantile(gap, [0.025, 0.975])
    tasks = at("test", 50).join(at("test-lcbench-optuna", 50), how="inner")
    versus = Versus.of(tasks, "gp-optuna")
    botorch = at("test", 50).join(at("test-lcbench", 50), how="inner")
    against = Versus.of(botorch, "gp-botorch")
    return f"""On all {len(tasks)} `test` tasks of lcbench (`results/test-lcbench-optuna`), `gp-optuna` reaches {found.mean[theirs]:.3f} and `optiformer` {found.mean[ours]:.3f}, a
difference of {found.mean[ours] - found.mean[theirs]:.3f} [{low:.3f}, {high:.3f}] ({versus}, p {p_value(versus.p)}; mean ranks {found.rank[theirs]:.2f} and {found.rank[ours]:.2f} among {len(place)} optimizers;
`optibench compare results/test results/test-lcbench-optuna --at 50 --control optiformer --out DIR`). BoTorch's Gaussian
process ran on only {len(botorch)} of them (`results/test-lcbench`, same command): {botorch["gp-botorch"].mean():.3f} against {botorch["optiformer"].mean():.3f} for `optiformer` ({against}, p {p_value(against.p)}).
SMAC's Gaussian process was excluded because it needs more than one second per suggestion."""


def fast() -> str:
    parts = []
    for n in (50, 100):
        tasks = at("test-fast", n).set_axis(["optiformer"], axis=1).join(at("test", n)["tpe"])
        parts.append(f"{tasks['optiformer'].mean():.3f} against `tpe`'s {tasks['tpe'].mean():.3f} after {n}")
    versus = Versus.of(tasks, "tpe")
    times = [three_digits(asking(name, grid, 100)) for name, grid in FAST]
    return f"""`fast` on the {len(tasks)} tasks of `test-slow`: regret {" and ".join(parts)} trials ({versus}, p {p_value(versus.p)};
`results/test-fast`). Over trials 11 to 100 of these runs, its mean ask took {times[0]} ms and that of `tpe` {times[1]} ms."""


def limits() -> str:
    late, tasks = at("test", 100), beside_the_slow()
    space = late.index[late.index.str.startswith(XGBOOST)]
    shared = late.index.map(family).isin(set(at("dev", 100).index.map(family)) - {"synthetic"})
    synthetic = late.index[late.index.str.startswith("synthetic")]
    functions = {re.sub(r"-\d+d$", "", task.removeprefix("synthetic/").removeprefix("rotated/")) for task in synthetic}
    perfect, corner = artefacts(space)
    means = late.loc[perfect].mean()
    real = tasks[~tasks.index.str.startswith(XGBOOST)]
    looks = [p_value(signed_rank(gap).p) for gap in looked_at()]
    normal = [p_value(stats.wilcoxon(gap, zero_method="pratt", method="asymptotic").pvalue) for gap in looked_at()]
    families = family_means(late)
    assert (families[[*RIVALS]].min(axis=1) > families["optiformer"]).all(), "a family in which it does not lead"
    return f"""1. **No control.** These grids hold no optimizer with the same search and no network.
2. **One search space dominates.** {len(space)} of the {len(late)} `test` tasks and {len(tasks) - len(real)} of the {len(tasks)} `test-slow` tasks are `{XGBOOST}`. Its optimum is an
   artefact of YAHPO's surrogate: the best known configuration of {corner} of the {len(space)} has `booster=dart` and `nrounds` in the top twentieth
   of its logarithmic range, and {len(perfect)} have an accuracy of 1. On these {len(perfect)}, after 100 trials, `random` reaches {means["random"]:.3f} and `tpe` {means["tpe"]:.3f}.
3. **Without that space**, the difference from `gp-optuna` has p {p_value(Versus.of(real, "gp-optuna").p)} ({len(real)} tasks). With each family counted once, it is
   {family_difference()}. `optiformer` leads TPE, CMA-ES and random search in every family.
4. **{number_word(len(looks)).capitalize()} looks at `test`**, with {number_word(len(looks))} defaults of `optiformer`: p against `gp-optuna` after 50 trials was {", ".join(looks[:-1])} and {looks[-1]}
   (exact; SciPy's normal approximation: {", ".join(normal)}). Repeated looks weaken a p value.
   A rerun of `gp-optuna` with `greenlet` and other rounding moved the last one to {p_value(Versus.of(tasks, "gp-optuna").p)} by chance.
5. **`test` resembles `dev`.** {int(shared.sum())} of its tasks are further instances of search spaces in `dev`, and {len(synthetic)} are {len(functions)} functions in several
   dimensions. Tasks of one space are not independent, and the reports' intervals resample tasks, not families.
6. **Another network.** The network in these tables was trained on synthetic functions only, and sees only some of the parameters beyond 20 and some of the trials beyond 128.
7. **Older code.** The published `optiformer` cells come from several revisions, some noted by hand in `provenance.json`, and use bf16
   where the processor has it. Today's `optiformer` treats failures, ties, extreme values and its Gaussian process differently, so
   the tables do not show it."""


def looked_at() -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    looks = pd.read_csv(LOOKS, index_col="task")
    return [(looks[name] - looks["gp-optuna"]).to_numpy() for name in looks if name != "gp-optuna"]


def number_word(n: int) -> str:
    return ("no", "one", "two", "three", "four", "five", "six")[n]


def artefacts(space: pd.Index) -> tuple[list[str], int]:
    """Tasks whose best known value is an accuracy of 1; the number of tasks whose best configuration is in the corner."""
    known = [entries()[task] for task in space]
    low, high = map(math.log, NROUNDS)
    edge = math.exp(high - 0.05 * (high - low))
    corner = [e for e in known if e.best and e.best.get("booster") == "dart" and e.best["nrounds"] >= edge]
    return [e.name for e in known if e.reference.f_best > 0.9999995], len(corner)
