"""Fidelities of an evaluation, checked and completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optibench_benchmarks.base import BenchmarkError, Config

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def complete(task: str, space: ConfigurationSpace | None, given: Config | None) -> dict[str, Any]:
    """All fidelities of a task: the given ones, and the others at their default, the highest; none without a space.

    Raises:
        BenchmarkError: One is unknown or out of its range.
    """
    found: dict[str, Any] = {} if space is None else dict(space.get_default_configuration())
    for name, value in (given or {}).items():
        if name not in found:
            raise BenchmarkError(f"{task} has no fidelity {name!r}; it has {', '.join(found) or 'none'}.")
        assert space is not None
        parameter: Any = space[name]
        if not parameter.legal_value(value):
            raise BenchmarkError(
                f"Fidelity {name} of {task} lies between {parameter.lower} and {parameter.upper}, "
                f"which {value!r} does not."
            )
        found[name] = value
    return found
