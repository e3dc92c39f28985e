"""Suites: all expand, dev and test are disjoint, every choice has a reason."""

from importlib import resources

import pytest
import yaml

import optibench_benchmarks
from optibench_benchmarks import BenchmarkError, MissingDataError, expand
from optibench_benchmarks.hpob.pools import pools
from optibench_benchmarks.kept import is_kept, names, read
from optibench_benchmarks.suites import load, summaries

PROTOTYPE_TASKS = {
    "yahpo/lcbench/3945",
    "yahpo/lcbench/167152",
    "yahpo/lcbench/189906",
    "yahpo/rbv2_xgboost/12",
    "yahpo/rbv2_xgboost/1489",
    "yahpo/rbv2_xgboost/40981",
    "hpobench/nn/car",
    "hpobench/nn/vehicle",
}


def test_suites_are_those_promised():
    promised = {"synthetic-2d", "synthetic-5d", "synthetic-10d", "hpobench", "hpolib", "nasbench201"}
    promised |= {"yahpo-lcbench", "yahpo-rbv2_xgboost", "demo", "dev", "test"}
    assert promised <= set(load())
    assert set(summaries()) == set(load())


def test_a_caller_cannot_change_the_suites():
    load()["demo"].append("x")
    load().pop("dev")
    assert "x" not in load()["demo"]
    assert "dev" in load()


@pytest.mark.parametrize(
    ("suite", "count"),
    [("synthetic-2d", 12), ("synthetic-5d", 11), ("synthetic-10d", 11), ("hpobench", 8), ("hpolib", 4)],
)
def test_small_suites_have_the_expected_tasks(suite, count):
    found = expand([suite])
    assert len(found) == count
    if suite.startswith("synthetic"):
        assert all(name.endswith(f"-{suite.removeprefix('synthetic-')}") for name in found)
        assert not any("rotated" in name for name in found)


def test_demo_has_tasks_of_three_kinds_and_needs_no_download(data_folder):
    found = expand(["demo"])
    assert len(found) >= 6
    assert {name.partition("/")[0] for name in found} == {"hpobench", "live", "synthetic"}


def test_dev_and_test_have_a_reason_for_each_choice():
    file = resources.files(optibench_benchmarks).joinpath("suites.yaml")
    suites = yaml.safe_load(file.read_text(encoding="utf-8"))
    for suite in ("dev", "test"):
        why = suites[suite]["patterns"]
        assert list(why) == list(load()[suite])
        assert all(reason and "\n" not in reason and len(reason) < 120 for reason in why.values())


@pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")
def test_dev_and_test_are_disjoint_and_cover_the_real_tasks():
    dev, test = set(expand(["dev"])), set(expand(["test"]))
    assert not dev & test
    assert dev >= PROTOTYPE_TASKS
    assert dev >= {name for name in expand(["demo"]) if not name.startswith("live/")}  # live tasks are dev by nature
    real = expand(["yahpo-lcbench", "yahpo-rbv2_xgboost", "hpobench", "hpolib", "nasbench201"])
    assert set(real) <= dev | test
    assert set(expand(["synthetic-2d", "synthetic-5d", "synthetic-10d", "synthetic/hartmann*"])) <= dev | test


@pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")
def test_no_function_is_on_both_sides_of_the_split():
    def functions(suite):
        synthetic = [name for name in expand([suite]) if name.startswith("synthetic/")]
        return {name.rpartition("/")[2].rpartition("-")[0] for name in synthetic}

    assert functions("dev")
    assert not functions("dev") & functions("test")


@pytest.mark.parametrize("suite", ["yahpo-lcbench", "yahpo-rbv2_xgboost", "dev", "test"])
def test_a_suite_whose_data_is_missing_fails_with_the_fetch_command(suite, data_folder):
    with pytest.raises(MissingDataError, match="optibench data fetch") as caught:
        expand([suite])
    assert "\n" not in str(caught.value)


def without_data(suite):
    """The suite's tasks by its patterns, which name no glob."""
    return [name for pattern in load()[suite] for name in (without_data(pattern) if pattern in load() else [pattern])]


def test_hpob_has_all_pools_that_count_but_the_kept_ones_and_its_dev_part_no_data_set_of_those():
    dev, every = without_data("hpob-dev"), without_data("hpob")
    counted = {name for name, pool in pools().items() if not pool.left_out}
    assert len(every) == len(set(every)) == 27
    assert set(every) == counted - set(names())
    test = {pools()[name].data_set for name in names() if name.startswith("hpob/")} | set(
        read()["data_sets"]["live"]["test"]
    )
    assert dev == [name for name in every if pools()[name].data_set not in test]
    assert {pools()[name].data_set for name in dev} == set(read()["data_sets"]["hpob"]["dev"])


def test_bbob_has_no_function_of_which_a_task_is_kept():
    pytest.importorskip("cocoex")
    functions = {name.partition("-")[0] for name in expand(["bbob"])}
    kept = {name.partition("-")[0] for name in names() if name.startswith("bbob/")}
    assert len(functions) == 9
    assert not functions & kept
    assert len(functions | kept) == 24


def test_kept_tasks_are_in_no_suite_and_no_glob_but_run_by_their_names(data_folder):
    pytest.importorskip("cocoex")
    for suite in load():
        assert not list(
            filter(is_kept, expand([suite], {"": ""}) if suite.startswith(("bbob", "synth")) else without_data(suite))
        )
    found = expand(["bbob/*", "*/f2-*"])
    assert "bbob/f2-2d/i1" in found
    assert not list(filter(is_kept, found))
    assert not list(filter(is_kept, expand(["bbob/*+noise=0.1"])))
    one = "bbob/f2-2d/i15"
    assert expand([one, f"{one}+noise=0.1"]) == [one, f"{one}+noise=0.1"]
    assert expand(["bbob/f2-2d/i1", one, "!bbob/*-2d/i15"]) == ["bbob/f2-2d/i1"]
    with pytest.raises(BenchmarkError, match=f"All tasks that 'bbob/f2-2d/i15.' matches are kept for one look.*{one}"):
        expand(["bbob/f2-2d/i15*"])
