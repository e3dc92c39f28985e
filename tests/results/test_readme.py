"""The numbers in README.md, docs/results.md and docs/earlier-looks.md are those of the committed results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import committed
import earlier_looks
import pandas as pd
import pytest
import readme_numbers as numbers
import yaml

import optibench_benchmarks
from optibench_benchmarks.synthetic import functions
from optibench_reports.stats.tests import signed_rank

ROOT = Path(__file__).parents[2]


COMMAND = "python tests/results/readme_numbers.py --write"


def words(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def readme() -> str:
    return words(ROOT / "README.md")


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, blocks in numbers.PAGES.items() for name in blocks])
def test_a_block_agrees_with_the_results(page: Path, name: str) -> None:
    wanted = numbers.PAGES[page][name]()
    found = numbers.pattern(name).search(page.read_text(encoding="utf-8"))
    assert found is not None, f"{page} has no block {name!r}"
    assert found[2] == wanted, f"{page} differs from results/: run `{COMMAND}`; the block must be\n{wanted}"


#: Numbers outside the blocks: versions, and numbers that a test below checks.
ALLOWED = {"3.11", "2.0"}


@pytest.mark.parametrize("page", numbers.PAGES, ids=lambda page: page.name)
def test_no_measured_number_stands_outside_the_blocks(page: Path) -> None:
    """Decimals, thousands, ratios, p values: a block holds each of them, or ALLOWED does."""
    prose = re.sub(r"<!-- begin: (\S+) -->.*?<!-- end: \1 -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", prose, flags=re.DOTALL)
    figures = re.findall(r"\d+[.,]\d+(?:[.,]\d+)*|\b\d+/\d+\b|\bp [.<=] ?\d*|\d ?(?:ms|MiB|percent|%)", prose)
    assert set(figures) <= ALLOWED, sorted(set(figures) - ALLOWED)


def test_the_counts_in_the_readme(readme: str) -> None:
    demo = yaml.safe_load((ROOT / "harness" / "optibench" / "grids" / "demo.yaml").read_text(encoding="utf-8"))
    assert (len(demo["optimizers"]), len(optibench_benchmarks.expand(["demo"])), demo["seeds"], demo["trials"]) == (
        5,
        12,
        3,
        30,
    )
    assert "five optimizers x 12 tasks x three seeds x 30 trials" in readme
    assert f"| {len(functions.FUNCTIONS)} analytic functions" in words(ROOT / "docs" / "reference" / "tasks.md")
    tasks = set(committed.at("test", 100).index)
    assert not tasks & set(committed.at("dev", 100).index)
    earlier = words(ROOT / "docs" / "earlier-looks.md")
    assert f"The suite `test` has {len(tasks)} tasks, none of them in `dev`. It was looked at four times" in earlier
    assert f"on {len(tasks)} other tasks" in readme
    assert committed.trials("test").groupby(["optimizer", "task"]).seed.nunique().eq(10).all()
    folders = (
        ROOT / "results" / "networks" / "synthetic",
        ROOT / "model" / "optiformer" / "checkpoints" / "optiformer",
    )
    trained = [json.loads((folder / "config.json").read_text(encoding="utf-8"))["info"] for folder in folders]
    assert round(sum(info["training_minutes"] for info in trained)) == 9
    assert "was trained for nine minutes on a GPU" in readme


def test_the_limits_that_other_tests_demand() -> None:
    """The pages repeat the assertions of `make report-bench` and `make bench`."""
    report = (ROOT / "tests" / "reports" / "test_scale.py").read_text(encoding="utf-8")
    for demanded in ("cost.cpu <= 120\n", "cost.memory <= 6\n", "size <= 10e6\n", "min(milliseconds) <= 2000\n"):
        assert f"assert {demanded}" in report
    demands = "takes at most 120 s of one core and 6 GiB, and that its page has at most 10 MB and is ready in 2 s"
    assert demands in words(ROOT / "docs" / "explanation" / "scale.md")
    sequence = (ROOT / "tests" / "model" / "test_latency.py").read_text(encoding="utf-8")
    assert "SPEEDUP = 20.0\n" in sequence
    assert "assert slow / fast >= SPEEDUP" in sequence
    assert "is at least 20 times as fast" in words(ROOT / "docs" / "results.md")


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_a_block_that_differs_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, text = tmp_path / "README.md", "a 9.9\n<!-- begin: one -->\nold\n<!-- end: one -->\nb\n"
    page.write_text(text)
    monkeypatch.setattr(numbers, "PAGES", {page: {"one": lambda: "new\nlines"}})
    assert numbers.main([]) == 1
    assert page.read_text() == text
    assert numbers.main(["--write"]) == 0
    assert page.read_text() == text.replace("old", "new\nlines")
    assert numbers.main([]) == 0
    monkeypatch.setattr(numbers, "PAGES", {page: {"two": lambda: "new"}})
    assert numbers.main(["--write"]) == 1


def test_the_four_looks_at_test() -> None:
    text = words(ROOT / "docs" / "model" / "optiformer.md")
    *first, last = [committed.p_value(signed_rank(gap).p) for gap in earlier_looks.looked_at()]
    assert f"p against Optuna's GP (exact): {', '.join(first)} and {last}" in text
    looks = pd.read_csv(earlier_looks.LOOKS, index_col="task").drop(columns="gp-optuna").mean()
    *first, last = [f"{mean:.3f}".removeprefix("0") for mean in looks]
    assert f"after 50 trials: {', '.join(first)} and {last};" in text


def test_the_table_of_the_training_tasks() -> None:
    tasks = committed.at("training", 15)
    page = (ROOT / "docs" / "reference" / "training-tasks.md").read_text(encoding="utf-8")
    order = tasks.mean().sort_values().index
    table = [(f"`{name}`", tasks.loc[name], 3) for name in tasks.index]
    table += [("mean", tasks.mean(), 3), ("mean rank", tasks.rank(axis=1).mean(), 2)]
    for name, row, digits in table:
        assert f"| {name} | " + " | ".join(f"{row[optimizer]:.{digits}f}" for optimizer in order) + " |" in page


def test_the_table_of_hebo() -> None:
    early, late = committed.at("hebo", 25), committed.at("hebo", 50)
    page = (ROOT / "docs" / "how-to" / "external.md").read_text(encoding="utf-8")
    for optimizer in late:
        means = (
            f"{early[optimizer].mean():.3f} | {late[optimizer].mean():.3f} | {late.rank(axis=1)[optimizer].mean():.2f}"
        )
        versus = "" if optimizer == "hebo" else committed.Versus.of(late, optimizer, "hebo")
        assert f"| `{optimizer}` | {means} | {versus} |" in page
