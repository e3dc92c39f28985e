"""Turn the best checkpoint of a run into one that is shipped: bf16 weights and a model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optiformer.files import WEIGHTS
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.network import VOCABULARY, load, save

CARD = "README.md"


def ship(
    best: str | Path,
    target: str | Path,
    *,
    date: str,
    hardware: str,
    command: str,
    limits: str,
    sampling: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint in bf16 with a model card.

    Args:
        best: The ``best`` folder of a run.
        target: Where the shipped checkpoint goes.
        date: When it was trained.
        hardware: What it was trained on.
        command: What was typed to train it.
        limits: What a user should not expect of it; a few sentences of Markdown.
        sampling: Sampling settings chosen after training, by name.

    Returns:
        The target folder.
    """
    checkpoint = load(best)
    settings: SamplingConfig = replace(checkpoint.sampling, **(sampling or {}))
    info = {**checkpoint.info, "date": date, "hardware": hardware, "command": command}
    save(
        target,
        checkpoint.weights,
        checkpoint.config,
        checkpoint.vocabulary,
        sampling=settings,
        encoding=checkpoint.encoding,
        info=info,
        bf16=True,
    )
    (Path(target) / CARD).write_text(card(load(target).info, settings, limits, Path(target)))
    return Path(target)


def card(info: dict[str, Any], sampling: SamplingConfig, limits: str, folder: Path) -> str:
    """The model card's text."""
    data = info["run"]["data"]
    teachers = ", ".join(f"{t['share']:.0%} {t['name']} of {t['n_trials']} trials" for t in data["teachers"])
    prior = data["prior"]
    size = (folder / WEIGHTS).stat().st_size / 2**20
    rows = {
        "Trained": f"{info['date']}, on {info['hardware']}",
        "Command": f"`{info['command']}`",
        "Network": f"Llama, {info['parameters']:,} parameters, {size:.1f} MiB in bf16 (safetensors)",
        "Data": f"{data['n_trajectories']:,} synthetic functions, one trajectory each: {teachers}",
        "Functions": f"{prior['gp']:.0%} Gaussian processes, {prior['symbolic']:.0%} expressions, "
        f"{prior['mixed']:.0%} sums of both; {min(prior['dimensions'])} to {max(prior['dimensions'])} parameters",
        "Steps": f"{info['steps']:,} ({info['tokens']:,} tokens, {info['training_minutes']:.0f} minutes)",
        "Validation loss": f"{info['validation_loss']:.3f} nats a counted token "
        f"(a uniform guess: {info['uninformed_loss']:.3f})",
        "Sampling": f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, "
        f"exploration {sampling.exploration:g}, margin {sampling.margin:g}, "
        f"at most {sampling.context_trials} past trials shown",
        "Configuration": f"`{info['run_digest']}` (in `config.json`), vocabulary in `{VOCABULARY}`",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"# {info['name']}\n\n| | |\n| --- | --- |\n{table}\n\n## Limits\n\n{limits.strip()}\n"
