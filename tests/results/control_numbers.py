"""The tables of docs/explanation/controls.md, from the grids controls, admission, conditional, ablation and siblings in ``results``.

``python tests/results/control_numbers.py --write`` rewrites them; test_controls.py compares.
"""

# ruff: noqa: E501  (the template keeps the line breaks of the page)
from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import look
import pandas as pd
from grids_of_look import shown

from optibench.store.to_results import load
from optibench_benchmarks.kept.groups import group
from optibench_reports.data.score_array import family
from optibench_reports.stats import ratios
from optibench_reports.stats.ratios import Ratio, ratio
from optibench_reports.stats.tests import ranks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "controls.md"
BLOCK = re.compile(r"(<!-- begin: (\w+) -->\n)(.*?)(<!-- end: \2 -->)", re.DOTALL)
AT = (25, 50)
RIVALS = ("gp-prior", "gp-map", "optiformer:network=untrained", "gp-optuna", "tpe", "tpe:group=true")
TRACKS = {"live": "scikit-learn pipelines", "hpob": "HPO-B's pools", "bbob": "BBOB's functions"}


FAMILIES = {"yahpo/lcbench": 3, "yahpo/rbv2_xgboost": 3, "hpobench/nn": 4, "synthetic": 9}
OTHER_GPS = ("gp-optuna", "gp-botorch")


@functools.cache
def regrets(n: int, folder: str = "controls") -> pd.DataFrame:
    """Regrets after n trials, (task, seed) by optimizer; the controls' with those of a rival that was added later."""
    folders = ("controls", "controls-gp-optuna") if folder == "controls" else (folder,)
    return pd.concat([ratios.regrets(load(ROOT / "results" / name), n) for name in folders], axis=1)


def against(rival: str, n: int) -> dict[str, Ratio]:
    """OptiFormer's regret after n trials as a multiple of a rival's, by track."""
    runs = regrets(n)
    tasks = runs.index.unique("task")
    return {
        track: ratio(
            runs.loc[[task for task in tasks if task.startswith(f"{track}/")]],
            "optiformer",
            rival,
            {task: group(task) for task in tasks},
        )
        for track in TRACKS
    }


def other_gp(rival: str, n: int, part: str) -> Ratio:
    """The regret of ``gp-map`` after n trials on a family of ``dev`` as a multiple of another GP's."""
    runs = regrets(n, "admission")
    tasks = [task for task in runs.index.unique("task") if task.startswith(part)]
    return ratio(runs.loc[tasks], "gp-map", rival, {task: task for task in tasks})


def admitted() -> str:
    """``gp-map`` beside other GPs, by family of ``dev``."""
    runs = regrets(50, "admission")
    columns = [(rival, n) for rival in OTHER_GPS for n in AT]
    rows = []
    for part in (*FAMILIES, ""):
        cells = [f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in (other_gp(*key, part) for key in columns)]
        name = f"`{part}` ({FAMILIES[part]})" if part else f"all ({runs.index.unique('task').size})"
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            f"| family (tasks), {runs.index.unique('seed').size} seeds | "
            + " | ".join(f"`{rival}`, {n} trials" for rival, n in columns)
            + " |",
            "|---|" + "---:|" * len(columns),
            *rows,
            kept(),
            "",
        ]
    )


def kept() -> str:
    """The row of the tasks that are kept for the one look."""
    cells = [shown(look.compared(look.runs(look.ALL, n), "gp-map", rival)[0]) for rival in OTHER_GPS for n in AT]
    tasks = look.runs(look.ALL, AT[0])[OTHER_GPS[0]].dropna().index.unique("task").size
    return f"| kept tasks of the one look ({tasks}), 5 seeds | {' | '.join(cells)} |"


def tables() -> str:
    """Mean regrets, and OptiFormer's as a multiple of each other's."""
    runs = {n: regrets(n) for n in AT}
    names = ("optiformer", *RIVALS, "random")
    tasks = runs[AT[0]].index.unique("task")
    of_track = {track: [task for task in tasks if task.startswith(f"{track}/")] for track in TRACKS}
    columns = [(track, n) for track in TRACKS for n in AT]
    head = " | ".join(f"{TRACKS[track]}, {n} trials" for track, n in columns)
    rule = "|---|" + "---:|" * len(columns)
    means = [
        f"| `{name}` | "
        + " | ".join(f"{runs[n].loc[of_track[track], name].groupby('task').mean().mean():.3f}" for track, n in columns)
        + " |"
        for name in names
    ]
    rows = []
    for rival in RIVALS:
        found = {n: against(rival, n) for n in AT}
        cells = [f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in (found[n][track] for track, n in columns)]
        rows.append(f"| `{rival}` | {' | '.join(cells)} |")
    learned = [one for n in AT for one in against("gp-prior", n).values()]
    below, above = sum(one.high < 1 for one in learned), sum(one.low > 1 for one in learned)
    counts = ", ".join(f"{len(found)} of {TRACKS[track]}" for track, found in of_track.items())
    return "\n".join(
        [
            f"Mean normalised regret on {len(tasks)} tasks ({counts}; none is kept for the one look), {runs[50].index.unique('seed').size} seeds:",
            "",
            f"| optimizer | {head} |",
            rule,
            *means,
            "",
            "The regret of `optiformer` as a multiple of each other's: the geometric mean over tasks of the ratios of mean regrets, each at",
            "least .001, with the 95 % interval of a bootstrap over groups of learners or functions, tasks and seeds. Below 1, `optiformer` is better.",
            "",
            f"| against | {head} |",
            rule,
            *rows,
            "",
            f"Of the {len(learned)} intervals against `gp-prior`, {below} lie below 1 and {above} above.",
            "",
        ]
    )


def conditional() -> str:
    """Mean ranks and mean regrets on the conditional pipelines of ``dev``."""
    counts = (15, 25, 40, 50)
    runs = {n: regrets(n, "conditional").groupby("task").mean() for n in counts}
    places = {n: dict(zip(part, ranks(part.to_numpy().T).mean(1), strict=True)) for n, part in runs.items()}
    lines = ["| optimizer | " + " | ".join(f"{n} trials" for n in counts) + " |", "|---|" + "---:|" * len(counts)]
    for name in runs[counts[0]]:
        cells = " | ".join(f"{places[n][name]:.2f} ({part[name].mean():.3f})" for n, part in runs.items())
        lines.append(f"| `{name}` | {cells} |")
    return "\n".join([*lines, ""])


def changed(folder: str) -> str:
    """Regrets with one part off or changed, as multiples of the default's, on ``dev`` and on pools."""
    runs = {n: regrets(n, folder) for n in AT}
    tasks = runs[AT[0]].index.unique("task")
    pools = {name: group(name) for name in tasks if name.startswith("hpob/")}
    parts = {"`dev`": {name: family(name) for name in tasks if name not in pools}, "pools": pools}
    columns = [(words, n) for words in parts if parts[words] for n in AT]
    lines = ["| optimizer | " + " | ".join(f"{words} ({len(parts[words])}), {n} trials" for words, n in columns) + " |"]
    lines += ["|---|" + "---:|" * len(columns)]
    for name in ("optiformer", *(name for name in runs[AT[0]] if name != "optiformer")):
        cells = []
        for words, n in columns:
            both = runs[n].loc[list(parts[words])]
            cells.append(f"{both[name].groupby('task').mean().mean():.3f}")
            if name != "optiformer":
                one = ratio(both, name, "optiformer", parts[words])
                cells[-1] += f" ({one.mean:.2f} [{one.low:.2f}, {one.high:.2f}])"
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


BLOCKS = {
    "controls": tables,
    "admitted": admitted,
    "conditional": conditional,
    "ablation": lambda: changed("ablation"),
    "siblings": lambda: changed("siblings"),
}


def main() -> int:
    """Print the tables, or write them into the page."""
    text = PAGE.read_text(encoding="utf-8")
    new = BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[4], text)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    else:
        print(*(make() for make in BLOCKS.values()), sep="\n")
    return int(new != text)


if __name__ == "__main__":
    sys.exit(main())
