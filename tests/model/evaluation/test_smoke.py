"""The smoke test's own verdicts; the whole of it is heavy and run by its own target."""

from __future__ import annotations

from pathlib import Path

import pytest

from optiformer.evaluation import smoke


def steps(workplace: smoke.Workplace) -> list[tuple[bool, str]]:
    return [smoke.check_data(workplace), smoke.check_tokenizer(workplace), smoke.check_network(workplace)]


def test_the_cheap_steps_pass_and_give_figures(tmp_path: Path) -> None:
    workplace = smoke.Workplace(tmp_path, True, smoke._configuration(quick=True))
    results = steps(workplace)
    assert [ok for ok, _ in results] == [True, True, True]
    assert "990,592 parameters" in results[2][1]
    assert "0 degenerate" in results[0][1]


def test_a_failing_step_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("check_data", "check_tokenizer", "check_network", "check_training", "check_probes", "check_study"):
        monkeypatch.setattr(smoke, name, lambda workplace: (True, "figures"))
    lines: list[str] = []
    assert smoke.run(quick=True, report=lines.append)
    assert sum(line.startswith("PASS") for line in lines) == 6
    monkeypatch.setattr(smoke, "check_training", lambda workplace: (False, "loss 7 and 7"))
    assert not smoke.run(quick=True, report=lines.append)
    assert any(line.startswith("FAIL  4/6 training") for line in lines)


@pytest.mark.heavy
def test_the_quick_smoke_test_passes() -> None:
    assert smoke.run(quick=True)
