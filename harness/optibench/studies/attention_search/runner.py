"""The search: chooses a parent, requests a change of its block, checks it, measures it and stores it.

Everything is written at once: ``candidates.jsonl`` has a line for each candidate, failed ones included, and ``best/``
has the best program with its scores under OpenEvolve's names (``best_program.py``, ``best_program_info.json``). The
same folder resumes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optibench.errors import HarnessError
from optibench.files import write_atomically
from optibench.studies.attention_search import program as programs
from optibench.studies.attention_search.client import complete
from optibench.studies.attention_search.evaluator import Answer, Limits, law
from optibench.studies.attention_search.settings import Settings

Measure = Callable[[Path, str, Limits], Answer]
CANDIDATES, BEST = "candidates.jsonl", "best"
_NOTES = 3
"""Number of recent failures that the model is shown."""


@dataclass(frozen=True)
class Candidate:
    """One program.

    Attributes:
        iteration: From 1 on; 0 is the shipped program.
        parent: Its parent's iteration, -1 for the shipped one.
        model: The model that wrote it.
        fitness: ``None`` if it failed.
        reason, error: Why it failed, as in :class:`optibench.studies.attention_search.evaluator.Answer`.
        block: The code between the marks; the answer itself if there is no code.
        values: The measured values.
    """

    iteration: int
    parent: int
    model: str
    fitness: float | None
    reason: str = ""
    error: str = ""
    block: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def run(
    framework: str,
    settings: Settings,
    out: Path,
    *,
    measure: Measure = law,
    progress: Callable[[str], None] = lambda line: None,
) -> Candidate:
    """Search for a better program of a framework.

    Args:
        framework: One of ``optibench_benchmarks.training.attention.tasks.FRAMEWORKS``.
        settings: The settings of the search.
        out: The output folder; a folder that holds this search resumes.
        measure: Measures a candidate.
        progress: Called with a line about each candidate.

    Returns:
        The best candidate.

    Raises:
        HarnessError: The folder holds a different search, or the shipped program cannot be measured.
        EndpointError: The endpoint gives no completion.
    """
    found = _resume(out, framework)
    limits = Limits(settings.evaluator.timeout, settings.evaluator.memory_limit_mb * 2**20)

    def settle(iteration: int, parent: int, model: str, text: str) -> None:
        """Measure a program and store it."""
        file = out / "candidate.py"
        file.write_text(text, encoding="utf-8")
        answer = measure(file, framework, limits)
        fitness = float(answer.values["fitness"]) if answer.ok else None
        block = programs.parts(text)[1].strip()
        keep(Candidate(iteration, parent, model, fitness, answer.reason, answer.error, block, answer.values))

    def keep(candidate: Candidate) -> None:
        found.append(candidate)
        with (out / CANDIDATES).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(candidate)) + "\n")
        if candidate is best(found):
            _save(out / BEST, framework, candidate)
        told = f"{candidate.reason}: {candidate.error}" if candidate.fitness is None else f"{candidate.fitness:.4f}"
        progress(f"{candidate.iteration}: {told}")

    if not found:
        settle(0, -1, "", programs.template(framework))
        if found[0].fitness is None:
            raise HarnessError(f"The shipped program of {framework} cannot be measured: {found[0].error}")
    for iteration in range(len(found), settings.max_iterations + 1):
        rng = random.Random(f"{settings.random_seed}/{iteration}")
        parent = choose(found, settings, rng)
        models = settings.llm.models
        model = rng.choices([one.name for one in models], [one.weight for one in models])[0]
        answer = complete(settings.llm, model, prompt(framework, parent, found, settings), rng.randrange(2**31))
        try:
            text = programs.splice(answer, framework, longest=settings.max_code_length)
        except programs.RuleError as error:
            text = answer[: settings.max_code_length]
            keep(Candidate(iteration, parent.iteration, model, None, "rules", str(error), text))
            continue
        settle(iteration, parent.iteration, model, text)
    (out / "candidate.py").unlink(missing_ok=True)
    return best(found)


def best(found: list[Candidate]) -> Candidate:
    """The candidate with the highest fitness; the earlier one if two are equal."""
    return max(found, key=lambda each: (-float("inf") if each.fitness is None else each.fitness, -each.iteration))


def choose(found: list[Candidate], settings: Settings, rng: random.Random) -> Candidate:
    """Choose a parent: any of the population with the probability ``exploration``, otherwise one of its best."""
    alive = sorted((each for each in found if each.fitness is not None), key=lambda each: -(each.fitness or 0.0))
    alive = alive[: settings.database.population_size]
    return rng.choice(
        alive
        if rng.random() < settings.database.exploration_ratio
        else alive[: max(1, settings.prompt.num_top_programs)]
    )


def prompt(framework: str, parent: Candidate, found: list[Candidate], settings: Settings) -> list[dict[str, str]]:
    """The messages to the model."""
    alive = sorted((each for each in found if each.fitness is not None), key=lambda each: -(each.fitness or 0.0))
    pieces = [
        f"The program's file, of which you may change what is between {programs.START} and {programs.END} only:",
        f"```python\n{programs.template(framework)}\n```",
        f"The block to improve, fitness {parent.fitness:.4f}, losses by size {_losses(parent)}:",
        f"```python\n{parent.block}\n```",
    ]
    for other in [each for each in alive if each is not parent][: settings.prompt.num_top_programs]:
        pieces += [f"Another block, fitness {other.fitness:.4f}, losses {_losses(other)}:", _fence(other.block)]
    failures = [each for each in found if each.fitness is None][-_NOTES:]
    if failures:
        pieces += ["What went wrong lately:", *(f"- {each.reason}: {each.error}" for each in failures)]
    pieces.append("Answer with the whole new block in one fence of three backticks. It has to define `mix`.")
    return [
        {"role": "system", "content": settings.prompt.system_message},
        {"role": "user", "content": "\n\n".join(pieces)},
    ]


def _fence(block: str) -> str:
    return f"```python\n{block}\n```"


def _losses(candidate: Candidate) -> str:
    return ", ".join(f"{loss:.4f}" for loss in candidate.values.get("losses", ()))


def _save(folder: Path, framework: str, candidate: Candidate) -> None:
    folder.mkdir(exist_ok=True)
    before, _, after = programs.parts(programs.template(framework))
    text = f"{before}{candidate.block}\n\n\n{after}"
    info = {
        "framework": framework,
        "iteration": candidate.iteration,
        "parent": candidate.parent,
        "model": candidate.model,
        "metrics": {"combined_score": candidate.fitness, **candidate.values},
    }
    for name, content in (("best_program.py", text), ("best_program_info.json", json.dumps(info, indent=1))):
        write_atomically(folder / name, content.encode())


def _resume(out: Path, framework: str) -> list[Candidate]:
    """The candidates that a folder already has; a missing folder is created."""
    said = out / "framework.txt"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not any(out.iterdir()):
            said.write_text(framework, encoding="utf-8")
        if not said.is_file() or said.read_text(encoding="utf-8") != framework:
            raise HarnessError(f"{out} does not hold a search of {framework}; choose another --out.")
        journal = out / CANDIDATES
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True) if journal.is_file() else []
        if lines and not lines[-1].endswith("\n"):  # stopped while it was written
            lines.pop()
            write_atomically(journal, "".join(lines).encode())
        return [Candidate(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise HarnessError(f"The search in {out} cannot be read or written ({error}); choose another --out.") from None
