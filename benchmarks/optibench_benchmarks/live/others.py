"""Neighbours, a neural network, discriminants and a pipeline: ``knn``, ``mlp``, ``discriminant``, ``pipeline``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import Config
from optibench_benchmarks.live.data import DataSet
from optibench_benchmarks.live.learner import (
    RANDOM_STATE,
    Learner,
    choice,
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


def _knn_space(data: DataSet) -> ConfigurationSpace:
    # Up to all rows: a fold has fewer, which scikit-learn rejects; trees do not support cosine.
    return search_space(
        [
            scaler(),
            whole("n_neighbors", 1, data.rows, 5, log=True),
            choice("weights", ["uniform", "distance"], "uniform"),
            choice("metric", ["minkowski", "chebyshev", "cosine"], "minkowski"),
            real("p", 1.0, 5.0, 2.0),
            choice("algorithm", ["auto", "brute", "ball_tree"], "auto"),
            whole("leaf_size", 5, 100, 30, log=True),
        ],
        [("p", "metric", "minkowski"), ("leaf_size", "algorithm", "ball_tree")],
    )


def _knn(config: Config, data: DataSet) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind: Any = KNeighborsRegressor if data.regression else KNeighborsClassifier
    return scaled(config, kind(**settings(config, "scaler")))


def _mlp_space(_data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            scaler(),
            whole("layers", 1, 3, 1),
            whole("units_1", 4, 64, 32, log=True),
            whole("units_2", 4, 64, 32, log=True),
            whole("units_3", 4, 64, 32, log=True),
            choice("activation", ["relu", "tanh", "logistic"], "relu"),
            real("alpha", 1e-7, 1.0, 1e-4, log=True),
            whole("max_iter", 4, 16, 8, log=True),
            choice("solver", ["adam", "sgd", "lbfgs"], "adam"),
            real("learning_rate_init", 1e-4, 1.0, 1e-2, log=True),
            whole("batch_size", 32, 128, 64, log=True),
            real("beta_1", 0.5, 0.99, 0.9),
            real("momentum", 0.0, 0.99, 0.9),
            truth("nesterovs_momentum", True),
            choice("learning_rate", ["constant", "invscaling", "adaptive"], "constant"),
            real("power_t", 0.1, 0.9, 0.5),
        ],
        [
            ("units_2", "layers", [2, 3]),
            ("units_3", "layers", 3),
            ("learning_rate_init", "solver", ["adam", "sgd"]),
            ("batch_size", "solver", ["adam", "sgd"]),
            ("beta_1", "solver", "adam"),
            ("momentum", "solver", "sgd"),
            ("nesterovs_momentum", "solver", "sgd"),
            ("learning_rate", "solver", "sgd"),
            ("power_t", "learning_rate", "invscaling"),
        ],
    )


def _mlp(config: Config, _data: DataSet) -> Any:
    from sklearn.neural_network import MLPClassifier

    layers = [config[f"units_{layer}"] for layer in range(1, config["layers"] + 1)]
    given = settings(config, "scaler", "layers", "units_1", "units_2", "units_3")
    return scaled(config, MLPClassifier(layers, **given, random_state=RANDOM_STATE))


def _pipeline_space(data: DataSet) -> ConfigurationSpace:
    # As in real pipelines, PCA may have more components than columns, and steps that need counts (chi2, multinomial
    # naive Bayes) may get negative inputs: scikit-learn rejects both.
    return search_space(
        [
            scaler(among=("none", "standard", "minmax")),
            choice("reduction", ["none", "pca", "best"], "none"),
            whole("components", 1, round(1.3 * data.features), data.features // 2, log=True),
            truth("whiten"),
            whole("k", 1, data.features, data.features // 2, log=True),
            choice("score", ["f_classif", "chi2"], "f_classif"),
            choice("classifier", ["svm", "logistic", "forest", "knn", "bayes"], "svm"),
            choice("svm_kernel", ["linear", "rbf"], "rbf"),
            real("svm_C", 1e-3, 1e3, 1.0, log=True),
            real("svm_gamma", 1e-5, 10.0, 1e-2, log=True),
            real("logistic_C", 1e-4, 1e4, 1.0, log=True),
            whole("forest_trees", 2, 16, 8, log=True),
            whole("forest_depth", 2, 32, 16, log=True),
            real("forest_features", 0.05, 1.0, 0.3),
            whole("knn_neighbors", 1, 50, 5, log=True),
            choice("knn_weights", ["uniform", "distance"], "uniform"),
            choice("bayes_kind", ["gaussian", "multinomial"], "gaussian"),
            real("bayes_smoothing", 1e-12, 1.0, 1e-9, log=True),
            real("bayes_alpha", 1e-3, 10.0, 1.0, log=True),
        ],
        [
            ("components", "reduction", "pca"),
            ("whiten", "reduction", "pca"),
            ("k", "reduction", "best"),
            ("score", "reduction", "best"),
            ("svm_kernel", "classifier", "svm"),
            ("svm_C", "classifier", "svm"),
            ("svm_gamma", "svm_kernel", "rbf"),
            ("logistic_C", "classifier", "logistic"),
            ("forest_trees", "classifier", "forest"),
            ("forest_depth", "classifier", "forest"),
            ("forest_features", "classifier", "forest"),
            ("knn_neighbors", "classifier", "knn"),
            ("knn_weights", "classifier", "knn"),
            ("bayes_kind", "classifier", "bayes"),
            ("bayes_smoothing", "bayes_kind", "gaussian"),
            ("bayes_alpha", "bayes_kind", "multinomial"),
        ],
    )


def _pipeline(config: Config, _data: DataSet) -> Any:
    return scaled(config, *_reduction(config), _classifier(config))


def _reduction(config: Config) -> list[Any]:
    from sklearn.decomposition import PCA
    from sklearn.feature_selection import SelectKBest, chi2, f_classif

    if config["reduction"] == "pca":
        return [PCA(config["components"], whiten=config["whiten"], random_state=RANDOM_STATE)]
    if config["reduction"] == "best":
        return [SelectKBest({"chi2": chi2, "f_classif": f_classif}[config["score"]], k=config["k"])]
    return []


def _classifier(config: Config) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB, MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    match config["classifier"]:
        case "svm":
            gamma = config.get("svm_gamma", "scale")
            return SVC(kernel=config["svm_kernel"], C=config["svm_C"], gamma=gamma, max_iter=10_000)
        case "logistic":
            return LogisticRegression(C=config["logistic_C"], max_iter=200)
        case "forest":
            return RandomForestClassifier(
                config["forest_trees"],
                max_depth=config["forest_depth"],
                max_features=config["forest_features"],
                random_state=RANDOM_STATE,
            )
        case "knn":
            return KNeighborsClassifier(config["knn_neighbors"], weights=config["knn_weights"])
    if config["bayes_kind"] == "gaussian":
        return GaussianNB(var_smoothing=config["bayes_smoothing"])
    return MultinomialNB(alpha=config["bayes_alpha"])


def _discriminant_space(_data: DataSet) -> ConfigurationSpace:
    return search_space(
        [
            scaler(),
            choice("kind", ["linear", "quadratic"], "linear"),
            choice("solver", ["svd", "lsqr", "eigen"], "svd"),
            choice("shrinkage", ["none", "auto", "fixed"], "none"),
            real("share", 1e-3, 1.0, 0.1, log=True),
            real("reg_param", 1e-5, 1.0, 1e-3, log=True),
            real("tol", 1e-6, 1e-1, 1e-4, log=True),
        ],
        [
            ("solver", "kind", "linear"),
            ("shrinkage", "kind", "linear"),
            ("share", "shrinkage", "fixed"),
            ("reg_param", "kind", "quadratic"),
        ],
    )


def _discriminant(config: Config, _data: DataSet) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

    if config["kind"] == "quadratic":
        return scaled(config, QuadraticDiscriminantAnalysis(reg_param=config["reg_param"], tol=config["tol"]))
    shrinkage = {"none": None, "auto": "auto"}.get(config["shrinkage"], config.get("share"))
    return scaled(config, LinearDiscriminantAnalysis(config["solver"], shrinkage=shrinkage, tol=config["tol"]))


LEARNERS = (
    Learner("knn", _knn_space, _knn, "other", regression=True),
    Learner("mlp", _mlp_space, _mlp, "other", sizes=("parameters", "multiply_adds", "epochs")),
    Learner("pipeline", _pipeline_space, _pipeline, "mixed"),
    Learner("discriminant", _discriminant_space, _discriminant, "other"),
)
