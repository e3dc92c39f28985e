"""What HPO-B's 15 search spaces and 47 OpenML tasks are: columns, learners, defaults, data sets.

The names and the order of the columns are those of HPO-B's ``meta-dataset-descriptors.json``. ``<parameter>.na`` is 1
where a run does not list the parameter, and ``<parameter>.ohe._<value>`` is a one-hot column; ``_INVALID`` stands for
runs that do not list the category, which then has the default value of the R package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

NA, ONE_HOT = ".na", ".ohe._"
_RPART = "minsplit minsplit.na minbucket cp maxdepth maxdepth.na"
_SVM = "cost gamma gamma.na degree degree.na kernel.ohe._INVALID kernel.ohe._linear kernel.ohe._polynomial"
_GLMNET = "alpha lambda"
_XGBOOST = (
    "eta max_depth max_depth.na min_child_weight min_child_weight.na subsample colsample_bytree colsample_bytree.na "
    "colsample_bylevel colsample_bylevel.na lambda alpha nrounds nrounds.na booster.ohe._INVALID booster.ohe._gblinear"
)
_REPLACE = " replace.ohe._FALSE replace.ohe._INVALID"
_FACTORS = " respect.unordered.factors.ohe._INVALID respect.unordered.factors.ohe._TRUE"
_RANGER = "num.trees num.trees.na mtry sample.fraction min.node.size min.node.size.na" + _REPLACE + _FACTORS
_RANGER_LATE = "num.trees num.trees.na mtry min.node.size sample.fraction" + _FACTORS + _REPLACE

SET_NODE_SIZE = "set.min.node.size"
"""Whether a run of ranger sets ``min.node.size``; up to 98 % of the runs of a pool do not."""
UNUSED = ("nthread",)
"""Parameters without any effect on the accuracy."""
CONDITIONS: Mapping[str, tuple[str, str]] = {
    "gamma": ("kernel", "radial"),
    "degree": ("kernel", "polynomial"),
    "max_depth": ("booster", "gbtree"),
    "min_child_weight": ("booster", "gbtree"),
    "colsample_bytree": ("booster", "gbtree"),
    "colsample_bylevel": ("booster", "gbtree"),
    "min.node.size": (SET_NODE_SIZE, "yes"),
}
"""The category and its value with which a parameter is active."""
CATEGORY_DEFAULTS = {"kernel": "radial", "booster": "gbtree", "replace": "TRUE", "respect.unordered.factors": "FALSE"}


@dataclass(frozen=True)
class Scale:
    """How HPO-B's column of a parameter in [0, 1] came about.

    Attributes:
        default: The column's value, outside those recorded, of runs that leave the parameter at its default.
        steps: The value is a whole number, and the column is ``(value - first) / steps``; 0: the column stays as it is.
        first: The number at the column's 0.
    """

    default: float | None = None
    steps: int = 0
    first: int = 0


_MAX_DEPTH, _DEGREE = Scale(6 / 15, 15), Scale(3 / 5, 5)
_RPART_SCALES = {"minsplit": Scale(20 / 60, 60), "minbucket": Scale(None, 59, 1), "maxdepth": Scale(30 / 29, 29)}
# Logarithmic columns are ln(value / 1e-4) / ln(largest / 1e-4), of 500 in 2,000 trees and of 1 in 5,000 rounds.
_TREES, _LOG_TREES = Scale(500 / 2000, 2000), Scale(0.91753766)
_ROUNDS, _LOG_ROUNDS = Scale(1 / 5000, 5000), Scale(0.51955001)


@dataclass(frozen=True)
class Space:
    """One search space.

    Attributes:
        learner: The R package behind it; spaces of one learner are one group.
        columns: The columns' names, in the order of the table.
        scales: How columns are read; the others are plain numbers.
    """

    learner: str
    columns: Sequence[str]
    scales: Mapping[str, Scale]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The column of each numeric parameter."""
        plain = (name for name in self.columns if not name.endswith(NA) and ONE_HOT not in name)
        return {name: self.columns.index(name) for name in plain if name not in UNUSED}

    @cached_property
    def categories(self) -> dict[str, dict[str, int]]:
        """The one-hot column of each value of each category."""
        found: dict[str, dict[str, int]] = {}
        for column, name in enumerate(self.columns):
            category, one_hot, value = name.partition(ONE_HOT)
            if one_hot:
                value = CATEGORY_DEFAULTS[category] if value == "INVALID" else value
                found.setdefault(category, {})[value] = column
        return found

    def missing(self, parameter: str) -> int | None:
        """The column that is 1 where a run does not list the parameter, if there is one."""
        return self.columns.index(parameter + NA) if parameter + NA in self.columns else None


def _space(learner: str, columns: str, **scales: Scale) -> Space:
    return Space(learner, columns.split(), {name.replace("_trees", ".trees"): scale for name, scale in scales.items()})


SPACES: Mapping[str, Space] = {
    "4796": _space("rpart", "minsplit minbucket cp"),
    "5527": _space("svm", _SVM, degree=_DEGREE),
    "5636": _space("rpart", _RPART, **_RPART_SCALES),
    "5859": _space("rpart", _RPART, **_RPART_SCALES),
    "5889": _space("ranger", "num.trees num.trees.na mtry sample.fraction" + _REPLACE, num_trees=_LOG_TREES),
    "5891": _space("svm", _SVM, degree=_DEGREE),
    "5906": _space("xgboost", _XGBOOST, max_depth=_MAX_DEPTH, nrounds=_LOG_ROUNDS),
    "5965": _space("ranger", _RANGER, num_trees=_LOG_TREES),
    "5970": _space("glmnet", _GLMNET),
    "5971": _space("xgboost", _XGBOOST, max_depth=_MAX_DEPTH, nrounds=_ROUNDS),
    "6766": _space("glmnet", _GLMNET),
    "6767": _space(
        "xgboost",
        "eta subsample lambda alpha nthread nthread.na nrounds nrounds.na max_depth max_depth.na min_child_weight "
        "min_child_weight.na colsample_bytree colsample_bytree.na colsample_bylevel colsample_bylevel.na "
        "booster.ohe._INVALID booster.ohe._gblinear",
        max_depth=_MAX_DEPTH,
        nrounds=_ROUNDS,
    ),
    "6794": _space("ranger", _RANGER, num_trees=_TREES),
    "7607": _space("ranger", _RANGER_LATE, num_trees=_TREES),
    "7609": _space("ranger", _RANGER_LATE, num_trees=_TREES),
}
"""The search spaces by number; of HPO-B's sixteenth, 5860, the data has no pool."""

DATA_SETS: Mapping[str, str] = {
    "3": "chess",
    "23": "contraceptive",
    "31": "german",
    "37": "diabetes",
    "43": "spambase",
    "49": "tic-tac-toe",
    "3492": "monk-1",
    "3493": "monk-2",
    "3549": "authorship",
    "3889": "sylva",
    "3891": "gina",
    "3896": "ada",
    "3899": "mozilla4",
    "3902": "pc4",
    "3903": "pc3",
    "3913": "kc2",
    "3918": "pc1",
    "3950": "musk",
    "3954": "magic",
    "6566": "internet-advertisements",
    "9889": "wilt",
    "9903": "9903",
    "9906": "9906",
    "9914": "wilt",
    "9946": "wdbc",
    "9952": "phoneme",
    "9967": "steel-plates-fault",
    "9970": "hill-valley",
    "9971": "ilpd",
    "9977": "nomao",
    "9980": "climate",
    "9983": "eeg-eye-state",
    "10093": "banknote",
    "10101": "blood-transfusion",
    "14951": "eeg-eye-state",
    "34536": "internet-advertisements",
    "34537": "phishing",
    "125923": "australian",
    "145804": "tic-tac-toe",
    "145836": "blood-transfusion",
    "145853": "madelon",
    "145854": "nomao",
    "145878": "wdbc",
    "145953": "chess",
    "145976": "diabetes",
    "146064": "monk-1",
    "146065": "monk-2",
}
"""The data set behind each OpenML task; two tasks of one data set are one data set, named as in KEEL where it is there.

Accuracies are multiples of one over the number of instances, and those of every task are of this data set (a test
checks it); 9903 and 9906, whose pools are small, stand for themselves.
"""
