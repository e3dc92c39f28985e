"""What YAHPO Gym's files do not contain: columns, metrics, directions and fidelities of scenarios.

The surrogates take inputs and return metrics by position; the orders below are those of the ``yahpo_gym`` package
(1.0.1), and a test compares every entry with it. Three declarations are corrected here:

* ``f1`` of the ``rbv2_*`` scenarios is a score to maximize; the package marks it as minimized.
* ``taskset`` lists six directions for its four metrics, which are all losses to minimize.
* ``replication`` of ``fcnet`` numbers the repeated trainings of one configuration. It is a fidelity here, as in
  ``taskset``, so that no optimizer searches over it; the package leaves it in the search space.

Source: Pfisterer et al., "YAHPO Gym - An Efficient Multi-Objective Multi-Fidelity Benchmark for Hyperparameter
Optimization", AutoML 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

from optibench_benchmarks.base import Direction


@dataclass(frozen=True)
class Scenario:
    """One scenario's layout.

    Attributes:
        name: The scenario's name and, below ``<data root>/yahpo``, its folder.
        numeric: The surrogate's ``x_cont`` columns, in order.
        categorical: The surrogate's ``x_cat`` columns, in order.
        metrics: The surrogate's outputs, in order, with their directions.
        default: The metric of ``yahpo/<scenario>/<instance>``.
        fidelities: Parameters that are no part of the search space.
        instance: The categorical parameter that names the task; ``None`` if the scenario is a single task.
        instances: The tasks where no parameter names them.
        runtime: The metric that is a training time in seconds, if there is one.
    """

    name: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    metrics: dict[str, Direction]
    default: str
    fidelities: tuple[str, ...]
    instance: str | None
    instances: tuple[str, ...] = ()
    runtime: str | None = None


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _directions(minimize: str = "", maximize: str = "", *, order: str) -> dict[str, Direction]:
    low, high = minimize.split(), maximize.split()
    assert sorted(low + high) == sorted(order.split())
    return {metric: "minimize" if metric in low else "maximize" for metric in order.split()}


def _prefixed(learner: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{learner}.{name}" for name in names)


_LCBENCH = Scenario(
    name="lcbench",
    numeric=_words("epoch batch_size learning_rate momentum weight_decay num_layers max_units max_dropout"),
    categorical=("OpenML_task_id",),
    metrics=_directions(
        minimize="time val_cross_entropy test_cross_entropy",
        maximize="val_accuracy val_balanced_accuracy test_balanced_accuracy",
        order="time val_accuracy val_cross_entropy val_balanced_accuracy test_cross_entropy test_balanced_accuracy",
    ),
    default="val_accuracy",
    fidelities=("epoch",),
    instance="OpenML_task_id",
    runtime="time",
)

_FCNET = Scenario(
    name="fcnet",
    numeric=_words("epoch replication batch_size dropout_1 dropout_2 init_lr n_units_1 n_units_2"),
    categorical=("task", "activation_fn_1", "activation_fn_2", "lr_schedule"),
    metrics=_directions(
        minimize="valid_loss valid_mse runtime n_params", order="valid_loss valid_mse runtime n_params"
    ),
    default="valid_mse",
    fidelities=("epoch", "replication"),
    instance="task",
    runtime="runtime",
)

_DARTS = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
_NB301 = Scenario(
    name="nb301",
    numeric=("epoch",),
    categorical=tuple(
        [f"{_DARTS}edge_{cell}_{edge}" for cell in ("normal", "reduce") for edge in range(14)]
        + [f"{_DARTS}inputs_node_{cell}_{node}" for cell in ("normal", "reduce") for node in (3, 4, 5)]
    ),
    metrics=_directions(minimize="runtime", maximize="val_accuracy", order="val_accuracy runtime"),
    default="val_accuracy",
    fidelities=("epoch",),
    instance=None,
    instances=("CIFAR10",),
    runtime="runtime",
)

_TASKSET = Scenario(
    name="taskset",
    numeric=_words("epoch replication learning_rate beta1 beta2 epsilon l1 l2 linear_decay exponential_decay"),
    categorical=("task_name", "optimizer"),
    metrics=_directions(minimize="train valid1 valid2 test", order="train valid1 valid2 test"),
    default="valid1",
    fidelities=("epoch", "replication"),
    instance="task_name",
)

_XGBOOST = _words(
    "nrounds eta gamma lambda alpha subsample max_depth min_child_weight colsample_bytree colsample_bylevel "
    "rate_drop skip_drop"
)
_RPART = ("cp", "maxdepth", "minbucket", "minsplit")
_GLMNET = ("alpha", "s")
_IAML_RANGER = ("num.trees", "sample.fraction", "mtry.ratio", "min.node.size", "num.random.splits")
_RBV2_RANGER = ("num.trees", "sample.fraction", "mtry.power", "min.node.size", "num.random.splits")
_SVM = ("cost", "gamma", "tolerance", "degree")
_AKNN = ("k", "M", "ef", "ef_construction")


def _iaml(learner: str, numeric: tuple[str, ...], categorical: tuple[str, ...] = ()) -> Scenario:
    return Scenario(
        name=f"iaml_{learner}",
        numeric=(*numeric, "trainsize"),
        categorical=("task_id", *categorical),
        metrics=_directions(
            minimize="mmce logloss ramtrain rammodel rampredict timetrain timepredict mec ias nf",
            maximize="f1 auc",
            order="mmce f1 auc logloss ramtrain rammodel rampredict timetrain timepredict mec ias nf",
        ),
        default="mmce",
        fidelities=("trainsize",),
        instance="task_id",
        runtime="timetrain",
    )


def _rbv2(learner: str, numeric: tuple[str, ...], categorical: tuple[str, ...] = ()) -> Scenario:
    return Scenario(
        name=f"rbv2_{learner}",
        numeric=(*numeric, "trainsize", "repl"),
        categorical=("task_id", *categorical, "num.impute.selected.cpo"),
        metrics=_directions(
            minimize="brier logloss timetrain timepredict memory",
            maximize="acc bac auc f1",
            order="acc bac auc brier f1 logloss timetrain timepredict memory",
        ),
        default="acc",
        fidelities=("trainsize", "repl"),
        instance="task_id",
        runtime="timetrain",
    )


_ALL = (
    _LCBENCH,
    _FCNET,
    _NB301,
    _TASKSET,
    _iaml("ranger", _IAML_RANGER, ("replace", "respect.unordered.factors", "splitrule")),
    _iaml("rpart", _RPART),
    _iaml("glmnet", _GLMNET),
    _iaml("xgboost", _XGBOOST, ("booster",)),
    _iaml(
        "super",
        _prefixed("ranger", _IAML_RANGER)
        + _prefixed("rpart", _RPART)
        + _prefixed("glmnet", _GLMNET)
        + _prefixed("xgboost", _XGBOOST),
        (
            "learner",
            *_prefixed("ranger", ("replace", "respect.unordered.factors", "splitrule")),
            "xgboost.booster",
        ),
    ),
    _rbv2("svm", _SVM, ("kernel",)),
    _rbv2("ranger", _RBV2_RANGER, ("respect.unordered.factors", "splitrule")),
    _rbv2("rpart", _RPART),
    _rbv2("glmnet", _GLMNET),
    _rbv2("xgboost", _XGBOOST, ("booster",)),
    _rbv2("aknn", _AKNN, ("distance",)),
    _rbv2(
        "super",
        _prefixed("svm", _SVM)
        + _prefixed("glmnet", _GLMNET)
        + _prefixed("rpart", _RPART)
        + _prefixed("ranger", _RBV2_RANGER)
        + _prefixed("aknn", _AKNN)
        + _prefixed("xgboost", _XGBOOST),
        (
            "learner_id",
            "svm.kernel",
            *_prefixed("ranger", ("respect.unordered.factors", "splitrule")),
            "aknn.distance",
            "xgboost.booster",
        ),
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
