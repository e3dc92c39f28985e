"""Linear models and support vector machines: ``logistic``, ``sgd``, ``svm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import Config
from optibench_benchmarks.live.data import DataSet
from optibench_benchmarks.live.learner import (
    RANDOM_STATE,
    Learner,
    choice,
    class_weight,
    real,
    scaled,
    scaler,
    search_space,
    settings,
    truth,
    whole,
)

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_SVM_STEPS = 10_000
"""Iterations of libsvm, which otherwise runs for minutes on unscaled inputs."""


def _svm_space(data: DataSet) -> ConfigurationSpace:
    # Classification has class weights, regression a width within which errors do not count.
    own = real("epsilon", 0.1, 100.0, 10.0, log=True) if data.regression else class_weight()
    return search_space(
        [
            scaler(),
            choice("kernel", ["linear", "poly", "rbf", "sigmoid"], "rbf"),
            real("C", 1e-3, 1e3, 1.0, log=True),
            real("gamma", 1e-5, 10.0, 1e-2, log=True),
            whole("degree", 2, 5, 3),
            real("coef0", -1.0, 1.0, 0.0),
            own,
        ],
        [
            ("gamma", "kernel", ["poly", "rbf", "sigmoid"]),
            ("degree", "kernel", "poly"),
            ("coef0", "kernel", ["poly", "sigmoid"]),
        ],
    )


def _svm(config: Config, data: DataSet) -> Any:
    from sklearn.svm import SVC, SVR

    given = settings(config, "scaler") | {"max_iter": _SVM_STEPS}
    return scaled(config, SVR(**given) if data.regression else SVC(**given, random_state=RANDOM_STATE))


def _sgd_space(data: DataSet) -> ConfigurationSpace:
    if data.regression:
        losses = ["squared_error", "huber", "epsilon_insensitive"]
        own, conditions = [real("epsilon", 0.1, 100.0, 10.0, log=True)], [("epsilon", "loss", losses[1:])]
    else:
        losses = ["hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"]
        own, conditions = [class_weight()], []
    return search_space(
        [
            scaler(),
            choice("loss", losses, losses[0]),
            choice("penalty", ["l2", "l1", "elasticnet"], "l2"),
            real("alpha", 1e-7, 1e-1, 1e-4, log=True),
            real("l1_ratio", 0.0, 1.0, 0.15),
            choice(
                "learning_rate",
                ["optimal", "constant", "invscaling", "adaptive"],
                "invscaling" if data.regression else "optimal",
            ),
            real("eta0", 1e-4, 10.0, 1e-2, log=True),
            real("power_t", 0.1, 0.9, 0.5),
            whole("max_iter", 4, 24, 16, log=True),
            truth("early_stopping"),
            real("validation_fraction", 0.05, 0.3, 0.1),
            whole("n_iter_no_change", 2, 20, 5, log=True),
            truth("average"),
            *own,
        ],
        [
            ("l1_ratio", "penalty", "elasticnet"),
            ("eta0", "learning_rate", ["constant", "invscaling", "adaptive"]),
            ("power_t", "learning_rate", "invscaling"),
            ("validation_fraction", "early_stopping", True),
            *conditions,
        ],
    )


def _sgd(config: Config, data: DataSet) -> Any:
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    kind: Any = SGDRegressor if data.regression else SGDClassifier
    return scaled(config, kind(**settings(config, "scaler"), random_state=RANDOM_STATE))


def _logistic_space(_data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            scaler(),
            choice("solver", ["lbfgs", "liblinear", "saga"], "lbfgs"),
            choice("penalty", ["l2", "l1", "elasticnet"], "l2"),
            real("C", 1e-4, 1e4, 1.0, log=True),
            real("l1_ratio", 0.0, 1.0, 0.5),
            real("intercept_scaling", 0.1, 100.0, 1.0, log=True),
            real("tol", 1e-5, 1e-1, 1e-4, log=True),
            whole("max_iter", 10, 200, 100, log=True),
            class_weight(),
        ],
        [
            ("l1_ratio", "penalty", "elasticnet"),
            ("intercept_scaling", "solver", "liblinear"),
        ],
    )


def _logistic(config: Config, data: DataSet) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    given = settings(config, "scaler", "penalty")
    if LogisticRegression().get_params()["l1_ratio"] is None:  # before scikit-learn 1.8
        given["penalty"] = config["penalty"]
    else:
        given.setdefault("l1_ratio", 1.0 if config["penalty"] == "l1" else 0.0)
    model = LogisticRegression(**given, random_state=RANDOM_STATE)
    # liblinear separates two classes only.
    several = config["solver"] == "liblinear" and data.classes > 2
    return scaled(config, OneVsRestClassifier(model) if several else model)


LEARNERS = (
    Learner("svm", _svm_space, _svm, "linear", regression=True, sizes=("support_vectors",)),
    Learner("sgd", _sgd_space, _sgd, "linear", regression=True, sizes=("parameters", "epochs")),
    Learner("logistic", _logistic_space, _logistic, "linear", sizes=("parameters", "epochs")),
)
