"""Log of a training run: progress on the terminal, ``log.jsonl``, ``loss.png``, throughput."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from optiformer.training.config import RunConfig
from optiformer.training.state import Progress

#: Dense bf16 peak of some devices in FLOP/s, by a substring of the device name.
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12}


class TrainingLog:
    """Writes and prints a run's progress.

    Args:
        out: The run's folder.
        run: Its configuration.
        n_parameters: The network's size.
        uninformed_loss: Loss of a uniform prediction, in nats.
        quiet: Print and write nothing (in all but the first process of a data-parallel run).
    """

    def __init__(self, out: Path, run: RunConfig, n_parameters: int, uninformed_loss: float, *, quiet: bool) -> None:
        self.out, self.run, self.quiet = out, run, quiet
        self.n_parameters, self.uninformed_loss = n_parameters, uninformed_loss
        self.peak: float | None = None
        self._recent: list[tuple[float, int, float]] = []
        self._first_loss: float | None = None
        self._printed = 0.0
        out.mkdir(parents=True, exist_ok=True)

    def start(self, state: Progress, device: str, precision: str, *, resumed: bool) -> None:
        """Print the run's settings and any change of precision."""
        if device == "cuda":
            import torch

            name = torch.cuda.get_device_name()
            self.peak = next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)
        self._print(
            f"{self.run.name}: {self.n_parameters:,} parameters on {device} in {precision}, "
            f"loss of a guess {self.uninformed_loss:.2f}" + (f", resumed at step {state.step}" if resumed else "")
        )
        if set(state.precisions) - {precision}:
            self._print(f"Trained so far in {state.precision}; training goes on in {precision}.")

    def step(self, state: Progress, loss: float, rate: float, norm: float, tokens: int, seconds: float) -> None:
        """Record a step; print about every ten seconds."""
        self._first_loss = loss if self._first_loss is None else self._first_loss
        self._recent = [*self._recent[-49:], (loss, tokens, seconds)]
        self._write({"step": state.step, "loss": loss, "lr": rate, "norm": norm, "seconds": state.seconds})
        if time.monotonic() - self._printed > 10:
            self._printed = time.monotonic()
            mean = sum(entry[0] for entry in self._recent) / len(self._recent)
            self._print(f"step {state.step}  loss {mean:.3f}  lr {rate:.1e}  {self.throughput()}")

    def validation(self, state: Progress, loss: float) -> None:
        """Record a validation."""
        entry = {"step": state.step, "validation_loss": loss, "seconds": state.seconds, "precision": state.precision}
        self._write(entry)
        self._print(f"step {state.step}  validation {loss:.4f} (best before {state.best:.4f})")

    def tokens_per_second(self) -> float:
        """Tokens per second over the last fifty steps."""
        seconds = sum(entry[2] for entry in self._recent)
        return sum(entry[1] for entry in self._recent) / seconds if seconds else 0.0

    def throughput(self) -> str:
        """Tokens per second, and the fraction of the device's peak if known (6 FLOP per parameter and token)."""
        rate = self.tokens_per_second()
        share = f", {6 * self.n_parameters * rate / self.peak:.1%} of peak" if self.peak else ""
        return f"{rate:,.0f} tokens/s{share}"

    def summary(self) -> dict[str, Any]:
        """Figures for the model card."""
        recent = [entry[0] for entry in self._recent]
        return {
            "parameters": self.n_parameters,
            "uninformed_loss": self.uninformed_loss,
            "training_loss": sum(recent) / len(recent) if recent else None,
            "tokens_per_second": round(self.tokens_per_second(), 1),
        }

    def end(self, state: Progress) -> None:
        """Print the result."""
        self._print(
            f"{self.run.name}: {state.step} steps, {state.tokens:,} tokens in {state.seconds / 60:.1f} minutes, "
            f"best validation {state.best:.4f} at step {state.best_step}, {self.throughput()}"
        )

    def plot(self) -> None:
        """Plot ``loss.png`` from ``log.jsonl``."""
        path = self.out / "log.jsonl"
        if self.quiet and not path.exists():
            return
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        entries = [json.loads(line) for line in path.read_text().splitlines()]
        figure = Figure(figsize=(6, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for key, label in (("loss", "training"), ("validation_loss", "validation (averaged weights)")):
            points = [(entry["step"], entry[key]) for entry in entries if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, linewidth=0.8 if key == "loss" else 1.8)
        axes.axhline(self.uninformed_loss, color="grey", linestyle=":", label="uniform guess")
        axes.set(xlabel="step", ylabel="loss (nats per token)", title=self.run.name)
        axes.legend()
        figure.savefig(self.out / "loss.png", dpi=120)

    def _print(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def _write(self, entry: dict[str, Any]) -> None:
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
