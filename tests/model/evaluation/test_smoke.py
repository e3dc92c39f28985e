"""The smoke test's own verdicts; the whole of it is heavy and run by its own target."""

from __future__ import annotations

from pathlib import Path

import pytest

from optiformer.evaluation import smoke, smoke_sequence, smoke_surrogate


def test_the_cheap_steps_pass_and_give_figures(tmp_path: Path) -> None:
    checks = dict(smoke_sequence.steps(quick=True))
    results = {name: checks[name](tmp_path) for name in ("data", "tokenizer", "network")}
    assert [ok for ok, _ in results.values()] == [True, True, True]
    assert "990,592 parameters" in results["network"][1]
    assert "0 degenerate" in results["data"][1]
    ok, figures = dict(smoke_surrogate.steps(quick=True))["data"](tmp_path)
    assert ok, figures


def test_a_failing_step_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = {"data": True, "training": True}

    def steps(quick: bool) -> smoke_sequence.Steps:
        return [(name, lambda folder, name=name: (verdicts[name], "figures")) for name in verdicts]

    monkeypatch.setattr(smoke, "NETWORKS", {"one": steps, "other": steps})
    lines: list[str] = []
    assert smoke.run(quick=True, report=lines.append)
    assert sum(line.startswith("PASS") for line in lines) == 4
    verdicts["training"] = False
    assert not smoke.run(quick=True, report=lines.append)
    assert any(line.startswith("FAIL  2/6 training") for line in lines)


@pytest.mark.heavy
def test_the_quick_smoke_test_passes() -> None:
    assert smoke.run(quick=True)
