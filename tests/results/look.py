"""The one look at the kept tasks (docs/explanation/protocol.md): its grids, its forecast, its numbers.

::

    python tests/results/look.py --write      # results/look/*.yaml, from the kept tasks
    python tests/results/look.py --forecast   # core-hours of each grid
    python tests/results/look.py              # the tables, once the grids have run

A grid ``results/look/NAME.yaml`` runs into ``results/look/NAME``; ``hebo`` is examples/external/hebo.yaml.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from optibench import external
from optibench.runs.forecast import dry_run
from optibench.store.to_results import load
from optibench_benchmarks import kept
from optibench_benchmarks.kept.draw import by_hash
from optibench_benchmarks.kept.groups import group
from optibench_reports.stats.ratios import FLOOR, Ratio, ratio, regrets
from optibench_reports.stats.tests import holm, signed_rank

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "look"
SAMPLER = "optiformer-sampler"
LIVE = [SAMPLER, *(f"{SAMPLER}:surrogate={name}" for name in ("gp-prior", "gp-map", "untrained"))]
SPACE = ["optiformer", "gp-prior", "gp-map", "optiformer:network=untrained"]
CLASSICAL = ["tpe", "tpe:group=true", "cmaes", "random"]
SLOW = ["gp-optuna", "gp-botorch", "smac-rf"]
OF_SLOW, OF_HEBO = 8, 4
"""Tasks of each track for the slow optimizers, first by the SHA-256 of their names."""
EVALUATION = {"live": 0.05, "hpob": 1e-3, "bbob": 2e-4}
"""Mean seconds of an evaluation."""
RIVALS, AT, TRACKS = ("gp-prior", "tpe"), (25, 50), ("live", "pools")
"""The primary family: OptiFormer against each, after so many trials, on these tracks."""


def tasks(family: str) -> dict[str, list[str]]:
    """The kept tasks of a family by group; BBOB's in many dimensions are a group of their own."""
    return dict(kept.read()["tasks"][family])


def grids() -> dict[str, dict[str, Any]]:
    """Every grid of the look, by name."""
    live, pools, bbob = ([name for names in tasks(f).values() for name in names] for f in ("live", "hpob", "bbob"))
    high = tasks("bbob")["many dimensions"]
    low = [name for name in bbob if name not in high]
    slow, first = ([by_hash(part)[:n] for part in (live, pools, low)] for n in (OF_SLOW, OF_HEBO))

    def grid(optimizers: Sequence[str], names: Sequence[str], seeds: int, trials: int) -> dict[str, Any]:
        own = {"initial_size": 5} if names[0].startswith("live/") else {}
        return {"optimizers": list(optimizers), "benchmarks": list(names), "seeds": seeds, "trials": trials, **own}

    return {
        "live": grid([*LIVE, *CLASSICAL], live, 10, 50),
        "pools": grid([*SPACE, *CLASSICAL], pools, 10, 50),
        "bbob": grid([*SPACE, *CLASSICAL], low, 10, 100),
        "bbob-high": grid([*SPACE, *CLASSICAL], high, 5, 200),
        "live-slow": grid(SLOW, slow[0], 5, 50),
        "slow": grid(SLOW, [*slow[1], *slow[2]], 5, 50),
        "live-hebo": grid(["hebo"], first[0], 3, 50),
        "hebo": grid(["hebo"], [*first[1], *first[2]], 3, 50),
    }


def text(name: str, grid: Mapping[str, Any]) -> str:
    """A grid as YAML."""
    head = "# A part of the one look at the kept tasks; python tests/results/look.py --write makes it\n"
    return head + yaml.safe_dump({"name": f"look-{name}", **grid}, sort_keys=False, width=110)


def forecast() -> dict[str, float]:
    """Core-hours of each grid."""
    external.register(external.load(ROOT / "examples" / "external" / "hebo.yaml"))
    hours = {}
    for name, grid in grids().items():
        seconds = dry_run(str(FOLDER / f"{name}.yaml"), {"jobs": 1}).seconds
        evaluations = sum(EVALUATION[task.partition("/")[0]] for task in grid["benchmarks"])
        hours[name] = (seconds + evaluations * len(grid["optimizers"]) * grid["seeds"] * grid["trials"]) / 3600
    return hours


@dataclass(frozen=True)
class Primary:
    """One of the eight tests.

    Attributes:
        track, rival, trials: What is compared.
        ratio: OptiFormer's regret as a multiple of the rival's.
        p: Wilcoxon's signed-rank p over tasks, on logarithms of the mean regrets, each at least the floor.
    """

    track: str
    rival: str
    trials: int
    ratio: Ratio
    p: float


def compared(runs: pd.DataFrame, learned: str, rival: str) -> tuple[Ratio, float]:
    """The ratio of regrets and the p value, from regrets indexed by (task, seed)."""
    means = runs[[learned, rival]].groupby("task").mean().clip(lower=FLOOR)
    difference = np.log(means[learned]) - np.log(means[rival])
    groups = {name: group(name) for name in means.index}
    return ratio(runs, learned, rival, groups), signed_rank(difference.to_numpy()).p


def primary() -> list[tuple[Primary, float]]:
    """The eight tests, each with Holm's adjusted p."""
    found = []
    for track in TRACKS:
        for n in AT:
            runs = regrets(load(FOLDER / track), n)
            for rival in RIVALS:
                learned = SAMPLER if track == "live" else "optiformer"
                name = f"{SAMPLER}:surrogate={rival}" if track == "live" and rival != "tpe" else rival
                found.append(Primary(track, rival, n, *compared(runs, learned, name)))
    return list(zip(found, holm(np.array([one.p for one in found])), strict=True))


def main() -> int:
    """See the module."""
    if "--write" in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for name, grid in grids().items():
            (FOLDER / f"{name}.yaml").write_text(text(name, grid), encoding="utf-8")
    elif "--forecast" in sys.argv[1:]:
        hours = forecast()
        hours["all"] = sum(hours.values())
        print("\n".join(f"{name:10} {each:5.1f} core-hours" for name, each in hours.items()))
    else:
        for one, adjusted in primary():
            print(
                f"{one.track:6} {one.rival:9} {one.trials:3} trials: {one.ratio.mean:.2f} "
                f"[{one.ratio.low:.2f}, {one.ratio.high:.2f}] over {one.ratio.tasks} tasks, "
                f"{one.ratio.at_floor} at the floor; p {one.p:.4f}, Holm {adjusted:.4f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
