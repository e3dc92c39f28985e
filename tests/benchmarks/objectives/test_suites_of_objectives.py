"""Suites of several objectives and constraints: apart from each other, large and mixed enough, chosen by rule."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("pymoo")
pytest.importorskip("cocoex")

from optibench_benchmarks import create, expand, families
from optibench_benchmarks.hypervolume import alone
from optibench_benchmarks.kept import is_kept
from optibench_benchmarks.kept.draw import by_hash
from optibench_benchmarks.references import fronts
from optibench_benchmarks.suites import load

pytestmark = pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost", "keel")
DEV, HEADLINE = ("dev-mo", "dev-constrained"), ("objectives", "constraints")
OPENML = {  # the data sets behind YAHPO's numbers
    "lcbench": {
        **{"146212": "shuttle", "167200": "higgs", "168908": "christine", "189862": "jasmine"},
        **{"189908": "fashion-mnist", "189909": "jungle-chess"},
    },
    "rbv2_xgboost": {"40981": "australian"},
}


def learner_and_data(name: str) -> set[str]:
    """A task's learner and its data set, or its function."""
    family, *parts = name.partition("+")[0].split("/")
    if family == "yahpo":
        return {parts[0], OPENML[parts[0]][parts[1]]}
    if family in ("pymoo", "bbob-biobj", "bbob-constrained", "engineering"):
        return {f"{family} {parts[-2 if family.startswith('bbob') else -1].partition('-')[0]}"}
    return {"/".join([family, *parts[:-1]]), parts[-1]}


def several(suites):
    """Tasks with several objectives, and tasks with constraints."""
    tasks = [create(name) for name in expand(suites)]
    return [task.name for task in tasks if task.objectives], [task.name for task in tasks if task.constraints]


def test_dev_and_headlines_share_no_learner_no_data_set_and_no_function():
    dev, headline = (set().union(*map(learner_and_data, expand(suites))) for suites in (DEV, HEADLINE))
    assert not dev & headline
    assert not set(expand(DEV)) & set(expand([*(name for name in load() if "objectives" in name), "constraints"]))
    assert [len(expand([suite])) for suite in DEV] == [8, 6]
    for kind in ("live/", "hpobench/"):
        assert all(any(name.startswith(kind) for name in expand([suite])) for suite in DEV)
    assert not list(filter(is_kept, expand([*DEV, *HEADLINE])))


def test_headlines_are_many_and_no_family_is_above_a_third():
    objectives, constraints = several(HEADLINE)
    assert len(objectives) >= 40
    assert len(constraints) >= 25
    assert len([name for name in {*objectives, *constraints} if name.startswith("live/")]) >= 15
    assert len({name.split("/")[1] for name in {*objectives, *constraints} if name.startswith("live/")}) >= 5
    for names in (objectives, constraints):
        found = Counter(name.partition("/")[0] for name in names)
        assert len(found) >= 6
        assert max(found.values()) <= len(names) / 3


def test_every_task_has_a_frozen_measure_and_no_headline_one_is_flagged():
    for name in expand([*DEV, *HEADLINE]):
        task = create(name)
        assert (task.front is not None) == bool(task.objectives)
        assert (task.reference is not None) == (not task.objectives)
        assert name not in expand(HEADLINE) or not task.left_out
    for name in expand(["objectives"]):
        front = fronts._read()[name].front
        assert max(alone(front, point) for point in front.points) <= fronts.MAX_ALONE * front.hypervolume


def test_pairs_of_lcbench_are_the_first_by_hash_that_no_rule_flags():
    looked_at = {name.rpartition("/")[2] for name in expand(["dev"]) if name.startswith("yahpo/lcbench/")}
    in_dev = {"167104", "167168", "167190"}  # australian, vehicle, phoneme; segment, 189906, is in dev too
    names = [name for name in families()["yahpo"].names() if name.startswith("yahpo/lcbench/")]
    first = by_hash(name for name in names if name.rpartition("/")[2] not in looked_at | in_dev)[:11]
    tasks = [create(f"{name}+objective=time") for name in first]
    assert all(task.front is not None for task in tasks)
    assert {task.name for task in tasks if not task.left_out} == set(expand(["objectives-yahpo"]))


@pytest.mark.parametrize(
    "name",
    [
        *(f"yahpo/lcbench/{number}+objective=val_cross_entropy" for number in (167152, 167185, 189873)),
        *(f"yahpo/rbv2_xgboost/{number}+objective=memory" for number in (28, 182, 12)),
    ],
)
def test_the_official_pairs_of_yahpo_run_and_are_flagged(name):
    task = create(name)
    assert task.front is not None
    assert task.left_out
    values = task.evaluate(dict(task.space.get_default_configuration()), seed=0).values
    assert len(values) == 2


def test_bbobs_tasks_are_the_first_by_hash_that_no_rule_flags():
    pairs = by_hash(f"bbob-biobj/f{number}" for number in range(1, 56))[:8]
    listed = families()["bbob-biobj"].names()
    assert {name.rpartition("/")[0].rpartition("-")[0] for name in listed} == set(pairs)
    constrained = families()["bbob-constrained"].names()

    def function(name: str) -> int:
        number = int(name.partition("/f")[2].partition("-")[0])
        return number if name in listed else (number - 1) // 6  # six in a row have one function

    for suite, names in (("objectives-bbob", listed), ("constraints", constrained)):
        first: dict[object, str] = {}
        for name in by_hash(names):
            if not create(name).left_out:
                first.setdefault(function(name), name)
        assert {name for name in expand([suite]) if name.startswith("bbob")} == set(first.values())
