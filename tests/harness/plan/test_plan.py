"""A plan is what its folder says, and a folder of an earlier version plans the cells that it planned then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from optibench.errors import HarnessError
from optibench.plan.plan import GRID, TASKS, Plan
from optibench.spec.budget import Budget
from optibench.spec.fidelity import FidelityChoice
from optibench.spec.grid import Grid
from optibench.spec.limits import Limits

WRITTEN = """\
grid:
  optimizers:
  - asha:eta=3
  - random (batch 4)
  benchmarks:
  - digits/mlp
  seeds:
  - 0
  - 7
  trials: 15
  initial: shared
  initial_size: 10
  name: written
  limits:
    evaluation_limit: 300.0
    memory_limit: 524288000
    retries: 3
  budget:
    unit: fidelity
    amount: 15.0
  fidelity:
  - epochs
  - 3.0
  skipped:
  - half/away
packages:
  schema: 2
  ConfigSpace: 1.2.2
  numpy: 2.4.6
optimizers:
  asha:eta=3:
    name: asha
    settings:
      eta: 3
    packages:
      optuna: 5.0.0
  random (batch 4):
    name: random
    settings: {}
    packages:
      numpy: 2.4.6
    batch: 4
"""
TASK: dict[str, Any] = {
    "direction": "maximize",
    "sampling": "noisy",
    "dimensions": 6,
    "data_version": "split 1",
    "reference": {"f_best": 1, "f_ref": 0.8664440734557596, "f_worst": 0.05, "source": "a search", "version": 1},
    "metrics": {"test_accuracy": "maximize"},
    "fidelity": {"name": "epochs", "low": 3.0, "high": 30.0, "whole": True},
}
KEYS = [
    ("0bb62303d35bb36764e4", "asha:eta=3", 0),
    ("192844ff71f2263b13d2", "random (batch 4)", 0),
    ("ca0b1b779ef9d53e0939", "asha:eta=3", 7),
    ("998925e1b24af96a55d1", "random (batch 4)", 7),
]
"""What version 0.2 made of :data:`WRITTEN`, before a plan was a type of its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / GRID).write_text(WRITTEN)
    (tmp_path / TASKS).write_text(json.dumps({"digits/mlp": TASK}, indent=1))
    return tmp_path


def test_a_folder_of_an_earlier_version_plans_the_same_cells_and_is_written_as_it_was(folder: Path) -> None:
    planned = Plan.load(folder)
    assert planned.grid == Grid(
        optimizers=("asha:eta=3", "random (batch 4)"),
        benchmarks=("digits/mlp",),
        seeds=(0, 7),
        trials=15,
        name="written",
        limits=Limits(evaluation_limit=300.0, memory_limit=500 * 2**20, retries=3),
        budget=Budget("fidelity", 15.0),
        fidelity=FidelityChoice("epochs", 3.0),
        skipped=("half/away",),
    )
    assert [one.label for one in planned.optimizers.values()] == list(planned.grid.optimizers)
    assert [(cell.key, cell.optimizer, cell.seed) for cell in planned.cells()] == KEYS
    before = [(folder / name).read_bytes() for name in (GRID, TASKS)]
    planned.save(folder)
    assert [(folder / name).read_bytes() for name in (GRID, TASKS)] == before


def test_a_plan_is_what_it_was_when_it_is_read_again(tmp_path: Path) -> None:
    planned = Plan.of(Grid(("random", "tpe:group=true"), ("synthetic/sphere-2d",), (0, 1), 12, initial="own"))
    planned.save(tmp_path)
    assert Plan.load(tmp_path) == planned
    assert planned.differences(Plan.load(tmp_path)) == []
    assert Plan.of(planned.grid) == planned
    with pytest.raises(AttributeError):
        planned.packages = {}  # type: ignore[misc]


def test_a_difference_says_where_and_what(folder: Path) -> None:
    planned = Plan.load(folder)
    other = msgspec.structs.replace(planned, grid=msgspec.structs.replace(planned.grid, trials=20, name="other"))
    assert planned.differences(other) == ["grid.trials: 15 there, 20 here"]
    other = msgspec.structs.replace(planned, grid=msgspec.structs.replace(planned.grid, limits=Limits()))
    assert planned.differences(other)[0].startswith('grid.limits: {"evaluation_limit": 300.0, ')


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("grid.trials", KeyError, "`grid: trials` is missing"),
        ("grid.trials", "many", "trials are a whole number or a multiple of D such as 20D, not 'many' - at `\\$.grid`"),
        ("grid.seeds", [0, -1], r"Expected `int` >= 0 - at `\$\.grid\.seeds\[1\]`"),
        ("grid.initial", "mine", "Invalid enum value 'mine'"),
        ("grid.benchmarks", ["digits/other"], "'digits/other' of `grid: benchmarks` is not described"),
        ("grid.optimizers", ["tpe"], "'tpe' of `grid: optimizers` is not described"),
        ("grid.odd", 3, "unknown field `odd`"),
        ("optimizers.asha:eta=3.name", None, r"Expected `str`, got `null` - at `\$\.optimizers"),
        ("tasks.digits/mlp.direction", "up", "Invalid enum value 'up'"),
        ("tasks.digits/mlp.reference.f_best", float("nan"), "f_best, f_ref and f_worst are finite"),
        ("tasks.digits/mlp.reference.f_best", 0.8664440734557596, "f_best is not f_ref"),
    ],
)
def test_a_damaged_plan_is_one_sentence_that_says_where(folder: Path, path: str, value: Any, words: str) -> None:
    plain = {**yaml.safe_load(WRITTEN), "tasks": {"digits/mlp": json.loads(json.dumps(TASK))}}
    *keys, last = path.split(".")
    place = plain
    for key in keys:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    (folder / TASKS).write_text(json.dumps(plain.pop("tasks")))
    (folder / GRID).write_text(yaml.safe_dump(plain))
    with pytest.raises(HarnessError, match=words) as caught:
        Plan.load(folder)
    assert "grid.yaml or tasks.json beside it is damaged" in str(caught.value)
    assert "\n" not in str(caught.value)
