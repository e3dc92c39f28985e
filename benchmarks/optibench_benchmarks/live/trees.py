"""Trees, forests (``forest``, ``extra_trees``) and boosted trees (``histgb``, ``gradient_boosting``, ``adaboost``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import Config
from optibench_benchmarks.live.data import DataSet
from optibench_benchmarks.live.learner import RANDOM_STATE, Learner, choice, real, search_space, settings, truth, whole

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def _criterion(data: DataSet) -> Any:
    if data.regression:
        return choice("criterion", ["squared_error", "poisson"], "squared_error")
    return choice("criterion", ["gini", "entropy"], "gini")


def _tree_space(data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            _criterion(data),
            choice("splitter", ["best", "random"], "best"),
            whole("max_depth", 1, 32, 8, log=True),
            whole("min_samples_split", 2, 64, 2, log=True),
            whole("min_samples_leaf", 1, 64, 1, log=True),
            real("max_features", 0.1, 1.0, 1.0),
            real("ccp_alpha", 1e-5, 1e-1, 1e-5, log=True),
        ]
    )


def _tree(config: Config, data: DataSet) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind: Any = DecisionTreeRegressor if data.regression else DecisionTreeClassifier
    return kind(**settings(config), random_state=RANDOM_STATE)


def _ensemble(name: str, config: Config, data: DataSet) -> Any:
    from sklearn import ensemble

    kind = getattr(ensemble, f"{name}{'Regressor' if data.regression else 'Classifier'}")
    return kind(**settings(config), random_state=RANDOM_STATE)


def _forest_space(data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            whole("n_estimators", 2, 16, 8, log=True),
            _criterion(data),
            real("max_features", 0.05, 1.0, 0.3),
            whole("max_depth", 2, 32, 16, log=True),
            whole("min_samples_split", 2, 32, 2, log=True),
            whole("min_samples_leaf", 1, 32, 1, log=True),
            truth("bootstrap", True),
        ]
    )


def _forest(config: Config, data: DataSet) -> Any:
    return _ensemble("RandomForest", config, data)


def _histgb_space(data: DataSet) -> ConfigurationSpace:
    losses = ["squared_error", "poisson", "gamma"]  # those of positive numbers; classes have one only
    return search_space(
        [
            *([choice("loss", losses, losses[0])] if data.regression else []),
            real("learning_rate", 1e-2, 1.0, 0.1, log=True),
            whole("max_iter", 3, 16, 8, log=True),
            whole("max_leaf_nodes", 3, 32, 31, log=True),
            whole("min_samples_leaf", 2, 64, 20, log=True),
            real("l2_regularization", 1e-4, 100.0, 1e-2, log=True),
            real("max_features", 0.1, 1.0, 1.0),
            whole("max_bins", 8, 128, 128, log=True),
            truth("early_stopping"),
            real("validation_fraction", 0.05, 0.3, 0.1),
            whole("n_iter_no_change", 2, 20, 10, log=True),
        ],
        [("validation_fraction", "early_stopping", True), ("n_iter_no_change", "early_stopping", True)],
    )


def _histgb(config: Config, data: DataSet) -> Any:
    return _ensemble("HistGradientBoosting", config, data)


def _extra_trees_space(data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            whole("n_estimators", 2, 24, 8, log=True),
            _criterion(data),
            real("max_features", 0.05, 1.0, 0.3),
            whole("max_leaf_nodes", 2, 256, 64, log=True),
            whole("min_samples_leaf", 1, 32, 1, log=True),
            truth("bootstrap"),
            real("max_samples", 0.1, 1.0, 1.0),
        ],
        [("max_samples", "bootstrap", True)],
    )


def _extra_trees(config: Config, data: DataSet) -> Any:
    return _ensemble("ExtraTrees", config, data)


def _gradient_boosting_space(data: DataSet) -> ConfigurationSpace:
    own = (
        [choice("loss", ["squared_error", "absolute_error", "huber"], "squared_error"), real("alpha", 0.5, 0.99, 0.9)]
        if data.regression
        else []
    )
    return search_space(
        [
            *own,
            real("learning_rate", 1e-2, 1.0, 0.1, log=True),
            whole("n_estimators", 3, 24, 12, log=True),
            real("subsample", 0.2, 1.0, 1.0),
            whole("max_depth", 1, 8, 3),
            whole("min_samples_leaf", 1, 32, 1, log=True),
            real("max_features", 0.1, 1.0, 1.0),
            choice("criterion", ["friedman_mse", "squared_error"], "friedman_mse"),
        ],
        [("alpha", "loss", "huber")] if data.regression else [],
    )


def _gradient_boosting(config: Config, data: DataSet) -> Any:
    return _ensemble("GradientBoosting", config, data)


def _adaboost_space(_data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            real("learning_rate", 1e-2, 10.0, 1.0, log=True),
            whole("n_estimators", 2, 24, 12, log=True),
            whole("max_depth", 1, 8, 1),
            whole("min_samples_leaf", 1, 32, 1, log=True),
            real("max_features", 0.1, 1.0, 1.0),
        ]
    )


def _adaboost(config: Config, _data: DataSet) -> Any:
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    boosted = settings(config, "max_depth", "min_samples_leaf", "max_features")
    weak = DecisionTreeClassifier(**{name: value for name, value in config.items() if name not in boosted})
    return AdaBoostClassifier(weak, **boosted, random_state=RANDOM_STATE)


_SIZES = ("nodes", "leaves", "comparisons")
LEARNERS = (
    Learner("tree", _tree_space, _tree, "trees", regression=True, sizes=_SIZES),
    Learner("forest", _forest_space, _forest, "forests", regression=True, sizes=_SIZES),
    Learner("extra_trees", _extra_trees_space, _extra_trees, "forests", regression=True, sizes=_SIZES),
    Learner("histgb", _histgb_space, _histgb, "boosting", regression=True, sizes=(*_SIZES, "epochs")),
    Learner(
        *("gradient_boosting", _gradient_boosting_space, _gradient_boosting, "boosting"), regression=True, sizes=_SIZES
    ),
    Learner("adaboost", _adaboost_space, _adaboost, "boosting", sizes=_SIZES),
)
