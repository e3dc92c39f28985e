"""Schedules of the learning rate and, with ``onecycle``, of AdamW's first decay."""

from __future__ import annotations

import math

from optiformer.training.config import TrainConfig

START, END = 1 / 25, 1 / 250_000
"""Initial and final rate of ``onecycle`` as fractions of the peak."""


def learning_rate(config: TrainConfig, done: float) -> float:
    """Learning rate at the fraction ``done`` of the run."""
    if config.schedule == "onecycle":
        return config.learning_rate * _cycle(config, done, START, 1.0, END)
    if done < config.warmup:
        return config.learning_rate * max(done, 1e-3) / config.warmup
    if config.schedule == "constant":
        left = min((1 - done) / config.cooldown, 1.0) if config.cooldown else 1.0
        return config.learning_rate * (config.final_rate + (1 - config.final_rate) * max(left, 0.0))
    cosine = 0.5 * (1 + math.cos(math.pi * min((done - config.warmup) / max(1 - config.warmup, 1e-9), 1.0)))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)


def momentum(config: TrainConfig, done: float) -> float:
    """AdamW's first decay, which ``onecycle`` varies inversely to the learning rate."""
    return _cycle(config, done, 0.95, 0.85, 0.95) if config.schedule == "onecycle" else 0.9


def _cycle(config: TrainConfig, done: float, start: float, peak: float, end: float) -> float:
    """Half cosines from ``start`` to ``peak`` at ``warmup`` and on to ``end``."""
    rising = done < config.warmup
    share = done / config.warmup if rising else min((done - config.warmup) / (1 - config.warmup), 1.0)
    first, last = (start, peak) if rising else (peak, end)
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
