"""A grid means the same however it is written, and a cell's key covers what determines its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from optibench.errors import HarnessError
from optibench.options import declared
from optibench.plan.cells import Cell, derived_seed
from optibench.plan.plan import Plan
from optibench.spec.budget import Budget
from optibench.spec.fidelity import FidelityChoice
from optibench.spec.grid import Grid, load, shipped

GRID = Grid(("random", "tpe:group=true"), ("synthetic/sphere-2d", "synthetic/levy-2d"), (0, 1), 8)


@pytest.mark.parametrize(
    ("written", "seeds"),
    [
        (3, (0, 1, 2)),
        ("3", (0, 1, 2)),
        ("3-5", (3, 4, 5)),
        ("7-7", (7,)),
        ("1,3,7", (1, 3, 7)),
        ("0-2,9", (0, 1, 2, 9)),
        ([4, 2, 4], (4, 2)),
    ],
)
def test_seeds_are_a_count_a_range_or_a_list(written: Any, seeds: tuple[int, ...]) -> None:
    assert declared(Grid)["seeds"].value(written, "here") == seeds


@pytest.mark.parametrize(
    "written", [0, -1, "0", "", ",", "a", "3-1", "1-", [], [-1], ["1"], [True], True, None, 2.5, {}]
)
def test_other_seeds_are_refused(written: Any) -> None:
    with pytest.raises(HarnessError, match=r"here: `seeds` is a count of at least 1"):
        declared(Grid)["seeds"].value(written, "here")


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("optimizers: random\nbenchmarks: [demo]\nseeds: 2\ntrials: 15\njobs: 3\n")
    grid, settings = load(str(tmp_path / "grid.yaml"), {"trials": "17", "optimizers": ["tpe"], "jobs": None})
    assert grid == Grid(("tpe",), ("demo",), (0, 1), 17)
    assert settings.jobs == 3


def test_every_shipped_grid_loads() -> None:
    assert "demo" in shipped()
    for name in shipped():
        grid, _ = load(name, {})
        assert grid.name == name


def test_the_order_and_spelling_of_settings_do_not_matter() -> None:
    one = Plan.of(msgspec.structs.replace(GRID, optimizers=("tpe:group=true,n_startup_trials=5",)))
    other = Plan.of(msgspec.structs.replace(GRID, optimizers=("tpe:n_startup_trials=5,group=True",)))
    assert list(one.cells()) == list(other.cells())


def test_keys_differ_wherever_results_may() -> None:
    def keys(**changes: Any) -> set[str]:
        planned = Plan.of(msgspec.structs.replace(GRID, **changes))
        return {cell.key for cell in planned.cells()}

    base = keys()
    assert len(base) == 8
    assert keys(name="other") == base
    assert keys(seeds=(1, 0)) == base
    assert keys(optimizers=("random",)) < base
    for changes in ({"trials": 9}, {"initial": "own"}, {"initial_size": 3}, {"seeds": (2, 3)}):
        assert not keys(**changes) & base, changes


def test_versions_are_in_fingerprints_and_not_in_keys() -> None:
    planned = Plan.of(GRID)
    random = msgspec.structs.replace(planned.optimizers["random"], packages={"ConfigSpace": "3"})
    for changes, same in (
        ({"packages": {**planned.packages, "numpy": "3"}}, True),
        ({"optimizers": {**planned.optimizers, "random": random}}, True),
        ({"packages": {**planned.packages, "schema": 3}}, False),
    ):
        changed = msgspec.structs.replace(planned, **changes)
        assert (list(changed.cells()) == list(planned.cells())) == same
        assert planned.differences(changed) == []


def test_the_keys_of_an_earlier_versions_folder_are_what_they_were() -> None:
    planned = Plan.of(Grid(("random",), ("synthetic/sphere-2d",), (0,), 8))

    def keys(numpy: str) -> set[str]:
        packages = {"schema": 1, "ConfigSpace": "1.2.2", "numpy": numpy}
        return {cell.key for cell in msgspec.structs.replace(planned, packages=packages).cells()}

    assert not keys("2.4.6") & keys("0.0")


def test_a_published_plan_does_not_depend_on_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Plan.of(GRID)
    before = list(planned.cells())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    assert list(planned.cells()) == before


def test_derived_seeds_depend_on_every_part_and_are_frozen() -> None:
    assert derived_seed("optimizer", "synthetic/sphere-2d", 0) == 2060031347
    seeds = {derived_seed(kind, task, seed) for kind in "ab" for task in "xyz" for seed in range(50)}
    assert len(seeds) == 2 * 3 * 50
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_cell_survives_json() -> None:
    for cell in (
        Cell("k", "random", "t", 1, 50, 10),
        Cell("k", "asha", "t", 1, 50, 0, Budget("fidelity", 50.0), 4, FidelityChoice("epochs", 3.0)),
    ):
        assert msgspec.json.decode(msgspec.json.encode(cell), type=Cell) == cell
