"""Frozen references: found, merged with version numbers, and reproduced."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ConfigSpace import Configuration

from optibench_benchmarks import BenchmarkError, Family, Reference, create, names, registry
from optibench_benchmarks.references import fronts
from optibench_benchmarks.references import table as references
from optibench_benchmarks.references.compute import COMPUTED, check, compute, pending
from optibench_benchmarks.references.search_yahpo import Codec, search
from optibench_benchmarks.references.table import Entry, entries, lookup, write
from optibench_benchmarks.training.hpobench.data import OPENML
from optibench_benchmarks.yahpo.space import search_space

needs_data = pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")

# From an independent search of 32,800 evaluations.
KNOWN = {
    "yahpo/lcbench/3945": 99.658318,
    "yahpo/lcbench/167152": 98.715057,
    "yahpo/lcbench/189906": 95.275093,
    "yahpo/rbv2_xgboost/12": 1.000004,
    "yahpo/rbv2_xgboost/1489": 0.994907,
    "yahpo/rbv2_xgboost/40981": 0.971302,
    "hpobench/nn/car": 1.0,
    "hpobench/nn/vehicle": 0.95157,
}
MEDIANS = {"yahpo/lcbench/189906": 52.148373, "yahpo/rbv2_xgboost/40981": 0.709788, "hpobench/nn/vehicle": 0.814378}


def entry(name: str = "a/b", f_best: float = 0.1, f_ref: float = 1.0, **more: object) -> Entry:
    return Entry(name, Reference(f_best, f_ref, 2.0, "made up"), "d1", **more)


@pytest.mark.parametrize("name", KNOWN)
def test_the_committed_best_is_at_least_the_best_known(name):
    reference = lookup(name)
    assert reference.f_best >= KNOWN[name] - 5e-6  # the known ones are rounded, and networks answer in steps of 4e-6
    assert abs(reference.regret(KNOWN[name])) < 1e-3
    if name in MEDIANS:
        assert abs(reference.regret(MEDIANS[name]) - 1) < 0.01


def test_every_listed_task_has_a_reference():
    assert all(create(name).reference for name in ("bbob/f1-2d/i1",) if name in names())
    rest = [name for name in names() if name not in entries() and name.partition("/")[0] not in COMPUTED]
    rest = [name for name in rest if name not in fronts.names()]  # several objectives
    # Only tasks whose data is not here: their references are computed where it is.
    fetched = [name for name in rest if name == "mnist/mlp" or name.rpartition("/")[2] in OPENML]
    assert [name for name in rest if name not in fetched] == []
    assert list(entries()) == sorted(entries())
    for name in (name for name in entries() if not name.startswith("yahpo/") and name in names()):
        task = create(name)
        sign = 1 if task.direction == "minimize" else -1
        found = task.reference
        assert task.name == name
        assert sign * found.f_best < sign * found.f_ref <= sign * found.f_worst, name


@needs_data
def test_references_made_with_other_data_are_not_given():
    benchmark = create("yahpo/lcbench/3945")
    assert benchmark.reference == lookup(benchmark.name) == lookup(benchmark.name, data_version=benchmark.data_version)
    assert lookup(benchmark.name, data_version="other") is None
    assert lookup("yahpo/lcbench/0") is None
    assert pending(["yahpo/lcbench/3945", "yahpo/lcbench/3945/time"]) == ["yahpo/lcbench/3945/time"]


QUICK = (
    *("hpobench/nn/car", "hpolib/slice_localization", "synthetic/rotated/ackley-5d", "hpobench/ml/svm/digits"),
    *("hpobench/ml/lr/wine", "live/tree/digits", "live/knn/wine", "live/svm/diabetes"),
)
TRAINED = (
    *("digits/mlp", "moe-router/generated", "mainrun/gpt"),
    *(name for name in entries() if name.startswith("attention/")),
)
HOLD = [
    *(pytest.param(name, marks=needs_data) for name in ("yahpo/lcbench/189906", "yahpo/rbv2_xgboost/40981")),
    pytest.param("mnist/mlp-10k", marks=[pytest.mark.heavy, pytest.mark.data("mnist")]),
    *(pytest.param(name, marks=pytest.mark.heavy) for name in TRAINED),
    *QUICK,
]


@pytest.mark.parametrize("name", HOLD)
def test_committed_references_hold(name):
    assert check([name]) == []


def test_a_reference_that_does_not_hold_is_named_with_both_values(tmp_path, monkeypatch):
    file = tmp_path / "references.json"
    good = next(compute(["synthetic/sphere-2d"]))
    write([Entry(good.name, Reference(-1.0, 2.0, 3.0, "wrong"), good.data_version)], file)
    monkeypatch.setattr("optibench_benchmarks.references.compute.entries", lambda path=None: entries(path or file))
    problems = check()
    assert len(problems) == 3
    assert problems[0].startswith("synthetic/sphere-2d: f_best is ")
    assert "not -1.0 as stored" in problems[0]
    with pytest.raises(BenchmarkError, match="`optibench references synthetic/levy-2d`"):
        check(["synthetic/levy-2d"])


def test_a_wrapped_task_has_no_reference_of_its_own():
    with pytest.raises(BenchmarkError, match="No reference can be made for"):
        list(compute(["synthetic/sphere-2d+noise=0.1"]))


def test_a_search_of_too_few_evaluations_is_refused():
    with pytest.raises(BenchmarkError, match="at least 1000 evaluations, not 10"):
        list(compute(["synthetic/sphere-2d"], evaluations=10))


# --- the file


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path):
    file = tmp_path / "references.json"
    made = [entry("z", f_best=0.1 + 0.2), entry("a", f_ref=1 / 3, f_best=-1e-17, best={"x": 1 / 7, "c": "d"}, seed=3)]
    assert [change.kind for change in write(made, file)] == ["new", "new"]
    assert dict(entries(file)) == {each.name: each for each in made}
    assert list(json.loads(file.read_text())) == ["a", "z"]
    assert len(file.read_text().splitlines()) == 4
    assert list(tmp_path.iterdir()) == [file]


def test_a_changed_value_raises_the_version_and_the_same_value_does_not(tmp_path):
    file = tmp_path / "references.json"
    write([entry()], file)
    before = file.read_bytes()
    (same,) = write([entry()], file)
    assert same.kind == "unchanged"
    assert file.read_bytes() == before
    (change,) = write([entry(f_ref=1.5)], file)
    assert (change.kind, change.old.reference.version, change.new.reference.version) == ("changed", 1, 2)
    (again,) = write([entry(f_ref=1.0)], file)
    assert again.new.reference.version == 3
    assert entries(file)["a/b"].reference.f_ref == 1.0


def test_a_worse_search_keeps_the_better_value_and_its_configuration(tmp_path):
    file = tmp_path / "references.json"
    write([entry(f_best=0.1, best={"x": 1}, seed=0)], file)
    (worse,) = write([entry(f_best=0.2, best={"x": 2}, seed=1)], file)
    assert worse.kind == "unchanged"
    (better,) = write([entry(f_best=0.05, best={"x": 3}, seed=2)], file)
    assert better.kind == "changed"
    assert entries(file)["a/b"].best == {"x": 3}
    assert entries(file)["a/b"].reference.version == 2


def test_a_broken_or_unwritable_file_is_one_sentence(tmp_path):
    file = tmp_path / "references.json"
    file.write_text("{")
    with pytest.raises(BenchmarkError, match="cannot be read"):
        entries(file)
    file.write_text('{"a": {"f_best": 1}}')
    with pytest.raises(BenchmarkError, match="cannot be read"):
        entries(file)
    for below in (file, tmp_path / "file" / "deeper"):
        (tmp_path / "file").write_text("")
        with pytest.raises(BenchmarkError, match="cannot be written to"):
            write([entry()], below / "references.json")
    assert not entries(tmp_path / "absent.json")


def test_a_disk_that_fills_up_keeps_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "references.json"
    write([entry()], file)
    before = file.read_bytes()

    def full(path, text, **settings):
        path.write_bytes(text.encode()[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BenchmarkError, match="No space left"):
        write([entry(f_ref=1.5)], file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    file = tmp_path / "references.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write([entry(f"a/{number}")], file), range(24)))
    assert set(entries(file)) == {f"a/{number}" for number in range(24)}


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """The package as pip installs it, a plug-in of the family ``a``, and a user's data folder; all without values."""
    packages = tmp_path / "site-packages"
    (packages / "benchmarks").mkdir(parents=True)
    (packages / "plug_in_with_values.py").write_text("")
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(references, "FILE", packages / "benchmarks" / "references.json")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    families = dict(registry.families())
    families["a"] = Family("a", "", "plug_in_with_values:FAMILY", "plug_in_with_values:values.json")
    monkeypatch.setattr(registry, "families", lambda: families)
    return tmp_path


def test_an_installed_package_is_never_written_to(homes):
    write([entry("synthetic/sphere-2d"), entry("a/b"), entry("unheard/of")])
    assert set(entries(references.user_file())) == {"synthetic/sphere-2d", "a/b", "unheard/of"}
    assert lookup("a/b") == entry().reference
    assert homes / "user" in references.user_file().parents
    assert not list((homes / "site-packages").rglob("*.json"))


def test_a_checkout_and_a_plug_ins_checkout_hold_their_own_references(homes):
    (homes / "site-packages" / ".git").mkdir()
    write([entry("synthetic/sphere-2d"), entry("a/b"), entry("unheard/of")])
    assert set(entries(references.FILE)) == {"synthetic/sphere-2d"}
    assert set(entries(homes / "site-packages" / "values.json")) == {"a/b"}
    assert set(entries(references.user_file())) == {"unheard/of"}
    assert list(entries()) == ["synthetic/sphere-2d", "a/b", "unheard/of"]


def test_the_newest_version_of_the_data_at_hand_holds(homes):
    write([entry()], references.FILE)
    (change,) = write([entry(f_ref=1.5)])  # the package cannot be written to: it is the user's
    assert change.new.reference.version == 2
    assert lookup("a/b").f_ref == entries()["a/b"].reference.f_ref == 1.5
    write([entry(f_ref=1.7), entry(f_ref=1.8)], references.FILE)  # a newer release
    assert lookup("a/b").f_ref == entries()["a/b"].reference.f_ref == 1.8
    write([replace(entry(f_ref=1.9), data_version="other")])
    assert lookup("a/b", data_version="other").f_ref == 1.9
    assert lookup("a/b", data_version=entry().data_version).f_ref == 1.8


@pytest.mark.parametrize("wrong", ["no_such_module:values.json", "plug_in_with_values", "plug_in_with_values:"])
def test_a_family_with_a_wrong_home_is_one_sentence(homes, wrong):
    with pytest.raises(BenchmarkError, match=r"'b' .* is broken: ValueError") as caught:
        registry.register(Family("b", "", "plug_in_with_values:FAMILY", wrong))
    assert "\n" not in str(caught.value)


# --- the search


@needs_data
@pytest.mark.parametrize("name", ["yahpo/lcbench/3945", "yahpo/rbv2_xgboost/40981"])
def test_the_searchs_points_are_the_configurations_they_stand_for(name):
    benchmark = create(name)
    codec = Codec(benchmark)
    points = np.random.default_rng(0).random((500, len(codec.parameters)))
    points[:50] = np.round(points[:50])  # corners: the bounds of logarithmic parameters are easily missed
    configs = [codec.config(point) for point in points]
    for config in configs:
        Configuration(benchmark.space, values=config).check_valid_configuration()
    for ours, theirs in zip(codec.encode(points), benchmark.encoder()(configs), strict=True):
        np.testing.assert_array_equal(ours, theirs)


NESTED = {
    "hyperparameters": [
        {"name": "learner", "type": "categorical", "choices": ["forest", "boosting"], "default": "forest"},
        {"name": "rule", "type": "categorical", "choices": ["gini", "extra"], "default": "gini"},
        {"name": "splits", "type": "uniform_int", "lower": 1, "upper": 9, "log": False, "default": 5},
    ],
    "conditions": [
        {"child": "rule", "parent": "learner", "type": "EQ", "value": "forest"},
        {
            "child": "splits",
            "type": "AND",
            "conditions": [
                {"child": "splits", "parent": "rule", "type": "IN", "values": ["extra"]},
                {"child": "splits", "parent": "learner", "type": "NEQ", "value": "boosting"},
            ],
        },
    ],
}


def test_the_search_respects_conditions_on_conditional_parameters():
    fake = SimpleNamespace(
        name="nested",
        space=search_space(NESTED, ()),
        surrogate=SimpleNamespace(content=NESTED),
        encoder=lambda: SimpleNamespace(numeric=[("splits", 0.0)], categorical=[]),
    )
    codec = Codec(fake)
    points = np.array([[0.1, 0.9, 0.0], [0.1, 0.1, 0.5], [0.9, 0.9, 0.5], [0.1, 0.9, 1.0]])
    assert [codec.config(point) for point in points] == [
        {"learner": "forest", "rule": "extra", "splits": 1},
        {"learner": "forest", "rule": "gini"},
        {"learner": "boosting"},
        {"learner": "forest", "rule": "extra", "splits": 9},
    ]
    assert codec.encode(points)[1].tolist() == [[1], [0], [0], [9]]


@needs_data
def test_a_search_is_determined_by_its_seed_and_finds_what_it_says():
    benchmark = create("yahpo/rbv2_xgboost/1489")
    value, config = search(benchmark, evaluations=20_000, seed=0)
    assert (value, config) == search(benchmark, evaluations=20_000, seed=0)
    assert config != search(benchmark, evaluations=20_000, seed=1)[1]
    Configuration(benchmark.space, values=config).check_valid_configuration()
    assert benchmark.evaluate(config, seed=0).value == pytest.approx(value, abs=1e-5)
    assert value > 0.98  # 20,000 random configurations reach 0.938


@needs_data
def test_a_minimized_metric_is_searched_downwards():
    benchmark = create("yahpo/lcbench/3945/val_cross_entropy")
    value, _ = search(benchmark, evaluations=5_000, seed=0)
    benchmark.space.seed(0)
    random = [
        each.value
        for each in benchmark.evaluate_batch([dict(c) for c in benchmark.space.sample_configuration(2000)], seed=0)
    ]
    assert value < min(random)
    (made,) = compute([benchmark.name], evaluations=2_000)
    assert made.reference.f_best < made.reference.f_ref < made.reference.f_worst
    assert made.best is not None
