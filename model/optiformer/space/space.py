"""A search space as the model sees it: an ordered list of typed parameters, parents before children.

Every parameter maps its values to a *position* in [0, 1] in its own scale (linear, logarithmic, or the centre of one of
``n_levels`` equal cells for discrete values) and back. That map is the only place where kinds differ; the tokenizer
quantizes positions and knows nothing of kinds. Spaces are built from ConfigSpace or from Optuna distributions, and by
hand where neither package is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError
from optiformer.space.parameter import Parameter, parents_first

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Space:
    """Parameters in an order in which every parent precedes its children.

    Attributes:
        parameters: The parameters, constants included.
    """

    parameters: tuple[Parameter, ...]
    _by_name: dict[str, Parameter] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            if parameter.name in self._by_name:
                raise ModelError(f"Parameter {parameter.name!r} is in the space twice; rename one.")
            if parameter.condition is not None and not parameter.condition.parents() <= self._by_name.keys():
                raise ModelError(f"Parameter {parameter.name!r} must come after the parents its condition names.")
            self._by_name[parameter.name] = parameter

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    @property
    def free(self) -> tuple[Parameter, ...]:
        """Parameters with more than one value."""
        return tuple(parameter for parameter in self.parameters if parameter.n_levels != 1)

    def is_active(self, parameter: Parameter, config: Mapping[str, Any]) -> bool:
        """Whether a parameter is active given the values of those before it."""
        return parameter.condition is None or parameter.condition.holds(config)

    @classmethod
    def from_configspace(cls, space: ConfigurationSpace) -> Space:
        """Read a ConfigSpace, conditions included (forbidden clauses are the caller's to check)."""
        from optiformer.space.converters import from_configspace

        return cls(from_configspace(space))

    @classmethod
    def from_optuna(cls, distributions: Mapping[str, BaseDistribution]) -> Space:
        """Read Optuna distributions."""
        from optiformer.space.converters import from_optuna

        return cls(from_optuna(distributions))

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> Space:
        """A space from parameters in any order of parents and children."""
        return cls(parents_first(parameters))
