"""`optibench scaling`: what was trained is tabulated and fitted, and unlike things are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optibench.errors import HarnessError
from optibench.studies.scaling import Point, measure, write
from optibench_reports import ReportError
from optiformer.training.cache import Trained
from optiformer.training.config import RunConfig


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints as training leaves them, with losses that follow a power law."""

    def cached(name: str) -> Trained:
        from dataclasses import asdict

        run = RunConfig.load(name)
        positions = run.train.steps * 1000
        info = {
            "run": asdict(run),
            "parameters": 36_864,
            "tokens": positions,
            "training_minutes": 2.0,
            "validation_loss": 8.0 * positions**-0.1,
        }
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"info": info}))
        return Trained(folder, 120.0, "fp32", True)

    monkeypatch.setattr("optiformer.training.cache.train_cached", cached)


def test_a_power_law_is_found_again(trained: None, tmp_path: Path) -> None:
    points = measure([f"scale-{steps}-steps" for steps in (180, 360, 720, 1440)])
    text = write(points, "positions", tmp_path / "out")
    assert "exponent -0.1000" in text
    assert "| scale-1440-steps | 36,864 | 1,440,000 |" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "scaling.csv",
        "scaling.md",
        "scaling.pdf",
        "scaling.png",
    }


def test_losses_on_different_functions_are_not_compared(trained: None) -> None:
    with pytest.raises(HarnessError, match="set-small and scale-180-steps are validated on different functions"):
        measure(["scale-180-steps", "scale-360-steps", "set-small"])
    with pytest.raises(HarnessError, match="There is no configuration 'scale-huge'"):
        measure(["scale-huge"])


def test_what_is_wrong_is_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("optiformer.training.cache.train_cached", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "wrong.yaml").write_text("train: {beta2: 7}\n")
    with pytest.raises(HarnessError, match=r"wrong\.yaml: train: beta2 must be a number of at least 0 and below 1"):
        measure(["scale-180-steps", "scale-360-steps", str(tmp_path / "wrong.yaml")])
    with pytest.raises(HarnessError, match="validated on different functions"):
        measure(["scale-180-steps", "scale-360-steps", "set-small"])
    with pytest.raises(HarnessError, match="at least 3 different configurations, not scale-180-steps, scale-360-steps"):
        measure(["scale-180-steps", "scale-360-steps", "scale-180-steps"])


def test_points_of_one_size_allow_no_fit(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="All points have the size"):
        write([Point(str(i), 10, 10, 1.0, 2.0) for i in range(3)], "parameters", tmp_path)
