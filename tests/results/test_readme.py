"""The README's numbers are those of the committed results, and no other numbers stand there."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

import optibench_benchmarks
from optibench_benchmarks.synthetic import functions

ROOT = Path(__file__).parents[2]


def _load(path: Path) -> Any:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


numbers = _load(Path(__file__).with_name("readme_numbers.py"))
COMMAND = "python tests/results/readme_numbers.py --write"


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", numbers.BLOCKS)
def test_a_block_of_the_readme_is_what_the_results_say(name: str, readme: str) -> None:
    wanted = numbers.BLOCKS[name]()
    found = numbers.pattern(name).search(readme)
    assert found is not None, f"README.md has no block {name!r}"
    assert found[2] == wanted, f"README.md is not what results/ says: run `{COMMAND}`; it must be\n{wanted}"


#: Numbers outside the blocks that a test below, a suite's name or a version stands for.
ALLOWED = {"3.11", "2,000,000", "100,000", "2.0"}


def test_a_figure_outside_the_blocks_is_none_that_was_measured(readme: str) -> None:
    """Decimals, thousands, ratios, p values: each is generated, or named above with its reason."""
    prose = re.sub(r"<!-- begin: (\S+) -->.*?<!-- end: \1 -->", "", readme, flags=re.DOTALL)
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", prose, flags=re.DOTALL)
    figures = re.findall(r"\d+[.,]\d+(?:[.,]\d+)*|\b\d+/\d+\b|\bp [.<=] ?\d*|\d ?(?:ms|MiB|percent|%)", prose)
    assert set(figures) <= ALLOWED, sorted(set(figures) - ALLOWED)


def test_the_counts_that_the_readme_states(readme: str) -> None:
    text = " ".join(readme.split())
    demo = yaml.safe_load((ROOT / "harness" / "optibench" / "grids" / "demo.yaml").read_text(encoding="utf-8"))
    assert (len(demo["optimizers"]), len(optibench_benchmarks.expand(["demo"])), demo["seeds"], demo["trials"]) == (
        8,
        6,
        5,
        30,
    )
    assert "eight optimizers x six tasks x five seeds x 30 trials" in text
    assert f"| {len(functions.FUNCTIONS)} analytic functions" in text
    tasks = set(numbers.at("test", 100).index)
    assert not tasks & set(numbers.at("dev", 100).index)
    assert f"On the `test` suite ({len(tasks)} tasks, none of them in `dev`; 10 seeds;" in text
    assert numbers.trials("test").groupby(["optimizer", "task"]).seed.nunique().eq(10).all()
    trained = json.loads(
        (ROOT / "model" / "optiformer" / "checkpoints" / "optiformer" / "config.json").read_text(encoding="utf-8")
    )
    assert round(trained["info"]["training_minutes"]) == 60
    assert "took an hour of one core" in text


def test_the_limits_that_other_tests_demand(readme: str) -> None:
    """The README repeats what `make report-bench` and `make bench` assert."""
    text = " ".join(readme.split())
    report = (ROOT / "tests" / "reports" / "test_scale.py").read_text(encoding="utf-8")
    for demanded in ("cost.cpu <= 120\n", "cost.memory <= 6\n", "size <= 10e6\n", "min(milliseconds) <= 2000\n"):
        assert f"assert {demanded}" in report
    assert "take at most 120 s of one core and 6 GiB, and that the page has at most 10 MB and is ready in 2 s" in text
    sequence = (ROOT / "tests" / "model" / "test_latency.py").read_text(encoding="utf-8")
    assert "SPEEDUP = 20.0\n" in sequence
    assert "assert slow / fast >= SPEEDUP" in sequence
    assert "is at least 20 times as fast" in text


def test_a_block_that_differs_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a 9.9\n<!-- begin: one -->\nold\n<!-- end: one -->\nb\n"
    (tmp_path / "README.md").write_text(text)
    monkeypatch.setattr(numbers, "README", tmp_path / "README.md")
    monkeypatch.setattr(numbers, "BLOCKS", {"one": lambda: "new\nlines"})
    assert numbers.main([]) == 1
    assert (tmp_path / "README.md").read_text() == text
    assert numbers.main(["--write"]) == 0
    assert (tmp_path / "README.md").read_text() == text.replace("old", "new\nlines")
    assert numbers.main([]) == 0
    monkeypatch.setattr(numbers, "BLOCKS", {"two": lambda: "new"})
    assert numbers.main(["--write"]) == 1


def test_the_four_looks_at_test() -> None:
    text = " ".join((ROOT / "docs" / "model" / "optiformer.md").read_text(encoding="utf-8").split())
    *first, last = [numbers.p_value(numbers.signed_rank(gap).p) for gap in numbers.looked_at()]
    assert f"p against Optuna's GP (exact): {', '.join(first)} and {last}" in text
    looks = numbers.pd.read_csv(numbers.LOOKS, index_col="task").drop(columns="gp-optuna").mean()
    *first, last = [f"{mean:.3f}".removeprefix("0") for mean in looks]
    assert f"after 50 trials: {', '.join(first)} and {last};" in text


def test_the_ablation_table() -> None:
    """Rows of docs/model/optiformer.md in the order of the grid: regrets after 25 and 50 trials and mean rank."""
    text = (ROOT / "docs" / "model" / "optiformer.md").read_text(encoding="utf-8")
    early, late = numbers.at("ablation", 25), numbers.at("ablation", 50)
    smooth = late[~late.index.str.contains("ackley")]
    for optimizer in late:
        means = (f"{tasks[optimizer].mean():.3f}".removeprefix("0") for tasks in (early, late, smooth))
        assert f" | {' | '.join(means)} | {late.rank(axis=1)[optimizer].mean():.2f} |" in text, optimizer


def test_the_table_of_the_training_tasks() -> None:
    tasks = numbers.at("training", 15)
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    order = tasks.mean().sort_values().index
    table = [(f"`{name}`", tasks.loc[name], 3) for name in tasks.index]
    table += [("mean", tasks.mean(), 3), ("mean rank", tasks.rank(axis=1).mean(), 2)]
    for name, row, digits in table:
        assert f"| {name} | " + " | ".join(f"{row[optimizer]:.{digits}f}" for optimizer in order) + " |" in page


def test_the_table_of_hebo() -> None:
    early, late = numbers.at("hebo", 25), numbers.at("hebo", 50)
    page = (ROOT / "docs" / "external.md").read_text(encoding="utf-8")
    for optimizer in late:
        means = (
            f"{early[optimizer].mean():.3f} | {late[optimizer].mean():.3f} | {late.rank(axis=1)[optimizer].mean():.2f}"
        )
        versus = "" if optimizer == "hebo" else numbers.Versus.of(late, optimizer, "hebo")
        assert f"| `{optimizer}` | {means} | {versus} |" in page
