"""Plots of the prior: ``python -m optiformer.surrogate.prior.picture FOLDER`` writes one per family and one of
histories."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from optiformer.surrogate.config import FunctionPriorConfig
from optiformer.surrogate.prior.histories import history
from optiformer.surrogate.prior.mixture import FAMILIES, ProblemBatch, sample_problems
from optiformer.surrogate.prior.random_source import RandomSource

Array = NDArray[np.float32]
COLUMNS, SIDE, MANY = 5, 64, 40
PLAIN = {"dimensions": (2,), "unused": 0.0, "conditional": 0.0, "noisy": 0.0, "crashes": 0.0}


def draw_family(family: str, path: Path, *, seed: int = 0) -> Path:
    """Functions of two parameters of a family: four on continuous spaces, one with a grid or categories."""
    shares = {name: float(name == family) for name in FAMILIES}
    problems = sample_problems(RandomSource(seed), FunctionPriorConfig(**shares, **PLAIN), MANY, 2)  # type: ignore[arg-type]
    images = _images(problems)
    return _panels([images[row] for row in _rows(problems)], path)


def draw_histories(path: Path, *, seed: int = 3) -> Path:
    """Histories of 60 trials over their functions: clusters around elites, others elsewhere and at the boundary."""
    config = FunctionPriorConfig(gp=1.0, mlp=0.0, trees=0.0, valleys=0.0, symbolic=0.0, **PLAIN)  # type: ignore[arg-type]
    draw = RandomSource(seed)
    problems = sample_problems(draw, config, MANY, 2)
    trials, _ = history(draw, problems, 60)
    images, rows = _images(problems), _rows(problems)
    return _panels([images[row] for row in rows], path, [trials[row].numpy() for row in rows])


def _rows(problems: ProblemBatch) -> list[int]:
    discrete = (problems.space.kinds.levels > 0).any(1)
    smooth, stepped = ((discrete == kind).nonzero().flatten().tolist() for kind in (False, True))
    return [*smooth[: COLUMNS - 1], stepped[0]]


def _images(problems: ProblemBatch) -> list[Array]:
    axis = (torch.arange(SIDE) + 0.5) / SIDE
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(1, -1, 2)
    values = problems.function(problems.space.snap(grid.expand(len(problems.noise), -1, -1)))
    return [image.numpy() for image in values.view(-1, SIDE, SIDE)]


def _panels(images: list[Array], path: Path, points: list[Array] | None = None) -> Path:
    figure = Figure(figsize=(2 * COLUMNS, 2.1), layout="constrained")
    FigureCanvasAgg(figure)
    for column, image in enumerate(images):
        axes = figure.add_subplot(1, COLUMNS, column + 1)
        axes.imshow(image, origin="lower", extent=(0, 1, 0, 1), cmap="viridis_r")
        if points is not None:
            x, y = points[column].T
            axes.scatter(x, y, s=5, c="white", edgecolors="black", linewidths=0.4)
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=70)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all plots into a folder."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.surrogate.prior.picture", description=__doc__)
    parser.add_argument("folder", type=Path, help="created if missing")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        print(draw_family(family, folder / f"prior-{family}.png"))
    print(draw_histories(folder / "prior-histories.png"))


if __name__ == "__main__":
    main()
