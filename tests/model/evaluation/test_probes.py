"""The probes tell exploitation, exploration and repetition apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optiformer.evaluation.probes import NAMES, main, probe
from optiformer.space.trial import Trial


def configs(rows: np.ndarray) -> list[dict[str, Any]]:
    return [dict(zip(NAMES, map(float, row), strict=True)) for row in rows]


def best(trials: list[Trial]) -> np.ndarray:
    found = min(trials, key=lambda t: float(t.value or 0.0))
    return np.array([found.config[name] for name in NAMES])


def test_random_points_score_1_and_uniform() -> None:
    found = probe(lambda trials, n, rng: configs(rng.random((n, 3))), batch=400)
    assert found.exploitation == pytest.approx(1.0, abs=0.05)
    assert found.exploration == pytest.approx(0.289, abs=0.01)
    assert found.repeats == 0


def test_staying_at_the_best_is_exploitation_without_exploration() -> None:
    found = probe(lambda trials, n, rng: configs(np.tile(best(trials), (n, 1))), histories=3, batch=10)
    assert found.exploitation == 0
    assert found.exploration == pytest.approx(0, abs=1e-12)
    assert found.repeats == 27


def test_steps_around_the_best_do_both() -> None:
    found = probe(lambda trials, n, rng: configs(best(trials) + 0.05 * rng.standard_normal((n, 3))))
    assert 0.05 < found.exploitation < 0.4
    assert found.exploration == pytest.approx(0.05, abs=0.01)


@pytest.mark.heavy
def test_the_page_has_the_probes_of_the_shipped_networks(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "model" / "optiformer.md").read_text(encoding="utf-8")
    main()
    rows = re.findall(r"\| (`\S+`) \| (\S+) \| (\S+) \| \d+ \|", capsys.readouterr().out)
    assert len(rows) == 4
    for name, *numbers in rows:
        (shown,) = re.findall(rf"\| {re.escape(name)} \| (0\.\d+) \| (0\.\d+) \|\n", page)
        assert [float(cell) for cell in shown] == pytest.approx([float(cell) for cell in numbers], abs=0.03)
