"""Training checkpoints for exact resumption, without pickles: tensors as safetensors, everything else as JSON."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from optiformer.errors import ModelError

KEEP = 2


@dataclass
class Progress:
    """Progress of a training run.

    Attributes:
        step: Optimizer steps done.
        seconds: Total training time.
        tokens: Tokens trained on.
        place: Position of the next batch; ``None`` at the start.
        best: The best validation loss so far.
        best_step: Step of the best validation loss.
        stale: Validations since then.
        scale: State of the fp16 loss scaler.
        run_digest: Digest of the configuration with any precision.
        precisions: Steps in each precision, which may change when another machine resumes.
    """

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    place: dict[str, int] | None = None
    best: float = float("inf")
    best_step: int = 0
    stale: int = 0
    scale: dict[str, Any] = field(default_factory=dict)
    run_digest: str = ""
    precisions: dict[str, int] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """``fp32``, or ``bf16 for 40 steps, fp32 for 60``."""
        several = [f"{name} for {n:,} step{'s' if n > 1 else ''}" for name, n in self.precisions.items()]
        return ", ".join(self.precisions if len(several) == 1 else several)


def save_state(
    folder: Path, progress: Progress, network: torch.nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Any]
) -> Path:
    """Write a checkpoint under a temporary name, rename it, and remove all but the newest two."""
    target = folder / f"step-{progress.step:08d}"
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"ema/{k}": v for k, v in ema.items()}
    moments = optimizer.state_dict()["state"]
    tensors |= {f"optimizer/{i}/{k}": torch.as_tensor(v) for i, state in moments.items() for k, v in state.items()}
    tensors["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng/cuda"] = torch.cuda.get_rng_state()
    # Safetensors refuses shared memory, so tied tables are copied.
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        save_file(whole, temporary / "state.safetensors")
        (temporary / "progress.json").write_text(json.dumps(asdict(progress)))
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)  # noqa: PTH105
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)
    return target


def load_state(
    folder: Path, run_digest: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Any]
) -> Progress | None:
    """Resume from the newest readable checkpoint; ``None`` if there is none.

    Raises:
        ModelError: The checkpoints have a different configuration.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            progress = Progress(**json.loads((path / "progress.json").read_text()))
            tensors = load_file(path / "state.safetensors")
        except (OSError, ValueError, TypeError, SafetensorError):
            continue  # incomplete after a kill or a full disk; try the previous one
        if progress.run_digest != run_digest:
            raise ModelError(f"{folder} holds checkpoints of another configuration; use another folder or delete them.")
        if progress.step and not progress.precisions:  # written by an older version
            progress.precisions = {"an unknown precision": progress.step}
        _restore(tensors, network, optimizer, ema)
        return progress
    return None


def _restore(
    tensors: dict[str, torch.Tensor],
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: dict[str, Any],
) -> None:
    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    network.load_state_dict(part("network/"))
    for name, tensor in part("ema/").items():
        ema[name].copy_(tensor)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in part("optimizer/").items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["rng/cpu"])
    if "rng/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng/cuda"])
