"""Reduced modes of a library: the registry refuses them, doctor names them, the suite fails."""

from __future__ import annotations

import dataclasses
import logging
import sys
import tomllib
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from packaging.requirements import Requirement

import optibench_optimizers
from optibench.cli import doctor
from optibench.cli.main import main
from optibench_optimizers import Capabilities, Entry, OptimizerError
from optibench_optimizers.conformance.reduced import heard_from, listening, reduced
from optibench_optimizers.conformance.spaces import mixed
from optibench_optimizers.conformance.suite import OptimizerConformance, initial_design
from optibench_optimizers.spaces import SearchSpace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_greenlet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing greenlet fails in this process and its children."""
    monkeypatch.setitem(sys.modules, "greenlet", None)
    (tmp_path / "greenlet.py").write_text("raise ImportError('greenlet is blocked')\n")
    monkeypatch.syspath_prepend(tmp_path)


class GP(OptimizerConformance):
    spec = "gp-optuna"


@pytest.mark.usefixtures("no_greenlet")
def test_the_registry_refuses_optunas_process_without_greenlet() -> None:
    with pytest.raises(OptimizerError) as caught:
        optibench_optimizers.create("gp-optuna", mixed(), seed=0, n_trials=20)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "greenlet cannot be imported" in sentence
    assert "`pip install 'optuna>=5' 'greenlet>=3' torch`" in sentence


@pytest.mark.usefixtures("no_greenlet")
def test_a_grid_with_it_is_refused_before_its_first_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "-o", "gp-optuna", "-b", "synthetic/sphere-2d", "-s", "1", "-t", "12"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "greenlet cannot be imported" in capsys.readouterr().err


@pytest.mark.usefixtures("no_greenlet")
def test_the_doctor_names_it_and_the_cure() -> None:
    rows, well = doctor.check_installation()
    assert not well
    (row,) = [row for row in rows if row.what == "optimizer gp-optuna"]
    assert "greenlet cannot be imported" in row.found
    assert row.cure == "pip install 'optuna>=5' 'greenlet>=3' torch"
    assert not [row for row in rows if row.what == "optimizer tpe" and row.cure]


@pytest.mark.usefixtures("no_greenlet")
def test_the_suite_fails_it() -> None:
    for test in (GP().test_the_entry_says_what_the_class_says, GP().test_its_libraries_say_nothing_of_a_reduced_mode):
        with pytest.raises((AssertionError, OptimizerError), match="greenlet"):
            test()


@pytest.mark.usefixtures("no_greenlet")
def test_the_suite_hears_of_a_fallback_that_no_entry_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message comes once, at Optuna's first suggestion, at a level that our adapter turns off."""
    entry = dataclasses.replace(optibench_optimizers.entries()["gp-optuna"], name="undeclared", companions=())
    monkeypatch.setitem(optibench_optimizers.registry._entries, "undeclared", entry)
    assert any("falling back to sequential L-BFGS-B" in text for text in reduced(heard_from("undeclared")))


def test_an_old_version_is_refused_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"optuna": "4.2.0", "numpy": "2.4.6"}
    monkeypatch.setattr("optibench_optimizers.requirements.version", lambda name: have.get(name, "99.0+cpu"))
    with pytest.raises(OptimizerError, match=r"optuna 4\.2\.0 is installed and optuna>=5 is needed; run `pip install"):
        optibench_optimizers.entries()["tpe"].load()
    assert optibench_optimizers.entries()["random"].problems() == []
    rows, well = doctor.check_installation()
    assert not well
    assert [row.found for row in rows if row.what == "optimizer asha"] == [
        "optuna 4.2.0 is installed and optuna>=5 is needed"
    ]


def test_the_oldest_versions_are_those_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["pycma"]]
    wanted = {found.name: found for found in map(Requirement, texts)}
    declared = [
        requirement
        for entry in optibench_optimizers.entries().values()
        if entry.target.startswith("optibench_optimizers.")
        for requirement in map(Requirement, entry.packages)
        if requirement.specifier
    ]
    assert {"optuna", "greenlet", "smac", "torch", "cmaes"} <= {requirement.name for requirement in declared}
    for requirement in declared:
        assert set(requirement.specifier) <= set(wanted[requirement.name].specifier), requirement.name


def test_a_package_that_pip_cannot_read_is_refused() -> None:
    with pytest.raises(OptimizerError, match="'odd' names a package as pip does not read it"):
        optibench_optimizers.register(Entry("odd", "Odd.", "odd:Odd", Capabilities(), packages=("my library",)))


def test_listening_hears_what_is_silenced_and_shows_no_more_than_before(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.ERROR)
    with listening() as heard, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet.info("falling back to %s", "one")
        quiet.error("an error")
        warnings.warn("slower", stacklevel=1)
    assert heard == ["falling back to one", "an error", "slower"]
    assert reduced(heard) == ["falling back to one", "slower"]
    assert [record.message for record in caplog.records] == ["an error"]
    assert not recwarn.list
    quiet.info("no more")
    assert len(heard) == 3


@pytest.mark.parametrize("name", ["tpe", "tpe:group=true", "gp-optuna"])
def test_optuna_draws_nothing_at_random_in_a_space_without_conditions(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's random sampler replaces the model, with or without a message."""

    def drawn(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("a parameter was drawn at random")

    told = initial_design(SearchSpace(mixed()))
    with closing(optibench_optimizers.create(name, mixed(), seed=0, n_trials=len(told) + 2)) as optimizer:
        optimizer.tell(told)
        monkeypatch.setattr(optuna.samplers.RandomSampler, "sample_independent", drawn)
        for _ in range(2):
            optimizer.ask()
