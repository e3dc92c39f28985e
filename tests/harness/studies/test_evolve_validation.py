"""What a search for attentions found: measured in processes with limits, its scaling law, validation and its report."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optibench.errors import HarnessError
from optibench.studies.attention_search import evaluator, validation
from optibench.studies.attention_search.__main__ import main
from optibench.studies.attention_search.evaluator import Answer, Limits
from optibench.studies.attention_search.program import parts, template
from optibench.studies.variants import run
from optibench_benchmarks import BenchmarkError, Evaluation
from optibench_benchmarks.training.attention import scaling
from optibench_reports import ReportError
from optibench_reports.studies.variants import compare, write

sys.path.insert(0, str(Path(__file__).parent))  # where the blocks are
from evolved import LEAKING, MEAN

# --- processes with limits


def written(tmp_path: Path, block: str, framework: str = "matrix-mixer") -> Path:
    before, _, after = parts(template(framework))
    path = tmp_path / "program.py"
    path.write_text(f"{before}import torch\n{block}{after}")
    return path


def test_a_candidate_is_measured_in_a_process_of_its_own(tmp_path):
    found = evaluator.law(written(tmp_path, MEAN), "matrix-mixer", Limits(150.0), epochs=1)
    assert found.ok, found
    assert len(found.values["losses"]) == 4
    assert list(found.values["parameters"]) == sorted(found.values["parameters"])
    assert found.values["fitness"] == -found.values["slope"]
    assert found.values["fitness"] > 0


@pytest.mark.parametrize(
    ("block", "limits", "reason", "error"),
    [
        (LEAKING, Limits(100.0), "contract", "is not causal"),
        ("def mix(q, k, v):\n    return undefined\n", Limits(100.0), "raised", "NameError"),
        ("while True: pass\n", Limits(4.0), "timeout", "its limit of 4 s"),
        ("def mix(q, k, v):\n    return v\n", Limits(100.0, 2**20), "memory", "its limit of 1 MiB"),
        ("import os\nos._exit(3)\n", Limits(100.0), "died", "status 3"),
    ],
)
def test_a_candidate_that_fails_says_why_and_hurts_nobody(tmp_path, block, limits, reason, error):
    found = evaluator.law(written(tmp_path, block), "matrix-mixer", limits, epochs=1)
    assert (found.ok, found.reason) == (False, reason)
    assert error in found.error


def test_a_candidates_process_has_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    block = "import os, sys\nsys.exit(7 if 'OPENAI_API_KEY' in os.environ else 8)\n"
    assert "status 8" in evaluator.law(written(tmp_path, block), "matrix-mixer", Limits(60.0)).error


def test_openevolve_gets_metrics_and_a_low_score_for_what_breaks_a_rule(tmp_path, monkeypatch):
    before, _, after = parts(template("matrix-mixer"))
    bad = tmp_path / "bad.py"
    bad.write_text(f"{before}import os\n{MEAN}{after}")
    assert evaluator.evaluate(str(bad)) == {"combined_score": evaluator.FAILED, "valid": 0.0}
    good = tmp_path / "good.py"
    good.write_text(before + MEAN + after)
    law = scaling.fit([1000, 2000, 4000, 8000], [2.0, 1.5, 1.2, 1.0]).plain()
    monkeypatch.setattr(evaluator, "law", lambda path, framework, limits: Answer(True, values=law))
    found = evaluator.evaluate(str(good))
    assert found["combined_score"] == law["fitness"]
    assert (found["valid"], found["loss"]) == (1.0, 1.0)


# --- the scaling law


def test_a_law_is_the_line_through_the_losses():
    sizes = [1000, 3000, 9000, 27000]
    found = scaling.fit(sizes, [3.0 - 0.25 * math.log(size) for size in sizes])
    assert (found.slope, found.intercept, found.fitness) == pytest.approx((-0.25, 3.0, 0.25))
    assert found.r2 == pytest.approx(1.0)
    for losses in ([1.0, math.nan, 1.0, 1.0], [1.0, 1.0]):
        with pytest.raises(BenchmarkError, match="at least 3 sizes"):
            scaling.fit(sizes[: len(losses)], losses)


# --- validation and its report


def trainings(means: dict[str, float], seeds: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.02, size=seeds)
    rows = [
        {"variant": name, "seed": seed, "epoch": epoch, "value": mean + 1 / epoch + noise[seed] + own, "error": ""}
        for name, mean in means.items()
        for seed, own in enumerate(rng.normal(scale=0.01, size=seeds))
        for epoch in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_variants_are_compared_by_seed():
    from scipy import stats

    table = trainings({"a": 0.5, "b": 0.4, "c": 0.5})
    rows = {row.variant: row for row in compare(table, "a")}
    assert next(iter(rows)) == "b"
    last = table[table.epoch == 2].pivot(index="seed", columns="variant", values="value")
    expected = stats.ttest_rel(last.b, last.a)
    assert rows["b"].test.t == pytest.approx(expected.statistic)
    assert rows["b"].p_holm == pytest.approx(2 * expected.pvalue)
    difference = last.b - last.a
    assert rows["b"].test.d == pytest.approx(difference.mean() / difference.std())
    low, high = stats.ttest_rel(last.b, last.a).confidence_interval()
    assert (rows["b"].difference.low, rows["b"].difference.high) == pytest.approx((low, high))
    assert math.isnan(rows["a"].test.p)


def test_a_failed_training_is_counted_and_costs_only_its_pair(tmp_path):
    table = trainings({"a": 0.5, "b": 0.4})
    table = table[~((table.variant == "b") & (table.seed == 3))]
    failed = {"variant": "b", "seed": 3, "epoch": 0, "value": math.nan, "error": "diverged"}
    table = pd.concat([table, pd.DataFrame([failed])], ignore_index=True)
    row = next(row for row in compare(table, "a") if row.variant == "b")
    assert (row.n, row.failed) == (9, 1)
    text = write(table, tmp_path / "report", control="a")
    assert "| b | 9 (1 failed) |" in text
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        *("variants.md", "variants.csv", "box.png", "curves.png")
    }
    with pytest.raises(ReportError, match="no trainings"):
        compare(table, "z")
    with pytest.raises(ReportError, match="no column error"):
        compare(table.drop(columns="error"), "a")


def test_evolved_and_shipped_variants_train_with_the_same_seeds(tmp_path, monkeypatch):
    before, _, after = parts(template("matrix-mixer"))
    path = tmp_path / "best_program.py"
    path.write_text(before + MEAN + after)
    compared = validation.variants({"matrix-mixer": path}, ("matrix-mixer",))
    assert list(compared) == ["matrix-mixer standard", "matrix-mixer evolvable", "matrix-mixer evolved"]
    asked = []

    def answered(request, limits):
        asked.append(request)
        return Answer(True, values={"value": 1.0, "info": {}, "curve": {"epoch": [1], "validation_loss": [1.0]}})

    def shipped(_, config, seed, fidelity):
        asked.append({"seed": seed})
        return Evaluation(2.0)

    monkeypatch.setattr(validation, "measure", answered)
    monkeypatch.setattr("optibench_benchmarks.training.attention.tasks.AttentionLM.train", shipped)
    text = run(validation.study(compared, epochs=1), 2, tmp_path / "out")
    assert [request["seed"] for request in asked] == [4_000_000] * 3 + [4_000_001] * 3
    assert {request.get("task") for request in asked} == {None, "attention/matrix-mixer-evolvable"}
    assert "| matrix-mixer evolved | 2 | 1.0000 [1.0000, 1.0000] | -1.0000 [-1.0000, -1.0000] |" in text
    path.write_text(path.read_text() + "\n# another program\n")
    run(validation.study(compared, epochs=1), 2, tmp_path / "out")
    assert [request["seed"] for request in asked[6:]] == [4_000_000, 4_000_001]
    path.write_text(template("coefficient-dynamics"))
    with pytest.raises(HarnessError, match="not a program of matrix-mixer"):
        validation.variants({"matrix-mixer": path})


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    for arguments, message in [
        (["validate", "--best", "x", "--out", str(tmp_path / "r")], "--best takes FRAMEWORK=PROGRAM"),
        (["validate", "--best", f"matrix-mixer={tmp_path / 'no'}", "--out", str(tmp_path / "r")], "cannot be read"),
        (
            ["run", "matrix-mixer", "--config", str(tmp_path / "no"), "--out", str(tmp_path / "r")],
            "Cannot read the configuration",
        ),
    ]:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
