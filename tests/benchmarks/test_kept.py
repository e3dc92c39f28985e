"""Kept tasks: what the rule draws, disjoint from dev, and run only where their names are spelled out."""

from collections import Counter

import pytest
import yaml

from optibench_benchmarks import kept
from optibench_benchmarks.hpob.pools import pools
from optibench_benchmarks.kept.draw import FILE, FREE, FUNCTIONS, draw
from optibench_benchmarks.live.recorded import SOURCES
from optibench_benchmarks.live.tasks import LEARNERS

KEPT = kept.read()


def test_the_committed_list_is_what_the_rule_draws():
    assert yaml.safe_load(FILE.read_text()) == draw()


def test_every_group_has_its_share():
    sizes = {family: {group: len(names) for group, names in groups.items()} for family, groups in KEPT["tasks"].items()}
    assert sizes["hpob"] == dict.fromkeys(("glmnet", "ranger", "rpart", "svm", "xgboost"), 4)
    assert sizes["live"] == dict.fromkeys(sorted({learner.group for learner in LEARNERS.values()}), 4)
    assert sizes["bbob"] == {**dict.fromkeys(FUNCTIONS, 3), "many dimensions": 4}
    assert len(set(kept.names())) == len(kept.names()) == 63


def test_47_pools_count_and_the_kept_ones_are_among_them():
    counted = [pool for pool in pools().values() if not pool.left_out]
    assert len(pools()) == 92
    assert Counter(pool.space for pool in counted) == {
        **{"5636": 6, "5859": 6, "5965": 6, "5971": 5, "7609": 5, "5891": 4, "6794": 4},
        **{"5527": 3, "6766": 3, "6767": 3, "5970": 2},
    }
    assert {name for name in kept.names() if name.startswith("hpob/")} < {pool.name for pool in counted}


def test_no_data_set_is_on_both_sides_in_any_family():
    live, hpob = KEPT["data_sets"]["live"], KEPT["data_sets"]["hpob"]
    test, dev = {*live["test"], *hpob["test"]}, {*live["dev"], *hpob["dev"]}
    assert not test & dev
    assert not (test | dev) & set(SOURCES)
    assert {*live["test"], *live["dev"]} == set(FREE)
    for names in KEPT["tasks"]["hpob"].values():
        data_sets = [pools()[name].data_set for name in names]
        assert len(set(data_sets)) == len(data_sets)
        assert set(data_sets) <= test
    for names in KEPT["tasks"]["live"].values():
        assert len({name.rpartition("/")[2] for name in names} & set(live["test"])) == len(names)


@pytest.mark.parametrize(("name", "expected"), [("hpob/6766/31", True), ("hpob/6766/31+noise=0.1", True)])
def test_variants_of_a_kept_task_are_kept(name, expected):
    assert kept.is_kept(name) is expected
    assert not kept.is_kept(name.replace("6766/31", "6766/3903"))
