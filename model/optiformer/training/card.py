"""Release of a surrogate checkpoint: bf16 weights and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optiformer.files import WEIGHTS
from optiformer.surrogate.checkpoint import load, save

CARD = "README.md"


def ship(
    best: str | Path, target: str | Path, *, date: str, hardware: str, command: str, figures: str, limits: str
) -> Path:
    """Write a checkpoint in bf16 with a model card.

    Args:
        best: The ``best`` folder of a run.
        target: Destination.
        date: Date of the training.
        hardware: Hardware of the training.
        command: Command of the training.
        figures: Measured performance and how it was measured; Markdown.
        limits: Limitations; Markdown.

    Returns:
        The target folder.
    """
    found = load(best)
    info = {**found.info, "date": date, "hardware": hardware, "command": command}
    save(target, found.weights, found.encoding, found.config, info=info, bf16=True)
    (Path(target) / CARD).write_text(card(info, figures, limits, Path(target)))
    return Path(target)


def card(info: dict[str, Any], figures: str, limits: str, folder: Path) -> str:
    """The model card's text."""
    encoding = info["run"]["surrogate"]
    prior, size = encoding["prior"], (folder / WEIGHTS).stat().st_size / 2**20
    rows = {
        "Trained": f"{info['date']}, on {info['hardware']}",
        "Command": f"`{info['command']}`",
        "Network": f"Llama over sets of trials, {info['parameters']:,} parameters, {size:.1f} MiB in bf16",
        "Data": f"{_recorded(encoding.get('recorded', {}))}synthetic functions, drawn as they are needed: "
        f"{prior['gp']:.0%} Gaussian processes, "
        f"{prior['valleys']:.0%} valleys, {prior['trees']:.0%} trees, {prior['mlp']:.0%} perceptrons, "
        f"{prior['symbolic']:.0%} expressions; "
        f"{min(prior['dimensions'])} to {max(prior['dimensions'])} parameters, 2 to {encoding['max_trials']} trials",
        "Steps": f"{info['steps']:,} ({info['tokens']:,} positions, {info['training_minutes']:.0f} minutes)",
        "Validation loss": f"{info['validation_loss']:.3f} nats a candidate over {encoding['bins']} bins "
        f"(a uniform guess: {info['uninformed_loss']:.3f})",
        "Configuration": f"`{info['run_digest']}` (in `config.json`)",
    }
    if info["run"]["train"].get("start"):
        rows["Steps"] += f", after those of the checkpoint `{info['run']['train']['start']}`"
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    parts = f"## Figures\n\n{figures.strip()}\n\n## Limits\n\n{limits.strip()}\n"
    return f"# {info['name']}\n\n| | |\n| --- | --- |\n{table}\n\n{parts}"


def _recorded(settings: dict[str, Any]) -> str:
    if not settings.get("share"):
        return ""
    left_out = f" without the learners of the group {settings['left_out']}" if settings["left_out"] else ""
    return f"recorded tunings{left_out} for {settings['share']:.0%} of the histories; the others are of "
