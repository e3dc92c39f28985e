"""The protocol of the one look: its grids hold the kept tasks and nothing else, and its tests are what it says."""

from __future__ import annotations

import re

import look
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml
from grids_of_look import BLOCK

import optibench_optimizers
from optibench_benchmarks import kept
from optibench_benchmarks.kept.groups import group
from optiformer.surrogate.checkpoint import load


def test_the_committed_grids_are_those_of_the_rule() -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in look.LOOK.folder.glob("*.yaml")}
    assert files == {name: look.LOOK.text(name, grid) for name, grid in look.grids().items()}


def test_they_run_every_kept_task_and_no_other() -> None:
    grids = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in look.LOOK.folder.glob("*.yaml")}
    tracks = ("live-", "pools-", "bbob")
    full = [name for grid in grids if grid.startswith(tracks) for name in grids[grid]["benchmarks"]]
    assert sorted(full) == sorted(kept.names())
    for name, grid in grids.items():
        assert set(grid["benchmarks"]) <= set(full), name
        for specification in grid["optimizers"]:
            if specification != "hebo":  # an external one
                optibench_optimizers.parse(specification)
    slow = [*grids["slow-live"]["benchmarks"], *grids["slow"]["benchmarks"]]
    hebo = [*grids["hebo-live"]["benchmarks"], *grids["hebo"]["benchmarks"]]
    assert (len(slow), len(hebo)) == (24, 12)
    assert set(hebo) < set(slow)


def test_no_network_was_trained_on_the_learners_it_tunes() -> None:
    seen = []
    for name, grid in look.grids().items():
        track, _, part = name.partition("-")
        if track not in ("live", "pools"):
            continue
        assert {group(task) for task in grid["benchmarks"]} == {part}
        folders = {match[1] for each in grid["optimizers"] if (match := re.search("checkpoint=([^,]*)", each))}
        (folder,) = folders
        recorded = load(look.ROOT / folder).encoding.recorded
        assert (recorded.left_out == part) if recorded.share else folder.endswith("synthetic")
        assert part != "mixed" or not recorded.share
        learned = [each for each in grid["optimizers"] if "checkpoint=" in each]
        assert [look.plain(each) for each in learned] == ["optiformer", "gp-prior", "optiformer:network=untrained"]
        seen.append(part)
    assert sorted(seen) == sorted([*("trees", "forests", "boosting", "linear") * 2, "mixed", "other"])


def test_a_comparison_is_the_ratio_of_floored_means_and_wilcoxons_test_over_tasks() -> None:
    rng = np.random.default_rng(0)
    names = kept.read()["tasks"]["live"]
    index = pd.MultiIndex.from_product([[task for part in names.values() for task in part], range(4)])
    runs = pd.DataFrame(rng.lognormal(-3, 0.5, (len(index), 2)), index.set_names(["task", "seed"]), ["a", "b"])
    runs["a"] *= 0.7
    runs.loc[index[:4], :] = 1e-5  # at the floor on one task: left out of the ratio, a tie in the test
    found, p = look.compared(runs, "a", "b")
    means = runs.groupby("task").mean().clip(lower=1e-3)
    logs = np.log(means["a"] / means["b"])
    assert found.mean == pytest.approx(np.exp(logs[logs != 0].mean()))
    assert (found.tasks, found.at_floor) == (23, 1)
    assert found.low < found.mean < found.high < 1
    assert p == pytest.approx(scipy.stats.wilcoxon(logs, zero_method="pratt", method="exact").pvalue, rel=0.3)
    assert look.compared(runs, "b", "a")[1] == p


@pytest.mark.data("keel")
def test_the_page_has_the_tables() -> None:
    assert BLOCK.search(look.LOOK.page.read_text(encoding="utf-8"))[0] == look.tables()


def test_the_readme_says_what_the_primary_family_says() -> None:
    readme = " ".join((look.ROOT / "README.md").read_text(encoding="utf-8").split())
    ahead = {(track, rival) for track, rival, _, one, _, p in look.primary() if p < 0.05 and one.high < 1}
    assert ahead == {("pools", "tpe")}
    assert (
        "has a significantly lower regret than TPE on HPO-B's pools; on scikit-learn pipelines no difference is shown"
        in readme
    )
    assert "that learning wins, rather than the search around it, is not shown" in readme


def test_the_goals_missed_have_the_figures_of_the_primary_family() -> None:
    page = look.LOOK.page.read_text(encoding="utf-8")
    words = {(track, rival, n): f"{one.mean:.2f}".lstrip("0") for track, rival, n, one, _, _ in look.primary()}
    holm = {(track, rival, n): p for track, rival, n, *_, p in look.primary()}
    prior = sorted(word for (_, rival, _), word in words.items() if rival == "gp-prior")
    assert min(p for (_, rival, _), p in holm.items() if rival == "gp-prior") > 0.05
    assert f"| ratios of {prior[0]} to {prior[-1]}, none significant after Holm's adjustment |" in page
    first, second, third, fourth = (words[track, "tpe", n] for track in ("pools", "live") for n in (25, 50))
    p = f"{holm['pools', 'tpe', 25]:.3f}".lstrip("0")
    assert holm["pools", "tpe", 50] < 1e-4
    assert f"| pools {first} (p {p}) and {second} (p < .0001); pipelines {third} and {fourth} |" in page


def test_the_tables_show_every_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = ["optiformer", "gp-prior", "gp-map", "optiformer:network=untrained", *look.CLASSICAL, "gp-optuna"]

    def runs(track: str, n: int) -> pd.DataFrame:
        names = {"live": "live", "pools": "hpob"}.get(track, "bbob")
        tasks = [name for part in look.tasks(names).values() for name in part]
        index = pd.MultiIndex.from_product([tasks, range(3)], names=["task", "seed"])
        found = pd.DataFrame(np.random.default_rng(n).lognormal(-3, 1, (len(index), len(rivals))), index, rivals)
        found.loc[tasks[4:], "gp-optuna"] = np.nan  # it runs on a part of the tasks
        return found

    monkeypatch.setattr(look, "runs", runs)
    monkeypatch.setattr(look, "has_conditions", lambda name: name.startswith("live/mlp"))
    monkeypatch.setattr(look, "mean_ranks", lambda names, n, among: dict.fromkeys(among, "4"))
    lines = look.tables().splitlines()
    assert sum(line.startswith(("| live | `", "| pools | `")) for line in lines) == 8
    for name in rivals:
        rows = [line for line in lines if line.startswith(f"| `{name}` | ")]
        assert len(rows) == len(look.SHOWN)
        assert {row.split(" | ")[1] for row in rows} == ({"4"} if name == "gp-optuna" else {"24", "20", "19"})
