"""How large a fitted model is and how long its training took, in counts that are the same on every machine.

They are metrics of the tasks, all to be minimized, and so may be objectives and constraints
(:mod:`optibench_benchmarks.quantities`). Must never measure a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np


def _trees(model: Any) -> Iterator[Any]:
    """scikit-learn's structures of a tree, of those of a forest, or of those of boosting."""
    for each in np.ravel(model.estimators_) if hasattr(model, "estimators_") else [model]:
        yield each.tree_


def _binned_trees(model: Any) -> Iterator[Any]:
    """The trees of a histogram boosting, one for each round and class."""
    return (tree for each in model._predictors for tree in each)


def _is_binned(model: Any) -> bool:
    return hasattr(model, "_predictors")


def _nodes(model: Any) -> int:
    if _is_binned(model):
        return sum(len(tree.nodes) for tree in _binned_trees(model))
    return sum(tree.node_count for tree in _trees(model))


def _leaves(model: Any) -> int:
    if _is_binned(model):
        return sum(tree.get_n_leaf_nodes() for tree in _binned_trees(model))
    return sum(tree.n_leaves for tree in _trees(model))


def _comparisons(model: Any) -> int:
    if _is_binned(model):
        return sum(tree.get_max_depth() for tree in _binned_trees(model))
    return sum(tree.max_depth for tree in _trees(model))


def _linear(model: Any) -> list[Any]:
    """The linear models of a classifier: itself, or one for each class."""
    return list(getattr(model, "estimators_", [model]))


def _parameters(model: Any) -> int:
    if hasattr(model, "coefs_"):
        return sum(part.size for part in (*model.coefs_, *model.intercepts_))
    return sum(int(np.count_nonzero(part)) for each in _linear(model) for part in (each.coef_, each.intercept_))


SIZES: Mapping[str, Callable[[Any], int]] = MappingProxyType(
    {
        "support_vectors": lambda model: len(model.support_),
        "nodes": _nodes,
        "leaves": _leaves,
        "comparisons": _comparisons,
        "parameters": _parameters,
        "multiply_adds": lambda model: sum(part.size for part in model.coefs_),
        "epochs": lambda model: max(int(np.max(each.n_iter_)) for each in _linear(model)),
    }
)
"""What can be counted, given the last step of a fitted pipeline:

* ``support_vectors``: those of a support vector machine;
* ``nodes``, ``leaves``: of all its trees; ``comparisons``: of one prediction at most, the sum of the trees' depths;
* ``parameters``: numbers that a network has, or that are not zero in a linear model;
* ``multiply_adds``: those of one prediction of a network;
* ``epochs``: passes over the data, rounds of boosting, or iterations of a solver, of all classes the most.
"""


def measure(model: Any, names: tuple[str, ...]) -> dict[str, int]:
    """Some of :data:`SIZES` of a fitted pipeline or model."""
    fitted = model[-1] if hasattr(model, "steps") else model
    return {name: int(SIZES[name](fitted)) for name in names}
