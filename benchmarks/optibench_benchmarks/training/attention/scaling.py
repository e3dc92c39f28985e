"""How an attention's loss falls with the model's size: train four sizes, fit a line, the fitness is its negative slope.

The line is ``loss = a + b log(parameters)``, least squares over the sizes, loss in nats per byte; the fitness is
``-b``, which is larger for an attention that gains more from a larger model. It does not depend on ``a``: an attention
that is bad at every size but worst at the smallest has a high fitness, so the losses are reported too. Imports
torch when called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.training.attention.tasks import SIZES, source
from optibench_benchmarks.training.base import Curve
from optibench_benchmarks.training.text import text

if TYPE_CHECKING:
    from optibench_benchmarks.training.attention.network import Mix

SHAPES = ((16, 2, 4), (32, 2, 4), (48, 2, 4), (64, 2, 4))
"""Width, layers and heads of the four."""
CONFIG: Mapping[str, Any] = {"learning_rate": 5e-3, "warmup": 0.1, "weight_decay": 0.1, "batch_size": 16}


@dataclass(frozen=True)
class Law:
    """A fitted line.

    Attributes:
        parameters, losses: Of the sizes, smallest first.
        slope: ``b``, nats per byte for each e-fold of parameters; negative where larger models are better.
        intercept: ``a``.
        r2: The share of the losses' variance that the line explains.
        fitness: ``-slope``.
    """

    parameters: tuple[int, ...]
    losses: tuple[float, ...]
    slope: float
    intercept: float
    r2: float
    fitness: float

    def plain(self) -> dict[str, Any]:
        """As a mapping that JSON can hold."""
        return asdict(self)


def fit(parameters: Sequence[int], losses: Sequence[float]) -> Law:
    """Fit the line.

    Raises:
        BenchmarkError: There are fewer than three different sizes, or a loss is not finite.
    """
    x, y = np.log(np.asarray(parameters, dtype=float)), np.asarray(losses, dtype=float)
    if len(set(parameters)) < 3 or not np.isfinite(y).all():
        raise BenchmarkError(
            f"A scaling law needs finite losses of at least 3 sizes, not {list(zip(x, y, strict=True))}."
        )
    slope, intercept = np.polyfit(x, y, 1)
    spread = float(((y - y.mean()) ** 2).sum())
    left = float(((y - intercept - slope * x) ** 2).sum())
    r2 = 1 - left / spread if spread > 0 else 0.0
    return Law(tuple(parameters), tuple(losses), float(slope), float(intercept), r2, float(-slope))


def measure(
    mix: Mix,
    *,
    seed: int = 0,
    config: Config = CONFIG,
    epochs: int | None = None,
    suffix: str = "",
) -> Law:
    """Train an attention in every size and fit its line.

    Args:
        mix: The attention's.
        seed: Of all trainings.
        config: Of all trainings.
        epochs: Of all trainings; the task's if ``None``.
        suffix: Which stories and windows: a key of :data:`optibench_benchmarks.training.attention.tasks.SIZES`.

    Raises:
        DivergedError: A training's loss is no longer finite.
        AttentionError: The attention breaks its contract.
    """
    from optibench_benchmarks.training.attention.training import train

    size = SIZES[suffix]
    encoded = text.encode(source(suffix), size.vocabulary)
    epochs = size.epochs if epochs is None else epochs
    parameters, losses = [], []
    for shape in SHAPES:
        found = train(
            encoded,
            mix,
            config,
            seed,
            {"epochs": epochs, "data_fraction": 1.0},
            shape=shape,
            length=size.length,
            epochs=epochs,
            curve=Curve("epoch", epochs),
        )
        parameters.append(int(found.info["parameters"]))
        losses.append(found.value)
    return fit(parameters, losses)
