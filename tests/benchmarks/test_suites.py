"""Suites: all expand, dev and test are disjoint, every choice has a reason."""

import pytest

import optibench_benchmarks
from optibench_benchmarks import MissingDataError, expand
from optibench_benchmarks.suites import load, reasons, summaries

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


def test_demo_has_six_tasks_of_both_kinds_and_needs_no_download(data_folder):
    found = expand(["demo"])
    assert len(found) >= 6
    assert {name.partition("/")[0] for name in found} == {"hpobench", "synthetic"}


def test_dev_and_test_have_a_reason_for_each_choice():
    for suite in ("dev", "test"):
        why = reasons(suite)
        assert list(why) == list(load()[suite])
        assert all(reason and "\n" not in reason and len(reason) < 120 for reason in why.values())


@pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")
def test_dev_and_test_are_disjoint_and_cover_the_real_tasks():
    dev, test = set(expand(["dev"])), set(expand(["test"]))
    assert not dev & test
    assert dev >= PROTOTYPE_TASKS
    assert dev >= set(expand(["demo"]))
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


def test_reasons_of_an_unknown_suite_name_the_known_ones():
    with pytest.raises(optibench_benchmarks.BenchmarkError, match="There is no suite 'nope'; there are synthetic-2d"):
        reasons("nope")
