"""Sizes of fitted models: those of scikit-learn's own objects, the same each time, and objectives by name."""

from __future__ import annotations

import numpy as np
import pytest

from optibench_benchmarks import BenchmarkError, create
from optibench_benchmarks.configurations import plain
from optibench_benchmarks.kept.draw import FREE
from optibench_benchmarks.live.sizes import SIZES, measure
from optibench_benchmarks.live.tasks import LEARNERS, TASKS

FIRST = {name: f"live/{name}/{TASKS[name][0]}" for name, learner in LEARNERS.items() if learner.sizes}


def fitted(name: str, **values: object):
    """A task, its default configuration with other values, and the refitted model."""
    task = create(name)
    config = plain(task.space.get_default_configuration()) | values
    (inputs, targets), _ = task.dataset.load()
    return task, config, task.learner.build(config, task.dataset).fit(inputs, targets), inputs


@pytest.mark.parametrize(
    "learner",
    [
        pytest.param(name, marks=pytest.mark.data("keel") if task.rpartition("/")[2] in FREE else ())
        for name, task in FIRST.items()
    ],
)
def test_each_size_is_a_whole_number_a_metric_and_the_same_again(learner):
    task = create(FIRST[learner])
    names = LEARNERS[learner].sizes
    assert set(names) <= set(SIZES)
    assert {name: task.metrics[name] for name in names} == dict.fromkeys(names, "minimize")
    config = plain(task.space.get_default_configuration())
    found, again = (task.evaluate(config, seed=seed).info for seed in (0, 1))
    for name in names:
        assert type(found[name]) is int
        assert found[name] == again[name] > 0


def test_a_tree_is_counted_by_walking_through_it():
    task, config, model, inputs = fitted("live/tree/breast_cancer")
    tree = model.tree_
    leaves = [node for node in range(tree.node_count) if tree.children_left[node] == -1]
    longest = int(model.decision_path(inputs).sum(axis=1).max()) - 1
    found = task.evaluate(config, seed=0).info
    assert (found["nodes"], found["leaves"], found["comparisons"]) == (tree.node_count, len(leaves), longest)
    assert found["nodes"] == 2 * found["leaves"] - 1


@pytest.mark.parametrize("name", ["live/forest/digits", "live/histgb/breast_cancer"])
def test_an_ensembles_size_is_that_of_all_its_trees(name):
    task, config, model, _ = fitted(name)
    found = task.evaluate(config, seed=0).info
    if name.startswith("live/forest"):
        trees = len(model.estimators_)
        assert found["nodes"] == sum(each.tree_.node_count for each in model.estimators_)
        assert found["comparisons"] == sum(each.get_depth() for each in model.estimators_)
    else:
        trees = config["max_iter"]
        assert (found["epochs"], model.n_iter_) == (trees, trees)
        assert found["leaves"] <= trees * config["max_leaf_nodes"]
    assert found["nodes"] == 2 * found["leaves"] - trees, "every tree is binary"


def test_support_vectors_and_numbers_of_linear_models_and_networks():
    task, config, model, _ = fitted("live/svm/wine")
    assert task.evaluate(config, seed=0).info["support_vectors"] == len(model[-1].support_vectors_)
    task, config, model, _ = fitted("live/logistic/breast_cancer", solver="saga", penalty="l1", C=0.01)
    lasso = task.evaluate(config, seed=0).info
    assert lasso["parameters"] == np.count_nonzero(model[-1].coef_) + 1 < task.dataset.features
    assert lasso["epochs"] == model[-1].n_iter_[0]
    task, config, *_ = fitted("live/mlp/iris", layers=2, units_1=5, units_2=7)
    network = task.evaluate(config, seed=0).info
    assert network["multiply_adds"] == 4 * 5 + 5 * 7 + 7 * 3
    assert network["parameters"] == network["multiply_adds"] + 5 + 7 + 3
    assert network["epochs"] == config["max_iter"]


def test_of_several_classes_all_linear_models_count():
    task, config, model, _ = fitted("live/logistic/iris", solver="liblinear", intercept_scaling=1.0)
    found = task.evaluate(config, seed=0).info
    assert found["parameters"] == 3 * (4 + 1)
    assert found["epochs"] == max(int(each.n_iter_[0]) for each in model[-1].estimators_)
    assert measure(model, ("parameters",)) == {"parameters": 15}


def test_a_size_becomes_an_objective_or_a_constraint_by_its_name():
    task = create("live/svm/wine+max_support_vectors=30+objective=support_vectors")
    config = plain(task.space.get_default_configuration())
    found, alone = task.evaluate(config, seed=0), task.base.base.evaluate(config, seed=0)
    assert found.values == (alone.value, alone.info["support_vectors"])
    assert found.constraints == (alone.info["support_vectors"] - 30.0,)
    assert task.objectives == {"value": "maximize", "support_vectors": "minimize"}
    assert (task.front, task.reference, task.left_out) == (None, None, "")
    with pytest.raises(BenchmarkError, match=r"live/knn/wine has no 'nodes' for \+objective: it returns test_accuracy"):
        create("live/knn/wine+objective=nodes")
