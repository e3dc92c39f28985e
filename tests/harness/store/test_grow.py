"""Runs that grow: `--extend`, `--retry-failed`, merged folders, and which run made which cell."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import optibench_optimizers
from optibench.cell.trials import FIELDS
from optibench.errors import HarnessError
from optibench.runs.run import Outcome, start
from optibench.store.merge import merge
from optibench.store.run_folder import Store
from optibench_benchmarks.synthetic.instances import Synthetic

SPHERE, ACKLEY = "synthetic/sphere-2d", "synthetic/ackley-2d"
TRIALS = ["optimizer", "task", "seed", "trial", "phase", "config", "value", "state"]


def run(folder: Path, *optimizers: str, **options: Any) -> Outcome:
    options = {"trials": 12, "seeds": 2, "executor": "serial", "out": folder} | options
    given = {"optimizers": list(optimizers), "benchmarks": options.pop("tasks", [SPHERE])}
    return start(None, **{key: value for key, value in given.items() if value}, **options)


def extend(folder: Path, *optimizers: str, **options: Any) -> Outcome:
    return run(folder, *optimizers, extend=True, **{"trials": None, "seeds": None, "tasks": None} | options)


def counted(monkeypatch: pytest.MonkeyPatch, lost: int = 0, **changes: Any) -> Counter[str]:
    """Count evaluations, let one fail as where a network is away, or change what they return."""
    counts: Counter[str] = Counter()
    plain = Synthetic.evaluate

    def evaluate(self: Any, config: Any, **more: Any) -> Any:
        counts["evaluated"] += 1
        if counts["evaluated"] == lost:
            raise OSError("no route to host")
        return dataclasses.replace(plain(self, config, **more), **changes)

    monkeypatch.setattr(Synthetic, "evaluate", evaluate)
    return counts


def rows(folder: Path, **where: Any) -> list[list[Any]]:
    store = Store.open(folder)
    frame = store.trials(store.plan().cells(), TRIALS).to_pandas()
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return sorted(frame.to_numpy().tolist(), key=str)


def runs(folder: Path) -> list[str]:
    store = Store.open(folder)
    return [str(name) for name in store.trials(store.plan().cells(), ["run"]).column("run").to_pylist()]


def test_a_grid_of_4_cells_grows_to_18(tmp_path: Path) -> None:
    a, whole = tmp_path / "a", tmp_path / "whole"
    assert run(a, "random", "tpe").finished == 4
    before = rows(a)
    outcome = extend(a, "sobol", tasks=[ACKLEY], seeds=3)
    assert (outcome.finished, outcome.cells) == (18, 18)
    run(whole, "random", "tpe", "sobol", tasks=[SPHERE, ACKLEY], seeds=3)
    assert rows(a) == rows(whole)
    assert [row for row in rows(a) if row in before] == before
    # each cell says which run made it
    first, second = (entry["id"] for entry in json.loads((a / "provenance.json").read_text())["runs"])
    assert Counter(runs(a)) == {first: 4 * 12, second: 14 * 12}
    assert extend(a, "tpe", tasks=[SPHERE], seeds="1").cells == 18  # nothing new


def test_with_more_trials_a_cell_continues_unless_its_optimizer_plans_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fresh_registries: None
) -> None:
    entry = optibench_optimizers.parse("random")[0]
    capabilities = dataclasses.replace(entry.capabilities, ignores_budget=False)
    monkeypatch.setattr(entry.load(), "capabilities", capabilities)
    optibench_optimizers.register(dataclasses.replace(entry, name="planner", capabilities=capabilities))
    a, whole = tmp_path / "a", tmp_path / "whole"
    run(a, "tpe", "planner")
    counts = counted(monkeypatch)
    assert extend(a, trials=20).finished == 4
    assert counts["evaluated"] == 2 * 8 + 2 * 20
    run(whole, "tpe", "planner", trials=20)
    assert rows(a) == rows(whole)
    said = capsys.readouterr().err
    assert "from 12 to 20 trials: 2 cells (tpe) continue; 2 cells (planner) are run again, because" in said
    assert len(list(a.glob("cells/*/*.12-trials.old"))) == 2
    assert not Store.open(a).events()  # the continued cells asked for the same
    assert {len(name.split("+")) for name in runs(a)} == {1, 2}


def test_a_damaged_cell_is_run_again_when_it_gets_more_trials(tmp_path: Path) -> None:
    a, whole = tmp_path / "a", tmp_path / "whole"
    run(a, "random")
    first, _ = Store.open(a).plan().cells()
    Store.open(a).cells.path(first.key).write_bytes(b"cut")
    assert extend(a, trials=15).finished == 2
    run(whole, "random", trials=15)
    assert rows(a) == rows(whole)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 11}, "The call: `trials` is 12 in the run folder: give as many, or more."),
        ({"initial_size": 4}, "The call: `initial_size` is 10 in the run folder: leave it out, or choose another"),
        ({"evaluation_limit": "5m"}, "`evaluation_limit` is not set in the run folder"),
        ({"budget": "seconds=9"}, "`budget` is not set in the run folder"),
        ({"out": None}, "Nothing to extend: give the --out of an earlier run."),
        ({"out": "none"}, "none does not exist"),
    ],
)
def test_what_cannot_grow_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    a = tmp_path / "a"
    run(a, "random")
    before = {path: path.read_bytes() for path in a.rglob("*") if path.is_file()}
    with pytest.raises(HarnessError, match=r"\w") as refused:
        extend(a, **options)
    assert words in str(refused.value)
    assert {path: path.read_bytes() for path in a.rglob("*") if path.is_file()} == before


def test_another_grid_in_a_folder_is_told_of_extend(tmp_path: Path) -> None:
    run(tmp_path / "a", "random")
    with pytest.raises(HarnessError, match="choose another --out, or add --extend to add what is new to it"):
        run(tmp_path / "a", "random", "sobol")


def test_failed_trials_are_run_again_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, whole = tmp_path / "a", tmp_path / "whole"
    run(whole, "tpe")
    counts = counted(monkeypatch, lost=11)
    assert run(a, "tpe").failed == 1
    assert counts["evaluated"] == 24
    outcome = run(a, retry_failed=True, tasks=None, trials=None, seeds=None)
    assert outcome.failed == 0
    assert counts["evaluated"] == 24 + 2  # trials 10 and 11 of one cell
    assert rows(a) == rows(whole)
    assert len(list(a.glob("cells/*/*.failed.old"))) == 1
    assert (
        "1 failed trial in 1 cell, and what came after, run again"
        in json.loads((a / "provenance.json").read_text())["runs"][1]["retried"]
    )


def test_folders_are_merged_into_one_that_resumes(tmp_path: Path) -> None:
    a, b, c, whole = (tmp_path / name for name in ("a", "b", "c", "whole"))
    run(a, "random", "tpe")
    run(b, "tpe", "sobol", tasks=[SPHERE, ACKLEY], seeds="1,2")
    merged = merge([a, b], c)
    assert (merged.cells, merged.finished, merged.shared) == (18, 11, 1)
    assert {len(set(runs(c)))} == {2}
    assert len(json.loads((c / "provenance.json").read_text())["runs"]) == 2
    outcome = run(c, tasks=None, trials=None, seeds=None)
    assert outcome.finished == 18
    run(whole, "random", "tpe", "sobol", tasks=[SPHERE, ACKLEY], seeds=3)
    assert rows(c) == rows(whole)
    assert rows(c, optimizer="random", seed=0, task=SPHERE) == rows(a, optimizer="random", seed=0)


def test_published_folders_and_begun_cells_are_merged_too(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in ("a", "b", "c"))
    run(a, "random")
    store = Store.open(a)
    store.publish(list(store.plan().cells()), tmp_path / "published", compact=True)
    run(b, "tpe")
    (cell, _) = Store.open(b).plan().cells()
    table = Store.open(b).cells.read(cell.key)
    Store.open(b).cells.path(cell.key).unlink()
    lines = "".join(json.dumps([row[name] for name in FIELDS]) + "\n" for row in table.to_pylist()[:11])
    (b / "journal" / f"{cell.key}.jsonl").write_text(lines)
    merged = merge([tmp_path / "published", b, a], c)
    assert (merged.finished, merged.shared) == (3, 2)
    assert sum(Store.open(c).running().values()) == 11


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 13}, "(trials: 12 there, 13 here)"),
        ({"evaluation_limit": "5m", "executor": "processes"}, "(grid.limits: null there, {"),
        ({"initial": "own"}, "grid.initial: "),
    ],
)
def test_grids_that_differ_are_not_merged(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    run(tmp_path / "a", "random")
    run(tmp_path / "b", "sobol", **options)
    with pytest.raises(HarnessError, match="cannot be merged") as refused:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert words in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_cell_with_other_trials_is_not_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    run(a, "random")
    counted(monkeypatch, value=7.0)
    run(b, "random")
    with pytest.raises(HarnessError, match="random on synthetic/sphere-2d, seed 0, has different trials in"):
        merge([a, b], tmp_path / "c")
    shutil.rmtree(b)
    with pytest.raises(HarnessError, match="at least two run folders"):
        merge([a], tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
