"""Random tensors from one seeded generator, on its device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

#: A function of effective coordinates: (b, m, S) to (b, m).
Function = Callable[[torch.Tensor], torch.Tensor]


class RandomSource:
    """A seeded source of random tensors.

    Args:
        seed: Seed of the generator.
        device: Device of the tensors. The same seed gives different numbers on CPU and GPU.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Uniform between ``low`` and ``high``."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> torch.Tensor:
        """Uniform in the logarithm."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, *shape: int, of: float) -> torch.Tensor:
        """True with probability ``of``."""
        return self.uniform(*shape) < of

    def integer(self, *shape: int, below: int) -> torch.Tensor:
        """Uniform whole numbers in [0, below)."""
        return torch.randint(below, shape, generator=self.generator, device=self.device)

    def among(self, values: Sequence[float], *shape: int) -> torch.Tensor:
        """Elements of ``values``, equally likely."""
        return torch.tensor(values, device=self.device)[self.integer(*shape, below=len(values))]

    def kind(self, shares: Sequence[float], *shape: int) -> torch.Tensor:
        """Indices sampled with relative probabilities ``shares``."""
        edges = torch.tensor(shares, device=self.device, dtype=torch.float32).cumsum(0)
        return torch.bucketize(self.uniform(*shape) * edges[-1], edges[:-1].contiguous(), right=True)


def quantile(values: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Quantile of each row of (b, m) at that row's level (b, 1), linearly interpolated, (b, 1)."""
    ordered = values.sort(1).values
    place = share * (values.shape[1] - 1)
    low = place.floor().long().clamp(max=values.shape[1] - 2)
    return torch.lerp(ordered.gather(1, low), ordered.gather(1, low + 1), place - low)
