"""What a paper says before it runs a grid, and `--no-run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from optibench.cli.main import main
from optibench.runs import forecast
from optibench.spec.grid import load as load_grid
from optibench.store.to_results import load

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_grid(**changes: Any) -> None:
    values = {"name": "tiny", "optimizers": ["random", "sobol"], "benchmarks": ["synthetic/sphere-2d"]}
    values |= {"seeds": 3, "trials": 11, "executor": "serial"} | changes
    Path(f"{values['name']}.yaml").write_text(yaml.safe_dump(values))


def write_paper(**results: str | None) -> str:
    parts = [{"name": "all", "tables": ["ranks"], "figures": ["anytime_regret"]}]
    sources = {f"results/{name}": grid for name, grid in results.items()}
    Path("spec.yaml").write_text(yaml.safe_dump({"results": sources, "parts": parts}, sort_keys=False))
    return "spec.yaml"


def test_no_run_names_what_is_missing_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    write_grid()
    write_grid(name="other", optimizers=["smac-gp"], seeds=2)
    assert main(["paper", write_paper(tiny="tiny.yaml", other="other.yaml"), "--no-run"]) == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1
    words = "results/tiny is missing; `optibench run tiny.yaml` makes it (cells left: 6, trials: 66, less"
    assert words in streams.err
    assert (
        "results/other is missing; `optibench run other.yaml` makes it (cells left: 2, trials: 22, less than a minute"
        in streams.err
    )
    assert "less than a minute plus the time of smac-gp (unknown))" in streams.err
    assert streams.out == ""
    assert sorted(path.name for path in Path().iterdir()) == ["other.yaml", "spec.yaml", "tiny.yaml"]


def test_no_run_reuses_what_has_been_run(capsys: pytest.CaptureFixture[str]) -> None:
    write_grid()
    paper = write_paper(tiny="tiny.yaml")
    assert main(["run", "tiny.yaml", "--no-report"]) == 0
    cells = list(Path("runs/tiny/cells").rglob("*.arrow"))
    assert len(cells) == 6
    assert main(["paper", paper, "--no-run"]) == 0
    assert "results/tiny is missing: reusing runs/tiny." in capsys.readouterr().out
    cells[0].unlink()
    assert main(["paper", paper, "--no-run"]) == 2
    assert "(cells left: 1 of 6, trials: 11, less than a minute)" in capsys.readouterr().err
    write_grid(seeds=4)
    assert main(["paper", paper, "--no-run"]) == 2
    assert "holds a different grid" in capsys.readouterr().err


def test_what_will_be_run_is_said_before_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("optibench.runs.run.run", stop)
    write_grid(optimizers=["random", "gp-optuna"], trials=110, seeds=10)
    assert main(["paper", write_paper(tiny="tiny.yaml")]) == 130
    out = capsys.readouterr().out
    first, second = out.splitlines()
    assert first.startswith("results/tiny is missing: running grid tiny.yaml into runs/tiny (")
    assert first.endswith("cells left: 20, trials: 2,200, about 3 minutes).")
    assert second == "Total: about 3 minutes. After Ctrl-C, the same command resumes."


def test_a_folder_without_a_grid_is_refused_before_another_grid_is_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optibench.runs.run.run", lambda *_: pytest.fail("it was run"))
    write_grid()
    assert main(["paper", write_paper(tiny="tiny.yaml", nowhere=None)]) == 2
    assert "results/nowhere is missing, and the paper names no grid" in capsys.readouterr().err


def made(**changes: Any) -> forecast.Forecast:
    write_grid(**changes)
    return forecast.forecast("tiny.yaml", *load_grid("tiny.yaml", {}))


def test_a_setting_is_forecast_at_its_own_speed_or_not_at_all() -> None:
    seeds = {"seeds": 100, "trials": 100}
    fast, thorough = (
        made(optimizers=[f"optiformer:preset={preset}"], **seeds).seconds for preset in ("fast", "thorough")
    )
    assert thorough > 5 * fast
    found = made(optimizers=["optiformer:refinements=3", "tpe (batch 4)", "random"], **seeds)
    assert found.unknown == ("optiformer:refinements=3",)
    assert 50 < found.seconds < 70  # 9,000 suggestions of tpe, and 20,000 trials


def test_how_many_trials_a_cost_pays_for_is_said_only_where_it_is_known() -> None:
    for budget, optimizers, task, trials, unknown in (
        ({"fidelity": 40}, ["random", "tpe"], "digits/mlp", 240, ()),
        ({"fidelity": 40}, ["random", "asha"], "digits/mlp", None, ("asha",)),
        ({"seconds": 3600}, ["random", "tpe"], "nasbench201/cifar10", None, ("random", "tpe")),
    ):
        values = {"name": "tiny", "optimizers": optimizers, "benchmarks": [task], "seeds": 3}
        Path("tiny.yaml").write_text(yaml.safe_dump(values | {"budget": budget, "executor": "serial"}))
        found = forecast.forecast("tiny.yaml", *load_grid("tiny.yaml", {}))
        assert (found.trials, found.unknown) == (trials, unknown), budget
        assert ("trials: as many as the budget allows" in str(found)) == (trials is None)


def test_durations_are_told_roughly() -> None:
    words = [forecast.about(seconds) for seconds in (3, 70, 1200, 9000)]
    assert words == ["less than a minute", "about 1 minute", "about 20 minutes", "about 2.5 hours"]


@pytest.mark.parametrize("name", ["test", "test-fast", "test-slow", "test-lcbench"])
def test_known_speeds_are_those_of_the_published_grids(name: str) -> None:
    trials = load(ROOT / "results" / name).trials
    search = trials[trials["phase"] == "search"].astype({"optimizer": str})
    for optimizer, seconds in search.groupby("optimizer")["ask_seconds"].mean().items():
        known = forecast.SUGGESTION[str(optimizer)]
        # Of the same size: what a suggestion costs depends on the machine and on what else it does.
        assert seconds / 3 <= known <= seconds * 3
