"""Fronts and feasible references that a search has made: rules, searches on small tasks, checks of what is frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optibench.cli.main import main
from optibench_benchmarks import BenchmarkError, Evaluation, Front, create
from optibench_benchmarks.base import Benchmark
from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_benchmarks.hypervolume import normalised, volume
from optibench_benchmarks.references import fronts, search_live, several
from optibench_benchmarks.references.compute import check
from optibench_benchmarks.references.fronts import Frozen
from optibench_benchmarks.references.search_training import FINAL_SEED
from optibench_benchmarks.references.table import Entry, entries
from optibench_benchmarks.training.base import DivergedError, ReferencePlan, TrainingBenchmark

SEARCHED = [name for name in fronts.names() if fronts._read()[name].configs]
QUICK = [name for name in SEARCHED if name.startswith("live/")]
BOUNDED = [name for name in entries() if name.startswith("live/") and "+" in name]


class TestScoreAndSize(BenchmarkConformance):
    name = "live/tree/digits+objective=nodes"


class TestBoundOnSize(BenchmarkConformance):
    name = "live/tree/digits+max_nodes=25.0"


@pytest.mark.data("yahpo/lcbench")
class TestAccuracyAndTime(BenchmarkConformance):
    name = "yahpo/lcbench/167200+objective=time"


def frozen(points, near_ideal=0.0):
    ideal, last = np.min(points, axis=0) - 0.0, np.max(points, axis=0) + 0.5
    share = volume(normalised(points, ideal, last))
    return Frozen("a/b", Front(tuple(ideal), tuple(last), share, tuple(map(tuple, points)), "x"), "1", near_ideal)


def test_headlines_leave_out_short_fronts_easy_ones_and_those_of_one_compromise():
    line = np.stack([np.linspace(0, 1, 12), np.linspace(1, 0, 12)], axis=1)
    assert frozen(line).left_out == ""
    assert frozen(line[::2]).left_out == "its front has 6 points, fewer than 10"
    assert frozen(line, 0.002).left_out == ("0.2% of random configurations are within 0.05 of the ideal, 0.1% or more")
    corner = np.stack([np.linspace(0, 1, 12) ** 9, np.linspace(1, 0, 12) ** 9], axis=1) * 0.002
    corner[[0, -1]] = [[0.0, 1.0], [1.0, 0.0]]
    assert frozen(corner).left_out.startswith("one configuration dominates ")


class Line(Benchmark):
    """Two parameters in [0, 1]: the value is 1 - x + y, of a model of size x + y."""

    name, metrics, failures = "mine/line", {"size": "minimize"}, (ValueError,)

    def __init__(self):
        from ConfigSpace import ConfigurationSpace

        self.space = ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)})

    def evaluate(self, config, *, seed, fidelity=None):
        if config["y"] > 0.9:
            raise ValueError("too wide")
        return Evaluation(1.0 - config["x"] + config["y"], info={"size": config["x"] + config["y"]})


def test_a_search_finds_a_known_front_and_a_known_best_feasible_value():
    from optibench_benchmarks.quantities import Bounded, FurtherObjective

    tasks = [FurtherObjective(Line(), "size"), Bounded(Line(), "size", 0.5)]
    front, reference = search_live.search(tasks)
    assert isinstance(front, Frozen)
    assert isinstance(reference, Entry)
    assert front.front.source == "best known: 1001 random and 1200 local configurations, shared by 2 tasks"
    # the front is 1 - x against x, from (1, 0) to (0, 1), where y is 0
    assert front.front.ideal == pytest.approx((0.0, 0.0), abs=0.1)
    exact = np.stack([1.0 - np.linspace(0, 1, 1001), np.linspace(0, 1, 1001)], axis=1)
    best = volume(normalised(exact, front.front.ideal, front.front.reference_point))
    assert 0.9 * best < front.front.hypervolume < best
    for index, config in front.configs:
        assert tasks[0].evaluate(config, seed=0).values == pytest.approx(front.front.points[index], rel=1e-6)
    assert 0.5 <= reference.reference.f_best < 0.55 < reference.reference.f_ref
    assert reference.best["x"] + reference.best["y"] <= 0.5
    assert search_live.search(tasks) == [front, reference], "the same again"


def test_nothing_feasible_is_said():
    from optibench_benchmarks.quantities import Bounded

    with pytest.raises(BenchmarkError, match=r"No random configuration of mine/line.* fulfils its constraints; loosen"):
        search_live.search([Bounded(Line(), "size", -1.0)])


def test_elites_are_the_front_and_then_the_fronts_of_the_rest():
    values = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [1.0, 1.0]])
    assert set(search_live.elites(values, np.arange(6)).tolist()) == set(range(6))
    assert search_live.elites(values, np.array([3, 4])).tolist() == [3, 4]


@pytest.mark.data("keel", "yahpo/lcbench")
@pytest.mark.parametrize("name", [QUICK[0], "yahpo/lcbench/167200+objective=time"])
def test_frozen_configurations_are_evaluated_again(name):
    task = create(name)
    assert fronts.check([task]) == []
    assert several.pending([task]) == []
    found = fronts.find(name, task.data_version)
    (_, config), *_ = found.configs
    wrong = Frozen(name, found.front, found.data_version, 0.0, ((len(found.front.points) - 1, config),))
    assert fronts.again(task, wrong) == [f"{name}: 1 of the 1 configurations of its front have other values."]


def test_a_bound_on_a_table_knows_its_own_reference(capsys):
    for options in ([], ["--check"]):
        assert main(["references", "hpobench/nn/segment+max_cost=10", *options]) == 0
        assert "1 tasks compute their references when they are built" in capsys.readouterr().out


def test_a_noisy_task_without_a_search_gets_no_front():
    with pytest.raises(BenchmarkError, match=r"No front can be made for .*: its values are noisy"):
        list(several.make([create("nasbench201/cifar10+noise=0.1+objective=cost")]))


class Lucky(TrainingBenchmark):
    """Two parameters in [0, 1]: the value is x, up to .1 of luck, of a model of size x + y."""

    name, metrics = "mine/lucky", {"size": "minimize"}
    reference_plan = ReferencePlan(random=31, local=60)

    def __init__(self):
        from ConfigSpace import ConfigurationSpace

        self.space = ConfigurationSpace({"x": (0.0, 1.0), "y": (0.0, 1.0)})
        self.seeds = []

    def train(self, config, seed, fidelity):
        self.seeds.append(seed)
        if config["y"] > 0.9:
            raise DivergedError("too wide")
        luck = 0.1 * float(np.random.default_rng([seed, int(1e6 * config["x"])]).random())
        return Evaluation(config["x"] + luck, info={"size": config["x"] + config["y"]})


def test_the_front_of_a_noisy_training_is_that_of_means_over_other_seeds(monkeypatch):
    from optibench_benchmarks.quantities import FurtherObjective

    task = FurtherObjective(Lucky(), "size")
    (found,) = several.make([task])
    searched = 31 + 2 * 60
    finalists = search_live.FINALISTS * search_live.REPEATS
    assert task.root.seeds[:searched] == list(range(1, searched + 1)), "every training has a seed of its own"
    assert set(task.root.seeds[searched:]) == {FINAL_SEED, FINAL_SEED + 1, FINAL_SEED + 2}
    assert len(task.root.seeds) == searched + finalists
    assert found.front.source == (
        "best known: 31 random and 120 local configurations, means of 40 over 3 seeds, 271 trainings"
    )
    assert len(found.configs) == len(found.front.points) > 3
    for index, config in found.configs:
        mean = np.mean([task.root.train(config, FINAL_SEED + i, {}).value for i in range(3)])
        assert found.front.points[index] == pytest.approx((mean, config["x"] + config["y"]), rel=1e-6)
    assert fronts.again(task, found, search_live.mean_outcomes) == []
    (_, config), *_ = found.configs
    wrong = replace(found, configs=((len(found.front.points) - 1, config),))
    assert "1 of the 1 configurations" in fronts.again(task, wrong, search_live.mean_outcomes)[0]
    monkeypatch.setattr(fronts, "_read", lambda: {task.name: replace(found, data_version=task.data_version)})
    assert several.check([task]) == []
    monkeypatch.setattr(fronts, "_read", dict)
    assert several.check([task]) == [f"{task.name} has no frozen front."]


def test_a_configuration_whose_training_fails_is_on_no_front():
    from optibench_benchmarks.quantities import FurtherObjective

    assert np.isnan(search_live.mean_outcomes(FurtherObjective(Lucky(), "size"), {"x": 0.5, "y": 0.95})).all()


@pytest.mark.data("keel")
def test_the_best_feasible_configuration_is_evaluated_again():
    assert check([BOUNDED[0]]) == []
    task = create(BOUNDED[0])
    assert task.reference == entries()[task.name].reference
    assert task.reference.source.startswith("best known: ")


@pytest.mark.parametrize("name", SEARCHED)
def test_points_of_a_searched_front_do_not_dominate_each_other(name):
    front = fronts._read()[name].front
    unit = normalised(front.points, front.ideal, front.reference_point)
    assert volume(unit) <= front.hypervolume + 1e-5
    for point in unit:
        assert not ((unit <= point).all(axis=1) & (unit < point - 1e-5).any(axis=1) & (unit < point).all(axis=1)).any()


def test_the_networks_of_digits_have_a_front_that_headlines_leave_out():
    task = create("digits/mlp+objective=parameters")
    assert task.objectives == {"value": "maximize", "parameters": "minimize"}
    assert task.front.source.endswith("422 trainings")
    assert task.left_out == "its front has 6 points, fewer than 10"
    for index, config in fronts.find(task.name, task.data_version).configs:
        width, layers = config["hidden_size"], config["num_layers"]
        size = 64 * width + width + (layers - 1) * (width * width + width) + width * 10 + 10
        assert task.front.points[index][1] == size, "weights and biases of 64 inputs, the layers, and 10 classes"
    evaluation = task.evaluate(config, seed=0, fidelity={"epochs": 1})
    assert evaluation.values[1] == evaluation.info["parameters"] == size
