"""HPOBench's raw machine learning family: search spaces, fidelities and models, as published.

Source: github.com/automl/HPOBench, ``hpobench/benchmarks/ml/{svm,lr,rf,xgboost,histgb,nn}_benchmark.py`` (classes
``SVMBenchmark``, ``LRBenchmark``, ``RandomForestBenchmark``, ``XGBoostBenchmark``, ``HistGBBenchmark``,
``NNBenchmark``; the multi-multi-fidelity spaces of each); Eggensperger et al., "HPOBench", NeurIPS Datasets and
Benchmarks 2021, appendix.

Imports ConfigSpace inside functions, scikit-learn and xgboost when a model is built.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import Config
from optibench_benchmarks.training.base import DivergedError

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Data = tuple[NDArray[Any], NDArray[Any]]
Predict = Callable[[NDArray[Any]], NDArray[Any]]
_POINTS = 25
"""Points of a learning curve, at most: scoring costs time too."""


@dataclass(frozen=True)
class Model:
    """One kind of model.

    Attributes:
        name: Its part of the tasks' names.
        space: Its hyperparameters: ``(low, high, default, logarithmic)`` each; whole numbers are integers.
        step: The fidelity beside ``subsample``, which also counts the learning curve's steps; empty if there is none.
        published: That fidelity's published range.
        affordable: Its range in the tasks for a small computer; the step counts of the first fit the second.
        random: Whether a training depends on the seed.
        fit: Trains, given configuration, data, step count and seed, and yields ``(step, predict)`` from time to time;
            the last is the finished model.
    """

    name: str
    space: Mapping[str, tuple[float, float, float, bool]]
    step: str
    published: tuple[int, int]
    affordable: tuple[int, int]
    random: bool
    fit: Callable[[Config, Data, int, int], Iterator[tuple[int, Predict]]]

    def search_space(self, name: str) -> ConfigurationSpace:
        """The hyperparameters as a ConfigSpace of that name."""
        from ConfigSpace import ConfigurationSpace, Float, Integer

        parameters: list[Any] = []
        for parameter, (low, high, default, log) in self.space.items():
            kind: Any = Integer if isinstance(low, int) else Float
            parameters.append(kind(parameter, (low, high), default=default, log=log))
        return ConfigurationSpace(name=name, space=parameters)


def points(total: int) -> list[int]:
    """The steps of a learning curve: up to 25, evenly spread, the last one included."""
    return sorted({round(step) for step in np.linspace(max(1, total / _POINTS), total, min(total, _POINTS))})


def _svm(config: Config, data: Data, _steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from sklearn.svm import SVC

    model = SVC(C=config["C"], gamma=config["gamma"], cache_size=200, random_state=seed)
    yield 1, model.fit(*data).predict


def _lr(config: Config, data: Data, steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from sklearn.linear_model import SGDClassifier

    # A generator, because a number would shuffle every epoch the same way.
    random = np.random.RandomState(seed)  # what scikit-learn takes
    settings = {"loss": "log_loss", "learning_rate": "adaptive", "tol": None, "random_state": random}
    model = SGDClassifier(alpha=config["alpha"], eta0=config["eta0"], **settings)
    classes, shown = np.unique(data[1]), points(steps)
    for step in range(1, steps + 1):
        try:
            model.partial_fit(*data, classes=classes)
        except ValueError as error:  # "Floating-point under-/overflow occurred"
            raise DivergedError(f"The training diverged in epoch {step}: {_first_sentence(error)}.") from None
        if step in shown:
            yield step, model.predict


def _rf(config: Config, data: Data, steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from sklearn.ensemble import RandomForestClassifier

    # The published parameter is an exponent: from one feature to all of them.
    features = round(data[0].shape[1] ** config["max_features"])
    settings = {**config, "max_features": features, "bootstrap": True, "random_state": seed, "warm_start": True}
    model = RandomForestClassifier(n_estimators=1, n_jobs=1, **settings)
    for step in points(steps):
        yield step, model.set_params(n_estimators=step).fit(*data).predict


def _histgb(config: Config, data: Data, steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(**config, max_iter=1, early_stopping=False, random_state=seed)
    model.set_params(warm_start=True)
    for step in points(steps):
        yield step, model.set_params(max_iter=step).fit(*data).predict


def _xgboost(config: Config, data: Data, steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from xgboost import XGBClassifier

    rename = {"eta": "learning_rate"}
    settings = {rename.get(name, name): value for name, value in config.items()}
    model = XGBClassifier(booster="gbtree", n_estimators=steps, subsample=1, random_state=seed, n_jobs=1, **settings)
    model.fit(*data)
    for step in points(steps):
        yield step, lambda x, step=step: model.predict(x, iteration_range=(0, step))  # type: ignore[misc]


_PATIENCE = 10  # MLPClassifier's default n_iter_no_change and tol, as in HPOBench
_TOLERANCE = 1e-4


def _nn(config: Config, data: Data, steps: int, seed: int) -> Iterator[tuple[int, Predict]]:
    from sklearn.neural_network import MLPClassifier

    layers = [config["width"]] * config["depth"]
    rest = {name: config[name] for name in ("alpha", "learning_rate_init")}
    batch_size = min(config["batch_size"], len(data[1]))
    model = MLPClassifier(layers, activation="relu", solver="adam", batch_size=batch_size, random_state=seed, **rest)
    classes, best, waiting = np.unique(data[1]), np.inf, 0
    shown = points(steps)
    for step in range(1, steps + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an overflow is reported below
            try:
                model.partial_fit(*data, classes=classes)
            except ValueError as error:  # "Solver produced non-finite parameter weights"
                raise DivergedError(f"The training diverged in epoch {step}: {_first_sentence(error)}.") from None
        if not np.isfinite(model.loss_):
            raise DivergedError(f"The training diverged: its loss became {model.loss_} in epoch {step}.")
        # `fit` stops early, `partial_fit` does not.
        waiting = waiting + 1 if model.loss_ > best - _TOLERANCE else 0
        best = min(best, model.loss_)
        stopping = waiting > _PATIENCE
        if step in shown or stopping:
            yield step, model.predict
        if stopping:
            return


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(".")[0]


_LARGE, _SMALL = 2.0**10, 2.0**-10

MODELS = {
    model.name: model
    for model in (
        Model(
            "svm",
            {"C": (_SMALL, _LARGE, 1.0, True), "gamma": (_SMALL, _LARGE, 0.1, True)},
            step="",
            published=(1, 1),
            affordable=(1, 1),
            random=False,
            fit=_svm,
        ),
        Model(
            "lr",
            {"alpha": (1e-5, 1.0, 1e-3, True), "eta0": (1e-5, 1.0, 1e-2, True)},
            step="iter",
            published=(10, 1000),
            affordable=(10, 100),
            random=True,
            fit=_lr,
        ),
        Model(
            "rf",
            {
                "max_depth": (1, 50, 10, True),
                "min_samples_split": (2, 128, 32, True),
                "max_features": (0.0, 1.0, 0.5, False),
                "min_samples_leaf": (1, 20, 1, False),
            },
            step="n_estimators",
            published=(16, 512),
            affordable=(16, 128),
            random=True,
            fit=_rf,
        ),
        Model(
            "xgboost",
            {
                "eta": (_SMALL, 1.0, 0.3, True),
                "max_depth": (1, 50, 10, True),
                "colsample_bytree": (0.1, 1.0, 1.0, False),
                "reg_lambda": (_SMALL, _LARGE, 1.0, True),
            },
            step="n_estimators",
            published=(50, 2000),
            affordable=(10, 100),
            random=True,
            fit=_xgboost,
        ),
        Model(
            "histgb",
            {
                "max_depth": (6, 30, 6, True),
                "max_leaf_nodes": (2, 64, 32, True),
                "learning_rate": (_SMALL, 1.0, 0.1, True),
                "l2_regularization": (_SMALL, _LARGE, 0.1, True),
            },
            step="n_estimators",
            published=(100, 1000),
            affordable=(10, 50),
            random=False,
            fit=_histgb,
        ),
        Model(
            "nn",
            {
                "depth": (1, 3, 3, False),
                "width": (16, 1024, 64, True),
                "batch_size": (4, 256, 32, True),
                "alpha": (1e-8, 1.0, 1e-3, True),
                "learning_rate_init": (1e-5, 1.0, 1e-3, True),
            },
            step="iter",
            published=(3, 243),
            affordable=(3, 27),
            random=True,
            fit=_nn,
        ),
    )
}
