"""Configurations in OpenEvolve's format: this search uses some of its keys, and OpenEvolve can read the same files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from optibench.yaml_file import by_name, read_yaml

CONFIGS = Path(__file__).parent / "configs"
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model; each request chooses one at random, by weight."""

    name: str
    weight: Positive = 1.0


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The endpoint that writes programs: ``api_base`` is the address before ``/chat/completions``."""

    api_base: str
    models: Annotated[tuple[Model, ...], Meta(min_length=1)]
    api_key: str | None = None
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 4096
    timeout: Positive = 60.0
    retries: Natural = 3
    retry_delay: float = 5.0

    def __post_init__(self) -> None:
        if not self.api_base.startswith(("http://", "https://")):
            raise ValueError(f"`api_base` has to begin with http:// or https://, not {self.api_base!r}")

    @property
    def token(self) -> str:
        """The key: ``${NAME}`` is read from the environment; the default is ``OPENAI_API_KEY``, or no key."""
        match = re.fullmatch(r"\$\{(\w+)\}", self.api_key or "${OPENAI_API_KEY}")
        return os.environ.get(match[1], "") if match else str(self.api_key)


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The system message, and the number of best programs that the model is shown."""

    system_message: str
    num_top_programs: Natural = 3


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of programs to choose parents from, and the fraction of parents drawn from all of them."""

    population_size: Count = 100
    exploration_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.2


class Evaluator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of an evaluation."""

    timeout: Positive = 300.0
    memory_limit_mb: Count = 2048
    cascade_evaluation: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search: its number of candidates, the seed of all choices, and the maximum length of a candidate."""

    llm: Endpoint
    prompt: Prompt
    max_iterations: Count = 100
    random_seed: int = 42
    max_code_length: Count = 10_000
    diff_based_evolution: bool = False
    enforce_evolve_blocks: bool = True
    database: Database = Database()
    evaluator: Evaluator = Evaluator()

    def __post_init__(self) -> None:
        if self.diff_based_evolution:
            raise ValueError("`diff_based_evolution` has to be false: candidates are whole blocks here")


def read(path: Path | str, *, api_base: Any = None, model: Any = None, iterations: Any = None) -> Settings:
    """Read a configuration from a file or by a framework's name; the other arguments override it.

    Raises:
        HarnessError: It is missing or malformed, has an unknown key, or a value is out of range.
    """
    source = read_yaml(str(path), "configuration", Settings.__struct_fields__, by_name(CONFIGS))
    llm = source.values.get("llm")
    if isinstance(llm, dict):
        llm["api_base"] = str(api_base or llm.get("api_base", "")).rstrip("/")
        llm["models"] = [{"name": model}] if model else llm.get("models", [])
    if iterations is not None:
        source.values["max_iterations"] = iterations
    return source.decode(Settings)
