"""Make a task of a function of your own and compare optimizers on it: `python examples/add_a_benchmark.py`.

docs/how-to/python.md explains `ob.task` and `ob.run`. For fidelities, metrics or a command line that knows the task,
write a class of `ob.Benchmark` and give its package an entry point (docs/how-to/plugins.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

import optibench as ob

SPACE = ConfigurationSpace(
    space=[
        Integer("n_estimators", (1, 30), log=True),
        Integer("max_depth", (1, 10)),
        Float("max_features", (0.1, 1.0)),
        Categorical("criterion", ["gini", "entropy"]),
    ]
)


def forest(config: dict[str, Any], seed: int) -> float:
    """Cross-validated accuracy of a small random forest on scikit-learn's wine data."""
    x, y = load_wine(return_X_y=True)
    model = RandomForestClassifier(**config, random_state=seed)
    return float(np.mean(cross_val_score(model, x, y, cv=3)))


task = ob.task(forest, SPACE, direction="maximize")
run = ob.run(optimizers=["random", "tpe"], tasks=task, seeds=8, trials=15, initial_size=5, out="runs/forest")
print(run.report().summary)
