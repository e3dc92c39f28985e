"""Checks of a benchmark's declarations when it is created: a wrong direction must not invert the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from optibench_benchmarks.base import Benchmark, Direction, Front, Reference, Sampling

NUMBERS = ("f_best", "f_ref", "f_worst")


def shown(value: object) -> str:
    """A value for a message: one line, not too long."""
    return " ".join(repr(value).split())[:200]


def flaw(benchmark: Any) -> str | None:
    """A wrong declaration of a benchmark: the attribute, what it must be and what it is; ``None`` if there is none."""
    if not isinstance(benchmark, Benchmark):
        return f"it must be an optibench_benchmarks.Benchmark, not {shown(benchmark)}"
    for attribute in ("name", "data_version"):
        text = getattr(benchmark, attribute, None)
        if not isinstance(text, str) or not text:
            return f"its `{attribute}` must be text, not {shown(text)}"
    for attribute, words in (("direction", get_args(Direction)), ("sampling", get_args(Sampling))):
        word = getattr(benchmark, attribute)
        if not isinstance(word, str) or word not in words:
            return f"its `{attribute}` must be {' or '.join(words)}, not {shown(word)}"
    for attribute in ("metrics", "objectives"):
        if wrong := _directions_flaw(attribute, getattr(benchmark, attribute)):
            return wrong
    constraints: Any = benchmark.constraints
    if not isinstance(constraints, tuple) or not all(isinstance(name, str) and name for name in constraints):
        return f"its `constraints` must be a tuple of names, not {shown(constraints)}"
    if len(set(constraints)) < len(constraints):
        return f"its `constraints` must have different names, not {shown(constraints)}"
    failures: Any = benchmark.failures
    if not isinstance(failures, tuple) or not all(_is_failure(kind) for kind in failures):
        return f"its `failures` must be a tuple of exception classes below Exception, not {shown(failures)}"
    left_out: Any = benchmark.left_out
    if not isinstance(left_out, str):
        return f"its `left_out` must be text, not {shown(left_out)}"
    has_cost: Any = benchmark.has_cost
    if not isinstance(has_cost, bool):
        return f"its `has_cost` must be true or false, not {shown(has_cost)}"
    return (
        _space_flaw(benchmark)
        or _reference_flaw(benchmark.reference, benchmark.direction)
        or _front_flaw(benchmark.front, benchmark)
    )


def _directions_flaw(attribute: str, found: Any) -> str | None:
    if not isinstance(found, Mapping) or not all(isinstance(name, str) and name for name in found):
        return f"its `{attribute}` must name a direction for each {attribute[:-1]}, not {shown(found)}"
    for name, word in found.items():
        if not isinstance(word, str) or word not in get_args(Direction):
            return f"its `{attribute}` must say {' or '.join(get_args(Direction))} of {shown(name)}, not {shown(word)}"
    if attribute == "objectives" and len(found) == 1:
        return f"its `objectives` must be empty or several, not {shown(dict(found))}: one is `value`, in `direction`"
    return None


def _is_failure(kind: Any) -> bool:
    """Whether it is a class of exceptions; Exception itself would hide every bug."""
    return isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception


def _space_flaw(benchmark: Any) -> str | None:
    from ConfigSpace import ConfigurationSpace

    space, fidelities, main = getattr(benchmark, "space", None), benchmark.fidelity_space, benchmark.main_fidelity
    if not isinstance(space, ConfigurationSpace) or not len(space):
        return f"its `space` must be a ConfigSpace.ConfigurationSpace with parameters, not {shown(space)}"
    if fidelities is not None and (not isinstance(fidelities, ConfigurationSpace) or not len(fidelities)):
        return f"its `fidelity_space` must be None or such a space, not {shown(fidelities)}"
    if main is not None and (fidelities is None or main not in list(fidelities)):
        known = "None, as there is no fidelity" if fidelities is None else f"one of {', '.join(fidelities)}"
        return f"its `main_fidelity` must be {known}, not {shown(main)}"
    return None


def _reference_flaw(reference: Any, direction: Direction) -> str | None:
    if reference is None:
        return None
    if not isinstance(reference, Reference):
        return f"its `reference` must be an optibench_benchmarks.Reference or None, not {shown(reference)}"
    for attribute in NUMBERS:
        value = getattr(reference, attribute)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            return f"its `reference.{attribute}` must be a number, not {shown(value)}"
    source, version = (getattr(reference, attribute) for attribute in ("source", "version"))
    if not isinstance(source, str):
        return f"its `reference.source` must be text, not {shown(source)}"
    if not isinstance(version, int) or isinstance(version, bool):
        return f"its `reference.version` must be a whole number, not {shown(version)}"
    if (reference.f_best > reference.f_ref) != (direction == "maximize"):
        return (
            f"its `direction` is {direction}, and the best value of its `reference`, {reference.f_best:g}, is "
            f"{'above' if reference.f_best > reference.f_ref else 'below'} the median random one, {reference.f_ref:g}"
        )
    return None


def _front_flaw(front: Any, benchmark: Benchmark) -> str | None:
    if front is None:
        return None
    if not isinstance(front, Front):
        return f"its `front` must be an optibench_benchmarks.Front or None, not {shown(front)}"
    if not benchmark.objectives or benchmark.reference is not None:
        return "its `front` is for several objectives, its `reference` for one"
    if len(front.ideal) != len(benchmark.objectives):
        return f"its `front` has {len(front.ideal)} objectives, and `objectives` has {len(benchmark.objectives)}"
    for (name, direction), best, last in zip(
        benchmark.objectives.items(), front.ideal, front.reference_point, strict=True
    ):
        if (best > last) != (direction == "maximize"):
            return f"its objective {name!r} is to be {direction}d, and its `front` has the ideal {best:g} and {last:g}"
    return None
