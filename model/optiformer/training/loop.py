"""The training loop, shared by both networks.

``optibench train CONFIG.yaml`` calls :func:`main`. Under ``torchrun`` the batches are split among the processes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from optiformer import cores
from optiformer.errors import ModelError
from optiformer.sequence.network import count_parameters
from optiformer.sequence.trajectories import generate
from optiformer.training import encodings
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.encoding import Encoding
from optiformer.training.log import PEAK_FLOPS, TrainingLog
from optiformer.training.precision import chosen
from optiformer.training.schedules import learning_rate, momentum
from optiformer.training.state import Progress, load_state, save_state


def main(
    config_path: str | Path,
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    minutes: float | None = None,
    processes: int = 1,
    progress: bool = True,
) -> Path:
    """Generate missing data, train, and return the folder of the best checkpoint.

    Args:
        config_path: A YAML file; see ``model/optiformer/configs/``.
        out: Folder of checkpoints, logs and the loss curve; ``runs/<name>`` by default. Training resumes there.
        data: The dataset's folder; ``<out>/data`` by default.
        minutes: Overrides the configuration's time limit.
        processes: Number of processes that generate data.
        progress: Whether to print progress.

    Raises:
        ModelError: The configuration is invalid or training failed; the message says what to do.
    """
    run = RunConfig.load(config_path)
    out = Path(out) if out is not None else Path("runs") / run.name
    data = Path(data) if data is not None else out / "data"
    if _rank() == 0 and run.encoding in encodings.NEED_DATA:
        generate(run.data, data, processes=processes, progress=progress)
    return train(run, data, out, minutes=minutes, progress=progress)


def train(
    run: RunConfig,
    data: Path,
    out: Path,
    *,
    minutes: float | None = None,
    progress: bool = True,
    steps: int | None = None,
) -> Path:
    """Train a network on a dataset; resumes if ``out`` holds checkpoints of the same configuration.

    Args:
        run: The configuration.
        data: The dataset's folder.
        out: Folder of checkpoints, logs and the loss curve.
        minutes: Overrides the configuration's time limit.
        progress: Whether to print progress.
        steps: Stop after this many total steps with a checkpoint; the schedule is unchanged.

    Returns:
        ``out / "best"``, loadable by :func:`optiformer.sequence.network.load`.

    Raises:
        ModelError: The loss became NaN, or the checkpoints have a different configuration.
    """
    config, digest = run.train, replace(run, train=replace(run.train, precision="auto")).digest()
    minutes = config.minutes if minutes is None else minutes
    device = _device(config)
    config = replace(config, precision=chosen(config.precision, device))
    torch.set_num_threads(config.threads or min(torch.get_num_threads(), cores.usable()))
    world = _start_workers(device)
    encoding, wrap = encodings.get(run, data)

    network = encoding.build().to(device)
    module = wrap(network)
    if world > 1:
        module = torch.nn.parallel.DistributedDataParallel(module)
    optimizer = torch.optim.AdamW(
        parameter_groups(network, config), lr=config.learning_rate, betas=(0.9, config.beta2), eps=1e-9
    )
    scaler = torch.amp.GradScaler(enabled=config.precision == "fp16" and device == "cuda")
    ema = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    state = load_state(out / "checkpoints", digest, network, optimizer, ema)
    resumed = state is not None
    state = state or Progress(run_digest=digest)
    scaler.load_state_dict(state.scale) if state.scale else None
    log = TrainingLog(out, run, count_parameters(network), encoding.uninformed_loss, quiet=not progress or _rank() > 0)
    log.start(state, device, config.precision, resumed=resumed)
    stream = _share(encoding.batches("train", state.place), world)
    last_saved = time.monotonic()

    while not _finished(state, config, minutes) and (steps is None or state.step < steps):
        started = time.monotonic()
        rate = learning_rate(config, _share_done(state, config, minutes))
        for group in optimizer.param_groups:
            group["lr"] = rate
            group["betas"] = (momentum(config, _share_done(state, config, minutes)), config.beta2)
        loss, tokens, place = accumulate(encoding, module, stream, scaler, config, device)
        if not math.isfinite(loss):
            raise ModelError(
                f"The loss became {loss} at step {state.step + 1}; the last good checkpoint is kept in "
                f"{out / 'checkpoints'}: lower train.learning_rate and start again."
            )
        scaler.unscale_(optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.precisions[config.precision] = state.precisions.get(config.precision, 0) + 1
        update_ema(ema, network, min(config.ema, (1 + state.step) / (10 + state.step)))
        state.place = place
        state.tokens += tokens * world
        seconds = _of_first(time.monotonic() - started, device, world)
        state.seconds += seconds
        log.step(state, loss, rate, norm, tokens * world, seconds)

        over = _finished(state, config, minutes) or state.step == steps
        if state.step % config.validate_every == 0 or over:
            held_out = validate(encoding, module, network, ema, config, device)
            log.validation(state, held_out)
            if held_out < state.best:
                state.best, state.best_step, state.stale = held_out, state.step, 0
                if _rank() == 0:
                    export(run, encoding, out / "best", ema, state, log.summary())
            else:
                state.stale += 1
                over = over or _finished(state, config, minutes)  # early stopping
        if config.snapshots and state.step % config.snapshots == 0 and _rank() == 0:
            export(run, encoding, out / f"step-{state.step}", ema, state, log.summary())
        if over or time.monotonic() - last_saved > 60 * config.checkpoint_minutes:
            state.scale = scaler.state_dict() if scaler.is_enabled() else {}
            if _rank() == 0:
                save_state(out / "checkpoints", state, network, optimizer, ema)
                log.plot()
            last_saved = time.monotonic()

    log.end(state)
    if world > 1:
        torch.distributed.barrier()  # the first process may still be writing
    if not (out / "best").exists():
        raise ModelError(f"No validation loss was finite in {out}; lower train.learning_rate and start again.")
    return out / "best"


def parameter_groups(network: Any, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices, and for norms and biases only without ``decay_groups``."""
    matrices = [p for p in network.parameters() if p.dim() >= 2]
    others = [p for p in network.parameters() if p.dim() < 2]
    small = 0.0 if config.decay_groups else config.weight_decay
    return [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": small}]


def accumulate(
    encoding: Encoding,
    module: Any,
    stream: Iterator[tuple[Any, dict[str, int]]],
    scaler: torch.amp.GradScaler,
    config: TrainConfig,
    device: str,
) -> tuple[float, int, dict[str, int]]:
    """Accumulate the gradient of ``accumulation`` micro-batches; returns mean loss, tokens and the next position."""
    total, weight, tokens = 0.0, 0.0, 0
    place: dict[str, int] = {}
    for _ in range(config.accumulation):
        batch, place = next(stream)
        with _autocast(config, device):
            loss = encoding.loss(module, batch, device)
        mean = loss.total / loss.weight.clamp(min=1e-6)
        scaler.scale(mean / config.accumulation).backward()  # type: ignore[no-untyped-call]
        total, weight = total + float(loss.total.detach()), weight + float(loss.weight)
        tokens += loss.tokens
    return total / max(weight, 1e-6), tokens, place


@torch.no_grad()
def validate(
    encoding: Encoding, module: Any, network: Any, ema: dict[str, Any], config: TrainConfig, device: str
) -> float:
    """Loss of the averaged weights on a fixed set of held-out batches."""
    trained = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if config.ema:
        network.load_state_dict(ema)
    network.eval()
    total, weight = 0.0, 0.0
    stream = encoding.batches("validation", None)
    for _ in range(config.validation_batches):
        batch, _ = next(stream)
        with _autocast(config, device):
            loss = encoding.loss(getattr(module, "module", module), batch, device)
        total, weight = total + float(loss.total), weight + float(loss.weight)
    network.load_state_dict(trained)
    network.train()
    return total / weight


def update_ema(ema: dict[str, Any], network: Any, decay: float) -> None:
    """Update the exponential moving average of the weights."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            ema[name].lerp_(tensor, 1 - decay) if tensor.is_floating_point() else ema[name].copy_(tensor)


def export(
    run: RunConfig,
    encoding: Encoding,
    folder: Path,
    weights: dict[str, Any],
    state: Progress,
    summary: dict[str, Any],
) -> Path:
    """Write the averaged weights as a checkpoint for inference."""
    info = {
        "name": run.name,
        "run_digest": run.digest(),
        "steps": state.step,
        "tokens": state.tokens,
        "training_minutes": round(state.seconds / 60, 2),
        "validation_loss": state.best,
        "precision": state.precision,
        **summary,
        "run": json.loads(json.dumps(asdict(run))),
    }
    return encoding.export(folder, weights, info)


def _autocast(config: TrainConfig, device: str) -> torch.autocast:
    dtype = torch.float16 if config.precision == "fp16" else torch.bfloat16
    # CUDA graphs cannot reuse autocast's cache of weights between calls.
    return torch.autocast(device, dtype=dtype, enabled=config.precision != "fp32", cache_enabled=device != "cuda")


def _device(config: TrainConfig) -> str:
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("train.device is cuda but this machine has none; set it to cpu or auto.")
    if config.precision == "fp16" and device != "cuda":
        raise ModelError("train.precision fp16 needs a GPU; use bf16 or fp32 on a CPU.")
    return device


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _start_workers(device: str) -> int:
    """Join the process group of ``torchrun``; returns the number of processes."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return world


def _of_first(number: float, device: str, world: int) -> float:
    """Broadcast the first process's number, so that all processes follow the same schedule."""
    if world == 1:
        return number
    shared = torch.tensor(number, dtype=torch.float64, device=device)
    torch.distributed.broadcast(shared, 0)
    return float(shared)


def _share(stream: Iterator[tuple[Any, dict[str, int]]], world: int) -> Iterator[tuple[Any, dict[str, int]]]:
    """Every ``world``-th batch with the position after the whole group, so that all processes resume together."""
    while True:
        group = [next(stream) for _ in range(world)]
        yield group[_rank()][0], group[-1][1]


def _share_done(state: Progress, config: TrainConfig, minutes: float) -> float:
    by_steps = state.step / config.steps
    return max(by_steps, state.seconds / (60 * minutes)) if minutes else by_steps


def _finished(state: Progress, config: TrainConfig, minutes: float) -> bool:
    return _share_done(state, config, minutes) >= 1 or (0 < config.patience <= state.stale)


__all__ = ["PEAK_FLOPS", "main", "train"]
