"""Groups of learners and of functions: the unit of every split, and of intervals over tasks of several kinds."""

from __future__ import annotations

from optibench_benchmarks.hpob.pools import pools
from optibench_benchmarks.kept.draw import FUNCTIONS
from optibench_benchmarks.live.tasks import LEARNERS

OF_POOLS = {"rpart": "trees", "ranger": "forests", "xgboost": "boosting", "glmnet": "linear", "svm": "linear"}
"""The group of each of HPO-B's learners."""


def group(task: str) -> str:
    """The group of learners of a ``live`` or ``hpob`` task, or the group of functions of a ``bbob`` task."""
    family, second, *_ = task.split("/")
    if family == "live":
        return str(LEARNERS[second].group)
    if family == "hpob":
        return OF_POOLS[pools()[task].learner]
    number = int(second.partition("-")[0].removeprefix("f"))
    return next(name for name, numbers in FUNCTIONS.items() if number in numbers)
