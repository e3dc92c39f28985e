"""Optimizers by name: listing is cheap, settings are checked, mistakes are one clear sentence."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace

import optibench_optimizers
from optibench_optimizers import Capabilities, Entry, OptimizerError, UnknownOptimizerError


def create(spec: str, **settings: Any) -> None:
    space = ConfigurationSpace({"x": (0.0, 1.0), "c": ["a", "b"]})
    optibench_optimizers.create(spec, space, seed=0, n_trials=20, settings=settings).close()


def test_listing_imports_none_of_the_libraries() -> None:
    code = (
        "import sys, optibench_optimizers; assert len(optibench_optimizers.entries()) >= 10; "
        "optibench_optimizers.check_settings(*optibench_optimizers.parse('gp-botorch:n_initial=3')); "
        "heavy = 'torch optuna smac sklearn skopt botorch gpytorch cmaes scipy ConfigSpace'.split(); "
        "print(sorted(set(heavy) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_optimizer_that_was_promised_is_there() -> None:
    promised = {"random", "sobol", "tpe", "tpe-univariate", "cmaes", "smac-rf", "smac-gp"}
    assert promised | {"gp-skopt", "gp-optuna", "gp-botorch"} <= set(optibench_optimizers.entries())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tpe:group=true,multivariate=false", "'group' needs 'multivariate'"),
        ("cmaes:popsize=1", "at least 2"),
        ("tpe:groups=true", "has no setting 'groups' (did you mean group?): it has multivariate, group, "),
        ("random:n=3", "has none"),
        ("tpe:group", "is not a setting"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(spec: str, words: str) -> None:
    with pytest.raises(OptimizerError) as caught:
        create(spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownOptimizerError, match=r"did you mean.*tpe"):
        optibench_optimizers.parse("tpee")


def test_too_many_parameters_are_refused_before_the_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(optibench_optimizers.entries()["sobol"], name="one", capabilities=Capabilities(max_dimensions=1))
    monkeypatch.setitem(optibench_optimizers.registry._entries, "one", entry)
    with pytest.raises(OptimizerError, match="handles at most 1 parameters; this space has 2"):
        create("one")


@pytest.mark.parametrize(
    ("spec", "n_initial", "first"),
    [
        *[("tpe", 10, 11), ("tpe", 0, 11), ("tpe", 15, 16), ("tpe:n_startup_trials=20", 10, 21)],
        *[
            ("nsga2", 10, 51),
            ("nsga3:population_size=10", 10, 11),
            ("gp-optuna", 10, 11),
            ("gp-botorch:n_initial=4", 0, 5),
        ],
        *[("smac-rf", 10, 11), ("smac-rf", 0, None), ("pycma", 10, 17), ("pycma", 0, 7), ("pycma:popsize=9", 10, 20)],
        *[("cmaes", 10, 17), ("smac-hb", 10, 11), ("optiformer-seq", 10, 11), ("optiformer", 0, 6)],
    ],
)
def test_the_first_model_based_trial_follows_from_the_settings(spec: str, n_initial: int, first: int | None) -> None:
    entry, settings = optibench_optimizers.parse(spec)
    assert entry.startup is not None
    assert entry.startup.first(settings, n_initial=n_initial, dimensions=2) == first


def test_what_looks_at_no_value_has_no_model_based_trial() -> None:
    entries = optibench_optimizers.entries()
    assert entries["random"].startup is entries["sobol"].startup is None


def test_a_name_is_taken_once() -> None:
    optibench_optimizers.entries()
    with pytest.raises(OptimizerError, match="registered twice"):
        optibench_optimizers.register(Entry("random", "Another.", "elsewhere:Random", Capabilities()))


def test_settings_are_read_as_numbers_truths_and_words() -> None:
    _, settings = optibench_optimizers.parse("cmaes:sigma0=1e-6,popsize=8,margin=false")
    assert settings == {"sigma0": 1e-6, "popsize": 8, "margin": False}
    assert optibench_optimizers.parse("gp-skopt:acq_func=EI")[1] == {"acq_func": "EI"}


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        (ImportError("no module named theirs_dependency"), "ImportError: no module named theirs_dependency"),
        (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
        (SystemExit(0), "SystemExit: 0"),
        ("nonsense", "it is a str, not an optibench_optimizers.Entry"),
        (Entry("random", "Another.", "elsewhere:Random", Capabilities()), "'random' is registered twice"),
    ],
)
def test_a_broken_plug_in_is_named_and_disables_no_other(
    loaded: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Point(EntryPoint):
        def load(self) -> Any:
            if isinstance(loaded, BaseException):
                raise loaded
            return loaded

    registry = optibench_optimizers.registry
    optibench_optimizers.entries()
    monkeypatch.setattr(registry, "_broken", {})
    monkeypatch.setattr(registry, "entry_points", lambda group: [Point("theirs", "module:ENTRY", group)])
    registry._load_entry_points.cache_clear()
    try:
        create("tpe")
        ((name, sentence),) = optibench_optimizers.broken().items()
        assert words in sentence
        assert "\n" not in sentence
        with pytest.raises(OptimizerError, match="is broken"):
            create(name)
    finally:
        registry._load_entry_points.cache_clear()
