"""Configurations in OpenEvolve's format: the part of its keys that this search uses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from optibench.errors import HarnessError
from optibench.paths import expanded

CONFIGS = Path(__file__).parent / "configs"
KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("max_iterations", "random_seed", "max_code_length", "diff_based_evolution", "enforce_evolve_blocks"),
    "llm": ("api_base", "api_key", "models", "temperature", "top_p", "max_tokens", "timeout", "retries", "retry_delay"),
    "prompt": ("system_message", "num_top_programs"),
    "database": ("population_size", "exploration_ratio"),
    "evaluator": ("timeout", "memory_limit_mb", "cascade_evaluation"),
}
"""What may be set, by section; OpenEvolve reads all of it too."""


@dataclass(frozen=True)
class Endpoint:
    """Where programs are asked for.

    Attributes:
        api_base: The address up to ``/chat/completions``.
        api_key: Sent as a bearer token; none if empty.
        models: Names and weights of the models that take turns at random.
        temperature, top_p, max_tokens: Of a completion.
        timeout: Seconds that a request may take.
        retries: How often a request that failed is repeated.
        retry_delay: Seconds before that.
    """

    api_base: str
    api_key: str
    models: tuple[tuple[str, float], ...]
    temperature: float
    top_p: float
    max_tokens: int
    timeout: float
    retries: int
    retry_delay: float


@dataclass(frozen=True)
class Settings:
    """A search.

    Attributes:
        iterations: How many candidates are asked for.
        seed: Of the choice of parents and models.
        longest: Characters that a candidate's block may have.
        endpoint: Where to ask.
        system_message: What the model is told first.
        shown: How many of the best programs it is shown.
        population: How many programs are kept to choose parents from.
        exploration: The share of parents drawn from all of them rather than the best.
        timeout: Seconds that an evaluation may take.
        memory_limit: Bytes that its process may have resident.
    """

    iterations: int
    seed: int
    longest: int
    endpoint: Endpoint
    system_message: str
    shown: int
    population: int
    exploration: float
    timeout: float
    memory_limit: int


def read(path: Path | str, **overrides: Any) -> Settings:
    """Read a configuration, a file or the name of a framework.

    Args:
        path: A YAML file, or a framework whose shipped configuration is meant.
        overrides: ``api_base``, ``model``, ``iterations``: instead of the file's, where not ``None``.

    Raises:
        HarnessError: It is not there, malformed, has an unknown key, or a value is out of its range.
    """
    shipped = CONFIGS / f"{path}.yaml"
    file = shipped if shipped.is_file() else expanded(path)
    try:
        values: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"The configuration {file} cannot be read ({' '.join(str(error).split())}).") from None
    sections = _sections(file, values)
    top, llm, database = sections[""], sections["llm"], sections["database"]
    if top.get("diff_based_evolution", False):
        raise HarnessError(f"{file}: `diff_based_evolution` has to be false: candidates are whole blocks here.")
    if overrides.get("iterations") is not None:
        top["max_iterations"] = overrides["iterations"]
    models = llm.get("models", [])
    if overrides.get("model") is not None:
        models = [{"name": overrides["model"]}]
    try:
        endpoint = Endpoint(
            api_base=str(overrides.get("api_base") or llm["api_base"]).rstrip("/"),
            api_key=_key(llm.get("api_key")),
            models=tuple((str(each["name"]), float(each.get("weight", 1.0))) for each in models),
            temperature=float(llm.get("temperature", 0.7)),
            top_p=float(llm.get("top_p", 0.95)),
            max_tokens=int(llm.get("max_tokens", 4096)),
            timeout=float(llm.get("timeout", 60)),
            retries=int(llm.get("retries", 3)),
            retry_delay=float(llm.get("retry_delay", 5)),
        )
        found = Settings(
            iterations=int(top.get("max_iterations", 100)),
            seed=int(top.get("random_seed", 42)),
            longest=int(top.get("max_code_length", 10_000)),
            endpoint=endpoint,
            system_message=str(sections["prompt"]["system_message"]),
            shown=int(sections["prompt"].get("num_top_programs", 3)),
            population=int(database.get("population_size", 100)),
            exploration=float(database.get("exploration_ratio", 0.2)),
            timeout=float(sections["evaluator"].get("timeout", 300)),
            memory_limit=int(sections["evaluator"].get("memory_limit_mb", 2048)) * 2**20,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise HarnessError(f"{file}: a value is missing or of the wrong kind ({error}).") from None
    _check(file, found)
    return found


def _sections(file: Path, values: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(values, dict):
        raise HarnessError(f"The configuration {file} has to be a YAML mapping.")
    sections: dict[str, dict[str, Any]] = {name: dict(values.pop(name, None) or {}) for name in KEYS if name}
    sections[""] = values
    for section, keys in KEYS.items():
        unknown = sorted(set(sections[section]) - set(keys))
        if unknown:
            where = f"section `{section}`" if section else "top level"
            raise HarnessError(f"{file}: unknown keys at {where}: {', '.join(unknown)}; known are {', '.join(keys)}.")
    return sections


def _key(value: Any) -> str:
    """The key: ``${NAME}`` is read from the environment, nothing means ``OPENAI_API_KEY`` or none."""
    match = re.fullmatch(r"\$\{(\w+)\}", str(value or "${OPENAI_API_KEY}"))
    return os.environ.get(match[1], "") if match else str(value)


def _check(file: Path, settings: Settings) -> None:
    endpoint = settings.endpoint
    if not endpoint.api_base.startswith(("http://", "https://")):
        raise HarnessError(f"{file}: `api_base` has to begin with http:// or https://, not {endpoint.api_base!r}.")
    if not endpoint.models or any(weight <= 0 for _, weight in endpoint.models):
        raise HarnessError(f"{file}: `models` needs at least one model, each with a weight above 0.")
    numbers = (settings.iterations, settings.longest, settings.population, settings.timeout, settings.memory_limit)
    if min(numbers) <= 0 or not 0 <= settings.exploration <= 1 or min(endpoint.retries, settings.shown) < 0:
        raise HarnessError(f"{file}: counts, times and memory have to be above 0 and exploration_ratio in [0, 1].")
