"""Every setting of every optimizer: a wrong value gives one sentence that names it; accepted values work."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

import optibench_optimizers
from optibench.cli.main import main
from optibench_optimizers import Capabilities, Entry, Observation, OptimizerError, catalog, declarations, registry
from optibench_optimizers.adapters.random_search import RandomSearch
from optibench_optimizers.entry import settings_of
from optibench_optimizers.settings import Choice, Number, Whole, of_type
from optiformer.search.config import PRESETS

if TYPE_CHECKING:
    from decimal import Decimal

NUMBERS = (-1, 0, 1, 0.5, 10**9, -(10**9), 1e300, -1e300, 5e-324)
NONSENSE = (None, [1], {"a": 1}, "nonsense", "", b"1", math.nan, math.inf, -math.inf, 10**400, True)
SPACE = ConfigurationSpace({"x": (-1.0, 1.0), "y": (-1.0, 1.0)})
TOLD = [
    Observation({"x": float(x), "y": float(y)}, float(x * x + y * y))
    for x, y in np.random.default_rng(0).uniform(-1, 1, (10, 2))
]


def defaults(name: str) -> dict[str, Any]:
    """The settings of an optimizer and their defaults."""
    found = settings_of(optibench_optimizers.entries()[name].load())
    return {key: parameter.default for key, parameter in found.items()}


@pytest.mark.parametrize("entry", catalog.ENTRIES, ids=lambda entry: entry.name)
def test_a_built_in_entry_declares_what_its_class_takes(entry: Entry) -> None:
    cls = entry.load()
    own = settings_of(cls)
    assert entry.settings is not None
    assert list(entry.settings) == list(own)
    types = {Whole: int, Number: float, Choice: str}
    for key, parameter in own.items():
        kind = entry.settings[key]
        assert declarations.annotation(cls, parameter) is types.get(type(kind), kind), key
        of_type(key, parameter.default, kind)


def test_the_presets_that_entries_declare_are_those_of_the_model() -> None:
    ours = optibench_optimizers.entries()["optiformer"].settings
    assert ours is not None
    assert ours["preset"] == Choice(tuple(PRESETS))


def asks(name: str, settings: dict[str, Any]) -> bool:
    """Whether an optimizer accepts settings and then proposes; else it must name one of them in its one sentence."""
    try:
        created = optibench_optimizers.create(name, SPACE, seed=0, n_trials=20, settings=settings)
    except OptimizerError as error:
        sentence = str(error)
        assert any(key in sentence for key in settings), sentence
        assert repr(name) in sentence
        assert "\n" not in sentence
        assert len(sentence) < 400
        return False
    with closing(created) as optimizer:
        optimizer.tell(TOLD)
        (suggestion,) = optimizer.ask()
        assert all(-1 <= suggestion.config[key] <= 1 for key in ("x", "y"))
    return True


def of_another_kind(default: object, value: Any) -> bool:
    """Whether a value has a type other than a setting's default, checked independently of the code."""
    if isinstance(default, (bool, str)):
        return type(value) is not type(default)
    if type(value) not in (int, float) or not abs(value) < math.inf:
        return True
    return isinstance(default, int) and isinstance(value, float)


@pytest.mark.parametrize("name", optibench_optimizers.entries())
def test_a_wrong_value_is_one_sentence_and_an_accepted_one_works(name: str) -> None:
    for key, default in defaults(name).items():
        assert isinstance(default, (bool, int, float, str)), "a setting has a plain default"
        taken = [value for value in (*NUMBERS, *NONSENSE) if asks(name, {key: value})]
        assert [value for value in taken if of_another_kind(default, value)] == [], f"what {name} took as {key}"
        if isinstance(default, str):
            assert "nonsense" not in taken, f"{name} took any word as {key}"
        elif isinstance(default, int) and not isinstance(default, bool):
            assert 10**9 not in taken, f"{name} has no upper limit of {key}"


class Theirs(RandomSearch):
    """A plug-in's optimizer, which checks nothing itself."""

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        seed: int,
        n_trials: int,
        count: int = 3,
        rate: float | None = None,
        kind: Literal["a", "b", 3] = "a",
        either: str | bool = "x",
        implicit: int = None,  # type: ignore[assignment]  # noqa: RUF013
        unknown: Decimal | None = None,
        path: Path = Path(),
        bare=None,  # type: ignore[no-untyped-def]
        **more: object,
    ) -> None:
        super().__init__(space, seed=seed, n_trials=n_trials)
        if count == 13:
            raise ValueError("thirteen\nis unlucky")


ENTRY = Entry("theirs", "Theirs.", "theirs_module:Theirs", RandomSearch.capabilities)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    optibench_optimizers.entries()
    monkeypatch.setitem(sys.modules, "theirs_module", sys.modules[__name__])
    monkeypatch.setitem(registry._entries, "theirs", ENTRY)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"count": "many"}, "Optimizer 'theirs': Setting 'count' must be a whole number, not 'many'."),
        ({"count": True}, "'count' must be a whole number, not True"),
        ({"count": 1.0}, "'count' must be a whole number, not 1.0"),
        ({"count": None}, "'count' must be a whole number, not None"),
        ({"rate": "0.5"}, "'rate' must be a number or null, not '0.5'"),
        ({"rate": math.nan}, "'rate' must be a number or null, not nan"),
        ({"rate": 10**400}, "'rate' must be a number or null, not 10000"),
        ({"kind": "c"}, "'kind' must be one of a, b, 3, not 'c'"),
        ({"kind": 3.0}, "'kind' must be one of a, b, 3, not 3.0"),
        ({"either": 1}, "'either' must be text or true or false, not 1"),
        ({"implicit": "x"}, "'implicit' must be a whole number or null, not 'x'"),
    ],
)
def test_a_third_partys_annotations_are_checked(theirs: None, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(OptimizerError) as caught:
        optibench_optimizers.create("theirs", SPACE, seed=0, n_trials=5, settings=settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"count": -7, "rate": 2, "kind": 3, "either": False, "implicit": None, "other": [1]},
        {"rate": None, "unknown": "x", "path": 3, "bare": "anything"},
    ],
)
def test_what_annotations_allow_or_do_not_tell_is_taken(theirs: None, settings: dict[str, Any]) -> None:
    optibench_optimizers.create("theirs", SPACE, seed=0, n_trials=5, settings=settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"capabilities": {"batch": True}},
            "its `capabilities` must be an optibench_optimizers.Capabilities, not {'batch': True}",
        ),
        ({"capabilities": Capabilities(batch="yes")}, "its `capabilities.batch` must be true or false, not 'yes'"),
        (
            {"capabilities": Capabilities(multi_fidelity=1)},
            "`capabilities.multi_fidelity` must be true or false, not 1",
        ),
        ({"capabilities": Capabilities(replay=None)}, "its `capabilities.replay` must be true or false, not None"),
        ({"capabilities": Capabilities(max_dimensions=-1)}, "`capabilities.max_dimensions` must be at least 1, not -1"),
        ({"capabilities": Capabilities(max_dimensions="9")}, "must be a whole number or null, not '9'"),
        ({"capabilities": Capabilities(conditional=True)}, "its `capabilities.conditional` must be text, not True"),
        ({"capabilities": Capabilities(failed=0)}, "its `capabilities.failed` must be text, not 0"),
        ({"packages": "numpy"}, "its `packages` must be a tuple of distributions' names, not 'numpy'"),
        ({"packages": ("numpy", 2)}, "its `packages` must be a tuple of distributions' names"),
        ({"companions": "greenlet"}, "its `companions` must be a tuple of modules' names, not 'greenlet'"),
        ({"packages": ("",)}, "its `packages` must be a tuple of distributions' names"),
        ({"target": "theirs_module.Theirs"}, "its `target` must be module:Class, not 'theirs_module.Theirs'"),
        ({"target": ""}, "its `target` must be module:Class"),
        ({"target": Theirs}, "its `target` must be module:Class"),
        ({"fingerprint": "theirs_module"}, "its `fingerprint` must be module:function, not 'theirs_module'"),
        ({"fingerprint": None}, "its `fingerprint` must be module:function, not None"),
        ({"settings": ["count"]}, "its `settings` must be a mapping of names to bool, int, float, str, Whole, Number"),
        ({"settings": {"count": list}}, "its `settings` must be a mapping of names to bool"),
        ({"summary": 3}, "its `summary` must be text, not 3"),
        ({"install": None}, "its `install` must be text, not None"),
        ({"name": None}, "An optimizer's name has none of"),
        ({"name": "two words"}, "An optimizer's name has none of"),
    ],
)
def test_an_entry_that_declares_something_wrongly_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(OptimizerError) as caught:
        optibench_optimizers.register(replace(ENTRY, **changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


class Other(RandomSearch):
    capabilities = Capabilities(batch=True, failed="otherwise")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            replace(ENTRY, target="theirs_module:Nobody"),
            "Optimizer 'theirs' (theirs_module:Nobody) cannot be loaded: Attr",
        ),
        (
            replace(ENTRY, target="theirs_module:SPACE"),
            "theirs_module:SPACE is no class of optibench_optimizers.Optimizer",
        ),
        (
            replace(ENTRY, target="theirs_module:Entry"),
            "theirs_module:Entry is no class of optibench_optimizers.Optimizer",
        ),
        (
            replace(ENTRY, target="theirs_module:Other"),
            "its entry and theirs_module:Other declare different capabilities",
        ),
        (
            replace(ENTRY, target="theirs_module:RandomSearch", settings={"rate": float}),
            "RandomSearch declare different settings, rate in one of them only",
        ),
        (
            replace(ENTRY, fingerprint="theirs_module:nothing"),
            "(theirs_module:nothing) cannot be loaded: AttributeError",
        ),
        (
            replace(ENTRY, target="no_such_module:X", install="make it"),
            "needs the package 'no_such_module', which is missing; run `make it`",
        ),
        (ENTRY, "Setting 'count' must be a whole number, not 'many'"),
        (ENTRY, "Optimizer 'theirs:count=13' cannot be set up: thirteen"),
    ],
)
def test_nothing_is_run_with_what_is_wrong(
    theirs: None,
    entry: Entry,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(registry._entries, "theirs", entry)
    setting = ":count=13" if "13" in words else ":count=many" if "many" in words else ""
    assert main(["run", "-o", f"theirs{setting}", "-b", "synthetic/sphere-2d", "--out", str(tmp_path / "out")]) == 2
    sentence = capsys.readouterr().err
    assert words in sentence
    assert sentence.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tpe:n_ei_candidates=many", "Optimizer 'tpe': Setting 'n_ei_candidates' must be a whole number of at least 1"),
        ("tpe:n_startup_trials=1000001", "at least 0 and at most 1,000,000, not 1000001"),
        ("tpe:n_startup_trials=2024-13-45", "at most 1,000,000, not '2024-13-45'"),
        ("optiformer:train=true", "Optimizer 'optiformer': Setting 'train' must be text, not True."),
        ("optiformer:train=wrong.yaml", "'train': wrong.yaml: train: beta2 must be a number of at least 0 and below 1"),
        (
            "optiformer-seq:train=wrong.yaml",
            "'train': wrong.yaml: train: beta2 must be a number of at least 0 and below",
        ),
        ("optiformer-seq:train=optiformr", "'train': There is no configuration 'optiformr': give a YAML file"),
        ("optiformer-seq:train=optiformer", "'train': The configuration 'optiformer' trains the encoding surrogate"),
        ("optiformer:train=optiformer-seq", "'train': The configuration 'optiformer-seq' trains the encoding seq"),
        ("optiformer:train=optiformer,temperature=-2", "Setting 'temperature' must be a number above 0, not -2"),
        ("optiformer-seq:train=optiformer-seq,top_p=7", "Setting 'top_p' must be a number above 0 and at most 1"),
        ("optiformer-seq:train=optiformer-seq,checkpoint=x", "either a checkpoint or a configuration to train"),
        ("optiformer-sampler:checkpoint=nowhere", "Setting 'checkpoint': nowhere is no complete checkpoint"),
        ("optiformer-sampler:preset=slow", "Setting 'preset' must be one of default, thorough, not 'slow'"),
        ("optiformer-sampler:temperature=0", "Setting 'temperature' must be a number above 0"),
        ("optiformer-sampler:temperature=hot", "Setting 'temperature' must be a number, not 'hot'"),
        ("optiformer-sampler:seed=1", "has no setting 'seed'"),
        ("optiformer:checkpoint=nowhere", "Setting 'checkpoint': nowhere is no complete checkpoint"),
    ],
)
def test_a_wrong_setting_is_said_before_anything_is_trained_or_written(
    spec: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optiformer.training.loop.main", lambda *_, **__: pytest.fail("it was trained"))
    (tmp_path / "wrong.yaml").write_text("train: {beta2: 7}\n")
    assert main(["run", "-o", spec, "-b", "synthetic/sphere-2d", "--out", "out"]) == 2
    sentence = capsys.readouterr().err
    assert words in sentence
    assert sentence.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


@pytest.mark.parametrize(
    ("key", "value"), [("seed", -1), ("seed", 0.5), ("seed", "0"), ("n_trials", 0), ("n_trials", "9")]
)
@pytest.mark.parametrize("name", ["random", "sobol"])
def test_a_wrong_seed_or_budget_is_one_sentence(name: str, key: str, value: Any) -> None:
    with pytest.raises(OptimizerError, match=f"Optimizer '{name}': Setting '{key}' must be a whole number of at least"):
        optibench_optimizers.create(name, SPACE, **{"seed": 0, "n_trials": 9, key: value})
