"""A learner of ``live``: a search space for a data set, and the pipeline of a configuration.

Modules of learners import scikit-learn only inside ``build``, so that tasks are listed and created without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from optibench_benchmarks.base import Config
from optibench_benchmarks.live.data import DataSet

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

RANDOM_STATE = 0
"""Seed of every learner: fixed, so that evaluations are deterministic."""
SCALERS = ("none", "standard", "minmax", "robust")

Group = Literal["trees", "forests", "boosting", "linear", "other", "mixed"]
"""A learner's group: ``linear`` holds kernel machines as well, ``mixed`` a choice among learners of several groups."""

Conditions = Iterable[tuple[str, str, Any]]
"""``(child, parent, value)``: the child is active where the parent has the value, or one of several in a list."""


@dataclass(frozen=True)
class Learner:
    """A kind of model and its search space.

    Attributes:
        name: Its part of a task's name.
        space: The parameters for a data set, and the conditions among them.
        build: Makes the unfitted scikit-learn estimator of a configuration; may raise, as scikit-learn does for invalid
            combinations.
        group: The learners of one group are alike: the unit of splits and of balanced tests.
        regression: Whether it supports regression too.
        sizes: What is counted of its models (:data:`optibench_benchmarks.live.sizes.SIZES`).
    """

    name: str
    space: Callable[[DataSet], ConfigurationSpace]
    build: Callable[[Config, DataSet], Any]
    group: Group
    regression: bool = False
    sizes: tuple[str, ...] = ()


def search_space(parameters: Iterable[Any], conditions: Conditions = ()) -> ConfigurationSpace:
    """A space of parameters and simple conditions; a child with several conditions needs all of them."""
    from ConfigSpace import AndConjunction, ConfigurationSpace, EqualsCondition, InCondition

    space = ConfigurationSpace(space={parameter.name: parameter for parameter in parameters})
    found: dict[str, list[Any]] = {}
    for child, parent, value in conditions:
        kind: Any = InCondition if isinstance(value, list) else EqualsCondition
        found.setdefault(child, []).append(kind(space[child], space[parent], value))
    space.add([one[0] if len(one) == 1 else AndConjunction(*one) for one in found.values()])
    return space


def real(name: str, low: float, high: float, default: float, *, log: bool = False) -> Any:
    """A number."""
    from ConfigSpace import Float

    return Float(name, (low, high), default=default, log=log)


def whole(name: str, low: int, high: int, default: int, *, log: bool = False) -> Any:
    """A whole number."""
    from ConfigSpace import Integer

    return Integer(name, (low, high), default=default, log=log)


def choice(name: str, values: Iterable[Any], default: Any) -> Any:
    """A category."""
    from ConfigSpace import Categorical

    return Categorical(name, list(values), default=default)


def truth(name: str, default: bool = False) -> Any:
    """Yes or no."""
    return choice(name, [True, False], default)


def scaler(default: str = "standard", among: Iterable[str] = SCALERS) -> Any:
    """How the inputs are scaled."""
    return choice("scaler", among, default)


def class_weight() -> Any:
    """Whether rare classes count more."""
    return choice("class_weight", ["none", "balanced"], "none")


def scaled(config: Config, *steps: Any) -> Any:
    """The pipeline of a configuration's scaler and further steps."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    kinds: Mapping[str, Any] = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}
    kind = kinds.get(config["scaler"])
    return make_pipeline(*([kind()] if kind else []), *steps)


def settings(config: Config, *left_out: str) -> dict[str, Any]:
    """The configuration as an estimator's keywords, without some of them; ``none`` is scikit-learn's ``None``."""
    return {name: None if value == "none" else value for name, value in config.items() if name not in left_out}
