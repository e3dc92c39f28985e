"""The look at objectives and constraints: its grids hold the headline suites, its tests are what the page says."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from grids_of_look import BLOCK

import optibench_benchmarks
import optibench_optimizers


@pytest.fixture(scope="module")
def look() -> ModuleType:
    pytest.importorskip("pymoo", reason="pip install 'optiformer-bench[pymoo]'")
    return importlib.import_module("look_objectives")


@pytest.mark.data("yahpo/lcbench", "keel")
def test_the_committed_grids_are_those_of_the_suites(look: ModuleType) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in look.LOOK.folder.glob("*.yaml")}
    assert files == {name: look.LOOK.text(name, grid) for name, grid in look.grids().items()}


@pytest.mark.data("yahpo/lcbench", "keel")
def test_every_optimizer_can_run_its_tasks(look: ModuleType) -> None:
    for grid in look.grids().values():
        able = [optibench_optimizers.parse(each)[0].capabilities for each in grid["optimizers"]]
        for name in grid["benchmarks"]:
            task = optibench_benchmarks.create(name)
            for capabilities in able:
                assert not capabilities.lacks(len(task.objectives), len(task.constraints)), name


def test_the_family_is_run_after_the_trials_that_its_grids_have(look: ModuleType) -> None:
    trials = {"smac-rf": 50}
    assert {(suite, rival, n) for suite, rival, n in look.FAMILY if n != trials.get(rival, 100)} == set()
    assert len(look.FAMILY) == 10


def test_a_comparison_is_the_ratio_of_floored_means_and_wilcoxons_test_over_tasks(look: ModuleType) -> None:
    rng = np.random.default_rng(0)
    names = [f"{family}/{number}" for family in ("live", "pymoo", "yahpo") for number in range(6)]
    index = pd.MultiIndex.from_product([names, range(4)], names=["task", "seed"])
    both = pd.DataFrame(rng.lognormal(-3, 0.5, (len(index), 2)), index, ["optiformer", "nsga2"])
    both["optiformer"] *= 0.6
    found, p = look.compared(both, "nsga2")
    means = both.groupby("task").mean().clip(lower=1e-3)
    logs = np.log(means["optiformer"] / means["nsga2"])
    assert found.mean == pytest.approx(float(np.exp(logs.mean())))
    assert found.low < found.mean < found.high < 1
    assert p == pytest.approx(scipy.stats.wilcoxon(logs).pvalue)


def test_the_tables_show_every_rival(look: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = ["optiformer", "gp-prior", "nsga2", "nsga2:population_size=10", "tpe-univariate", "tpe", "pycma", "random"]

    def regret(suite: str, n: int) -> pd.DataFrame:
        names = [f"{part}/{number}" for part in ("live", "pymoo") for number in range(4)]
        index = pd.MultiIndex.from_product([names, range(3)], names=["task", "seed"])
        found = pd.DataFrame(np.random.default_rng(n).lognormal(-3, 1, (len(index), len(rivals))), index, rivals)
        few = found["random"].where(found.index.get_level_values("task").str.startswith("live"))
        slow = dict.fromkeys(("smac-rf", *look.GPS), few)
        return found.assign(**slow) if n <= 50 else found  # they run on a part of the tasks, for 50 trials

    monkeypatch.setattr(look, "regret", regret)
    monkeypatch.setattr(look, "feasible_shares", lambda: ["shares"])
    lines = look.tables().splitlines()
    assert sum(line.startswith(("| objectives | `", "| constraints | `")) for line in lines) == 10
    assert sum(line.startswith(("| objectives, ", "| constraints, ")) for line in lines) == 4
    for name in (*rivals, "smac-rf", *look.GPS):
        rows = [line for line in lines if line.startswith(f"| `{name}` | ")]
        assert len(rows) == 2
        assert {row.split(" | ")[1] for row in rows} == ({"8"} if name in rivals else {"4"})
    by_family = [line.split(" | ") for line in lines if line.startswith("| objectives, ")]
    assert [(row[0], "(4)" in row[3], row[3].strip() == "") for row in by_family] == [
        ("| objectives, live", True, False),
        ("| objectives, pymoo", False, True),
    ]
    assert lines[-1] == "shares"


@pytest.mark.data("yahpo/lcbench", "keel")
def test_the_page_has_the_tables(look: ModuleType) -> None:
    assert BLOCK.search(look.LOOK.page.read_text(encoding="utf-8"))[0] == look.tables()


@pytest.mark.data("yahpo/lcbench", "keel")
def test_the_readme_says_what_the_primary_family_says(look: ModuleType) -> None:
    readme = " ".join((look.ROOT / "README.md").read_text(encoding="utf-8").split())
    ahead = {(suite, rival) for suite, rival, _, one, _, p in look.primary() if p < 0.05 and one.high < 1}
    assert {rival for suite, rival in ahead if suite == "objectives"} == {*look.GENETIC[:2], "tpe-univariate", "random"}
    assert {rival for suite, rival in ahead if suite == "constraints"} == {"tpe", "pycma", "random"}
    assert "ahead of NSGA-II, MOTPE and random search, and with constraints of TPE, CMA-ES and random search" in readme
    assert "the network has no part in these" in readme
