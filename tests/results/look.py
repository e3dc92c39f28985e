"""The one look at the kept tasks (docs/explanation/protocol.md): its grids, its forecast, its numbers.

::

    python tests/results/look.py --write      # results/look/*.yaml, from the kept tasks
    python tests/results/look.py --forecast   # core-hours of each grid
    python tests/results/look.py --page       # the tables into docs/explanation/protocol.md, once the grids have run
    python tests/results/look.py --figure     # docs/images/look-regret.png

A grid ``results/look/NAME.yaml`` runs into ``results/look/NAME``; ``hebo`` is examples/external/hebo.yaml. On ``live``
and ``pools`` there is a grid for each group of learners, because each has its own network.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from committed import ROOT
from grids_of_look import Look, p_words, shown
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

import optibench_benchmarks
from optibench import external
from optibench.store.to_results import load
from optibench_benchmarks import kept
from optibench_benchmarks.kept.draw import by_hash
from optibench_benchmarks.kept.groups import group
from optibench_reports.figures.style import styles
from optibench_reports.stats.ratios import FLOOR, Ratio, regrets, tested
from optibench_reports.stats.tests import holm, ranks

PAGE = ROOT / "docs" / "explanation" / "protocol.md"
SAMPLER = "optiformer-sampler"
OF_GROUP = "checkpoint={}"
LIVE = [f"{SAMPLER}:{OF_GROUP}", *(f"{SAMPLER}:{OF_GROUP},surrogate={name}" for name in ("gp-prior", "untrained"))]
LIVE += [f"{SAMPLER}:surrogate=gp-map"]
SPACE = [f"optiformer:{OF_GROUP}", f"gp-prior:{OF_GROUP}", f"optiformer:{OF_GROUP},network=untrained", "gp-map"]
NETWORKS = "results/networks"
"""Folder of the networks that left a group of learners out, and of the one without recorded tunings (``synthetic``)."""
CLASSICAL = ["tpe", "tpe:group=true", "cmaes", "random"]
SLOW = ["gp-optuna", "gp-botorch", "smac-rf"]
OF_SLOW, OF_HEBO = 8, 4
"""Tasks of each track for the slow optimizers, first by the SHA-256 of their names."""
EVALUATION = {"live": 0.05, "hpob": 1e-3, "bbob": 2e-4}
"""Mean seconds of an evaluation."""
RIVALS, AT, TRACKS = ("gp-prior", "tpe"), (25, 50), ("live", "pools")
"""The primary family: OptiFormer against each, after so many trials, on these tracks."""
ALL = "live, pools, bbob"
PANELS = {"live": "scikit-learn pipelines", "pools": "HPO-B's pools", "bbob": "BBOB's functions"}
SHOWN = {ALL: AT, "live": AT, "pools": AT, "bbob": (25, 50, 100), "bbob-high": (50, 200)}
"""The trial counts of each track's table."""
RANKED = ("optiformer", "gp-prior", "gp-map", "tpe", "tpe:group=true", "cmaes", "random")
"""The optimizers of the mean ranks on ``live``."""


def tasks(family: str) -> dict[str, list[str]]:
    """The kept tasks of a family by group; BBOB's in many dimensions are a group of their own."""
    return dict(kept.read()["tasks"][family])


def network(part: str) -> str:
    """The network that never saw a group of learners; pipelines mix the groups, so theirs saw no recorded tuning."""
    return f"{NETWORKS}/synthetic" if part == "mixed" else f"{NETWORKS}/without-{part}"


def by_group(track: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The tasks of a track's grids, by the name of the grid."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(f"{track}-{group(name)}", []).append(name)
    return dict(sorted(found.items()))


def grids() -> dict[str, dict[str, Any]]:
    """Every grid of the look, by name."""
    live, pools, bbob = ([name for names in tasks(f).values() for name in names] for f in ("live", "hpob", "bbob"))
    high = tasks("bbob")["many dimensions"]
    low = [name for name in bbob if name not in high]
    slow, first = ([by_hash(part)[:n] for part in (live, pools, low)] for n in (OF_SLOW, OF_HEBO))

    def grid(optimizers: Sequence[str], names: Sequence[str], seeds: int, trials: int) -> dict[str, Any]:
        own = {"initial_size": 5} if names[0].startswith("live/") else {}
        return {"optimizers": list(optimizers), "benchmarks": list(names), "seeds": seeds, "trials": trials, **own}

    def learned(optimizers: Sequence[str], track: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = {}
        for name, part in by_group(track, names).items():
            folder = network(name.removeprefix(f"{track}-"))
            found[name] = grid([*(each.format(folder) for each in optimizers), *CLASSICAL], part, 10, 50)
        return found

    shipped = [re.sub(r":?checkpoint={},?", ":", each).rstrip(":") for each in SPACE]
    return {
        **learned(LIVE, "live", live),
        **learned(SPACE, "pools", pools),
        "bbob": grid([*shipped, *CLASSICAL], low, 10, 100),
        "bbob-high": grid([*shipped, *CLASSICAL], high, 5, 200),
        "slow-live": grid(SLOW, slow[0], 5, 50),
        "slow": grid(SLOW, [*slow[1], *slow[2]], 5, 50),
        "hebo-live": grid(["hebo"], first[0], 3, 50),
        "hebo": grid(["hebo"], [*first[1], *first[2]], 3, 50),
    }


def plain(name: str) -> str:
    """An optimizer's name without the network of its group, and without the sampler."""
    name = re.sub(r"checkpoint=[^,]*,?", "", name).rstrip(":,")
    surrogate = re.fullmatch(rf"{SAMPLER}:surrogate=(.*)", name)
    if surrogate:
        return "optiformer:network=untrained" if surrogate[1] == "untrained" else surrogate[1]
    return "optiformer" if name == SAMPLER else name


@functools.cache
def finished() -> tuple[Any, ...]:
    """The finished grids of the look."""
    return tuple(load(file.parent) for file in sorted(LOOK.folder.glob("*/trials.parquet")))


@functools.cache
def runs(track: str, n: int) -> pd.DataFrame:
    """Regrets of a track's tasks after n trials, (task, seed) by optimizer; missing where an optimizer did not run."""
    if track == ALL:
        return pd.concat([runs(each, n) for each in ("live", "pools", "bbob")])
    family = {"live": "live/", "pools": "hpob/"}.get(track, "bbob/")
    high = set(tasks("bbob")["many dimensions"])
    parts = []
    for grid in finished():
        found = regrets(grid, n)
        names = [name for name in found.index.unique("task") if name.startswith(family)]
        names = [name for name in names if (name in high) == (track == "bbob-high")]
        parts.append(found.loc[names].rename(columns=plain))
    return pd.concat(parts).groupby(level=["task", "seed"]).first().dropna(axis=1, how="all")


def compared(both: pd.DataFrame, learned: str, rival: str) -> tuple[Ratio, float]:
    """The ratio of regrets and the p value, over the runs that both have."""
    both = both[[learned, rival]].dropna()
    return tested(both, learned, rival, {name: group(name) for name in both.index.unique("task")})


def primary() -> list[tuple[str, str, int, Ratio, float, float]]:
    """The eight tests: track, rival, trials, the ratio, p, and p with Holm's adjustment."""
    cases = [(track, rival, n) for track in TRACKS for rival in RIVALS for n in AT]
    found = [compared(runs(track, n), "optiformer", rival) for track, rival, n in cases]
    adjusted = holm(np.array([p for _, p in found]))
    return [(*case, *each, holm_p) for case, each, holm_p in zip(cases, found, adjusted.tolist(), strict=True)]


def has_conditions(name: str) -> bool:
    """Whether a task's space has conditions."""
    return bool(optibench_benchmarks.create(name).space.conditions)


def mean_ranks(names: Sequence[str], n: int, among: Sequence[str] = RANKED) -> dict[str, str]:
    """Mean ranks after n trials among some optimizers on some live tasks, over the seeds that all have.

    With 95 % intervals of a bootstrap over tasks.
    """
    regret = runs("live", n).loc[list(names), list(among)].dropna().groupby("task").mean()
    places = ranks(regret.to_numpy().T)
    drawn = np.random.default_rng(0).integers(places.shape[1], size=(10_000, places.shape[1]))
    low, high = np.quantile(places[:, drawn].mean(2), [0.025, 0.975], axis=1)
    words = [f"{one:.2f} [{a:.1f}, {b:.1f}]" for one, a, b in zip(places.mean(1), low, high, strict=True)]
    return dict(zip(among, words, strict=True))


def headline(n: int = 50) -> str:
    """Mean regrets of the optimizers that ran on every task, by track, and ``optiformer``'s ratios to them."""
    whole = runs(ALL, n).dropna(axis=1)
    means = whole.groupby("task").mean()
    parts = {words: means.loc[runs(track, n).index.unique("task")] for track, words in PANELS.items()}
    head = [f"{words} ({len(part)})" for words, part in parts.items()]
    lines = [f"| optimizer | {' | '.join(head)} | all {len(means)} | `optiformer`'s ratio to it |"]
    lines += ["|---|" + "---:|" * (len(parts) + 2)]
    for name in means.mean().sort_values().index:
        cells = [f"{part[name].mean():.3f}" for part in (*parts.values(), means)]
        cells += ["" if name == "optiformer" else shown(compared(whole, "optiformer", name)[0])]
        lines.append(f"| `{name}` | {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines)


def figure() -> Figure:
    """Mean normalised regret after each trial, one panel a track."""
    drawn = Figure(figsize=(10, 3.6), layout="constrained")
    names = (*RANKED, "optiformer:network=untrained")
    looks = styles(names)
    for axes, (track, words) in zip(drawn.subplots(1, 3), PANELS.items(), strict=True):
        trials = range(5 if track == "live" else 10, max(SHOWN[track]) + 1)
        means = pd.DataFrame({n: runs(track, n).groupby("task").mean().mean() for n in trials})
        for name in names:
            style, width = looks[name], 2.2 if name == "optiformer" else 1.2
            axes.plot(trials, means.loc[name], color=style.colour, linestyle=style.line, linewidth=width, label=name)
        axes.set(title=f"{words} ({runs(track, 50).index.unique('task').size} tasks)", xlabel="trials", yscale="log")
        for part in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            part(FormatStrFormatter("%g"))
        axes.tick_params(axis="y", which="both", labelsize=8)
    drawn.axes[0].set_ylabel("mean normalised regret")
    drawn.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return drawn


def tables() -> str:
    """The results as Markdown."""
    lines = ["The primary family, the regret of `optiformer` as a multiple of the rival's:", ""]
    lines += ["| track | rival | trials | ratio | tasks | p | p, Holm |", "|---|---|---:|---:|---:|---:|---:|"]
    for track, rival, n, one, p, adjusted in primary():
        lines.append(f"| {track} | `{rival}` | {n} | {shown(one)} | {one.tasks} | {p_words(p)} | {p_words(adjusted)} |")
    for track, trials in SHOWN.items():
        regret = {n: runs(track, n) for n in trials}
        rivals = [name for name in regret[trials[0]] if name != "optiformer"]
        head = " | ".join(f"{n} trials" for n in trials)
        tested_too = " and its p value, not adjusted" if track == ALL else ""
        lines += ["", f"Mean regret and, in brackets, `optiformer`'s ratio to it{tested_too}, on `{track}`:", ""]
        lines += [f"| optimizer | tasks | seeds | {head} |", "|---|---:|---:|" + "---:|" * len(trials)]
        for name in ("optiformer", *rivals):
            both = {
                n: table[list(dict.fromkeys(["optiformer", name]))].dropna()
                for n, table in regret.items()
                if name in table
            }
            cells = {n: f"{table[name].groupby('task').mean().mean():.3f}" for n, table in both.items()}
            if name != "optiformer":
                found = {n: compared(table, "optiformer", name) for n, table in both.items()}
                tests = {n: f", p {p_words(p)}" if track == ALL else "" for n, (_, p) in found.items()}
                cells = {n: f"{cells[n]} ({shown(found[n][0])}{tests[n]})" for n in both}
            counts = [both[trials[0]].index.unique(level).size for level in ("task", "seed")]
            row = " | ".join(cells.get(n, "") for n in trials)  # the slow ones run for 50 trials
            lines.append(f"| `{name}` | {counts[0]} | {counts[1]} | {row} |")
    pairs = [(rival, n) for rival in (*RIVALS, "gp-optuna") for n in AT]
    lines += ["", "`optiformer`'s ratios by group of learners or functions, over tasks and seeds:", ""]
    lines += ["| group | " + " | ".join(f"to `{rival}`, {n} trials" for rival, n in pairs) + " |"]
    lines += ["|---|" + "---:|" * len(pairs)]
    for track in ("live", "pools", "bbob"):
        regret = {n: runs(track, n) for n in AT}
        tasks_of: dict[str, list[str]] = {}
        for name in regret[AT[0]].index.unique("task"):
            tasks_of.setdefault(group(name), []).append(name)
        for part, names in sorted(tasks_of.items()):
            ratios = [_of_group(regret[n].loc[names], rival) for rival, n in pairs]
            lines.append(f"| {track}, {part} | {' | '.join(ratios)} |")
    live = runs("live", AT[0])
    names = list(live.index.unique("task"))
    conditional = [name for name in names if has_conditions(name)]
    slow = [name for name in names if all(name in live[each].dropna().index for each in SLOW if each in live)]
    parts = {"with conditions": conditional, "without": [name for name in names if name not in conditional]}
    for spaces, among in ((parts, RANKED), ({"all": slow}, (*RANKED, *(each for each in SLOW if each in live)))):
        lines += ["", f"Mean ranks on {sum(map(len, spaces.values()))} tasks of `live` among {len(among)}:", ""]
        lines += ["| spaces | trials | " + " | ".join(f"`{name}`" for name in among) + " |"]
        lines += ["|---|---:|" + "---:|" * len(among)]
        for words, chosen in spaces.items():
            for n in (15, 25, 40):
                found = " | ".join(mean_ranks(chosen, n, among).values())
                lines.append(f"| {words} ({len(chosen)}) | {n} | {found} |")
    return "\n".join(lines) + "\n"


def _of_group(both: pd.DataFrame, rival: str) -> str:
    """The ratio on the tasks of one group that a rival ran on."""
    if rival not in both or not len(found := both[["optiformer", rival]].dropna()):
        return ""
    if (found.groupby("task").mean() <= FLOOR).all(axis=None):
        return "at the floor"
    return shown(tested(found, "optiformer", rival, dict.fromkeys(found.index.unique("task"), ""))[0])


def main() -> int:
    """See the module."""
    if "--figure" in sys.argv[1:]:
        figure().savefig(ROOT / "docs" / "images" / "look-regret.png", dpi=110)
        return 0
    if "--forecast" in sys.argv[1:]:
        external.register(external.load(ROOT / "examples" / "external" / "hebo.yaml"))
    return LOOK.main()


LOOK = Look("look", "A part of the one look at the kept tasks", grids, EVALUATION, tables, PAGE)

if __name__ == "__main__":
    sys.exit(main())
