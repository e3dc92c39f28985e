"""Histories and candidates from recorded tuning runs, without a surrogate in between: all values were measured.

:func:`pack` makes one file from a folder that ``optibench_benchmarks.live.recorded`` wrote; only it reads search
spaces.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optiformer.errors import ModelError, command
from optiformer.settings import require
from optiformer.surrogate.history import OUTLIER_RATIO
from optiformer.surrogate.network.features import SlotKinds
from optiformer.surrogate.prior.mixture import MAX_NOISE, output_warp
from optiformer.surrogate.prior.random_source import RandomSource

#: Share of histories sampled uniformly from a surface, and the maximum preference of the others for good rows.
EVEN, GREED = 0.3, 6.0
MAX_CHOICES = 64
#: Minimum number of distinct values of a surface.
MIN_VALUES = 10


@dataclass(frozen=True, eq=False)
class Surfaces:
    """T recorded surfaces of N configurations each.

    Attributes:
        kinds: Types of their parameters, (T, S).
        position: Configurations in [0, 1], (T, N, S).
        active: Which parameters they have, (T, N, S).
        value: Values to minimize, (T, N); arbitrary for failures.
        failed: Which failed, (T, N).
        names: ``<learner>/<data set>/<score>`` of each.
        groups: Each one's group of learners.
    """

    kinds: SlotKinds
    position: torch.Tensor
    active: torch.Tensor
    value: torch.Tensor
    failed: torch.Tensor
    names: Sequence[str]
    groups: Sequence[str]

    @classmethod
    def load(cls, path: str | Path, columns: int, device: torch.device | str = "cpu") -> Surfaces:
        """Read what :func:`pack` wrote.

        Raises:
            ModelError: The file cannot be read or is not packed, or its surfaces have more parameters than ``columns``.
        """
        import safetensors
        from safetensors.numpy import load_file

        try:
            with safetensors.safe_open(path, "np") as file:
                labels = file.metadata() or {}
            require("groups" in labels, f"{path} holds no recorded surfaces; record and pack them.")
            content = load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise ModelError(f"The recorded surfaces {path} cannot be read ({error}); record and pack them.") from error
        widest = content["levels"].shape[1]
        if widest > columns:
            raise ModelError(f"{path} has surfaces of {widest} parameters, more than the {columns} of the prior.")
        task = content["task"]

        def per_surface(name: str) -> torch.Tensor:
            array = content[name][task]
            padding = [(0, 0)] * (array.ndim - 1) + [(0, columns - widest)]
            return torch.as_tensor(np.pad(array, padding), device=device)

        kinds = SlotKinds(per_surface("present"), per_surface("categorical"), per_surface("levels").float())
        value = torch.as_tensor(content["value"], device=device).float()
        failed = value.isnan()
        names, groups = json.loads(labels["names"]), json.loads(labels["groups"])
        groups = [groups[i] for i in task]
        position, active = per_surface("position").float(), per_surface("active")
        return cls(kinds, position, active, value.nan_to_num(0.0), failed, names, groups)

    def of(self, rows: torch.Tensor) -> Surfaces:
        """A subset, by index."""
        kinds = SlotKinds(self.kinds.present[rows], self.kinds.categorical[rows], self.kinds.levels[rows])
        tensors = self.position[rows], self.active[rows], self.value[rows], self.failed[rows]
        numbers = rows.tolist() if rows.device.type == "cpu" else []  # on a GPU reading the indices would synchronize
        return Surfaces(kinds, *tensors, [self.names[i] for i in numbers], [self.groups[i] for i in numbers])

    def split(self, group: str) -> tuple[Surfaces, Surfaces]:
        """The surfaces outside a group of learners and those in it; ``mixed`` ones are in neither.

        Raises:
            ModelError: No surface belongs to the group.
        """
        known = sorted({*self.groups} - {"mixed"})
        require(
            not group or group in known, f"No recorded surface is of the group {group!r}, only of {', '.join(known)}."
        )
        kept = [i for i, each in enumerate(self.groups) if each not in (group, *(["mixed"] if group else []))]
        left = [i for i, each in enumerate(self.groups) if each == group]
        device = torch.device("cpu")
        return self.of(torch.tensor(kept, device=device)), self.of(torch.tensor(left, dtype=torch.long, device=device))

    def to(self, device: str) -> Surfaces:
        """A copy on a device."""
        kinds = SlotKinds(*(t.to(device) for t in (self.kinds.present, self.kinds.categorical, self.kinds.levels)))
        position, active, value, failed = (t.to(device) for t in (self.position, self.active, self.value, self.failed))
        return replace(self, kinds=kinds, position=position, active=active, value=value, failed=failed)

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True, eq=False)
class Rows:
    """B histories and their candidates, before the score transform.

    Attributes:
        kinds: Types of the parameters, (B, S).
        trials: Past trials in [0, 1], (B, n, S).
        trials_active: Which parameters they have, (B, n, S).
        observed: Their values, (B, n).
        failed: Which of them failed, (B, n).
        queries: Candidates in [0, 1], (B, q, S).
        queries_active: Which parameters they have, (B, q, S).
        answers: Their values, (B, q).
        fails: Which of them fail, (B, q).
    """

    kinds: SlotKinds
    trials: torch.Tensor
    trials_active: torch.Tensor
    observed: torch.Tensor
    failed: torch.Tensor
    queries: torch.Tensor
    queries_active: torch.Tensor
    answers: torch.Tensor
    fails: torch.Tensor


def sample_rows(
    draw: RandomSource, surfaces: Surfaces, count: int, n: int, q: int, *, noisy: float, changed: bool = True
) -> Rows:
    """Sample histories of n rows and q other rows as candidates from random surfaces.

    Args:
        draw: The source of random numbers.
        surfaces: The surfaces.
        count: Number of histories.
        n: Trials per history; ``n + q`` must not exceed the rows of a surface.
        q: Candidates per history.
        noisy: Probability of observation noise.
        changed: Whether to augment surfaces: mirrored parameters, permuted choices, warped values.

    Raises:
        ModelError: The surfaces have too few rows.
    """
    rows = surfaces.value.shape[1]
    require(n + q <= rows, f"A history of {n} trials and {q} candidates needs {n + q} recorded rows, not {rows}.")
    chosen = surfaces.of(draw.integer(count, below=len(surfaces)))
    position = _mirrored(draw, chosen) if changed else chosen.position
    value = _standardised(chosen.value, chosen.failed)
    if changed:
        value = _standardised(output_warp(draw, lambda _: value, value, count)(value), chosen.failed)
    noise = draw.log_uniform(count, 1, low=0.003, high=MAX_NOISE) * draw.chance(count, 1, of=noisy)
    value = value + noise * draw.normal(*value.shape)
    rank = torch.where(chosen.failed, torch.inf, chosen.value).argsort(1).argsort(1) / value.shape[1]
    greed = draw.uniform(count, 2, high=GREED) * ~draw.chance(count, 2, of=EVEN)
    # Rows with the largest keys are a weighted sample without replacement (Efraimidis & Spirakis, 2006).
    key = -greed[:, :1] * rank + _gumbel(draw, value.shape)
    succeeds = torch.where(chosen.failed, -torch.inf, _gumbel(draw, value.shape)).argmax(1, keepdim=True)
    key = key.scatter(1, succeeds, torch.inf)  # at least one trial succeeds
    history = key.topk(n, 1).indices
    key = (-greed[:, 1:] * rank + _gumbel(draw, value.shape)).scatter(1, history, -torch.inf)
    rest = key.topk(q, 1).indices

    def of(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        wide = rows[..., None].expand(-1, -1, position.shape[2])
        return (
            position.gather(1, wide),
            chosen.active.gather(1, wide),
            value.gather(1, rows),
            chosen.failed.gather(1, rows),
        )

    return Rows(chosen.kinds, *of(history), *of(rest))


def _gumbel(draw: RandomSource, shape: torch.Size) -> torch.Tensor:
    return -(-draw.uniform(*shape, low=1e-9, high=1 - 1e-7).log()).log()


def _standardised(value: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """Standardised over successful rows; failed rows are 0."""
    counted = (~failed).to(value.dtype)
    share = counted / counted.sum(1, keepdim=True).clamp(min=1)
    away = (value - (value * share).sum(1, keepdim=True)) * counted
    return away / (away.square() * share).sum(1, keepdim=True).sqrt().clamp(min=1e-9)


def _mirrored(draw: RandomSource, surfaces: Surfaces) -> torch.Tensor:
    """Positions with some numeric parameters mirrored and all choices permuted."""
    kinds, (count, _, slots) = surfaces.kinds, surfaces.position.shape
    turned = draw.chance(count, 1, slots, of=0.5)
    position = torch.where(turned, 1 - surfaces.position, surfaces.position)
    levels = kinds.levels[:, None].clamp(1, MAX_CHOICES)
    place = torch.arange(MAX_CHOICES, device=draw.device)
    key = draw.uniform(count, slots, MAX_CHOICES) + (place >= kinds.levels[..., None])
    order = key.argsort(-1)  # (B, S, choices), existing choices first
    index = (surfaces.position * levels).long().clamp(0, MAX_CHOICES - 1)
    renamed = (order.gather(2, index.transpose(1, 2)).transpose(1, 2) + 0.5) / levels
    position = torch.where(kinds.categorical[:, None], renamed, position)
    return torch.where(surfaces.active, position, surfaces.position) * kinds.present[:, None]


def pack(folder: Path, path: Path, *, rows: int) -> int:
    """Pack recorded tasks with at least ``rows`` rows each into one file; returns the number of surfaces.

    A task has a surface for each score that is finite wherever any score is, and that has at least
    :data:`MIN_VALUES` distinct values.

    Raises:
        ModelError: The folder has no such task, or a damaged one.
    """
    from ConfigSpace import ConfigurationSpace
    from safetensors.numpy import save_file

    from optiformer.space.space import Space
    from optiformer.space.unit_space import UnitSpace

    tasks: list[dict[str, Any]] = []
    surfaces: list[tuple[int, str, np.ndarray[Any, Any]]] = []
    for file in sorted(folder.glob("*/*.jsonl")):
        try:
            head, *lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
        except ValueError as error:  # cut off, empty, or no JSON
            raise ModelError(f"{file} is no recording ({error}); delete it and record it again.") from error
        if len(lines) < rows:
            continue
        space = UnitSpace(Space.from_configspace(ConfigurationSpace.from_serialized_dict(head["space"])))
        pairs = [space.position(line["config"]) for line in lines[:rows]]
        whole = {"levels": space.levels, "categorical": space.categorical, "group": head["group"]}
        tasks.append(whole | {"position": np.array([p for p, _ in pairs]), "active": np.array([a for _, a in pairs])})
        names = sorted({name for line in lines for name in line["scores"]})
        some = np.array([bool(line["scores"]) for line in lines[:rows]])
        for name in names:
            value = np.array([-line["scores"].get(name, math.nan) for line in lines[:rows]])
            if not np.isfinite(value[some]).all():
                continue
            away = value - np.nanmin(value)
            if np.nanmedian(away) > 0:  # as at inference: outliers count as failures
                value = np.where(away > OUTLIER_RATIO * np.nanmedian(away), math.nan, value)
            if len(np.unique(value[np.isfinite(value)])) >= MIN_VALUES:
                surfaces.append((len(tasks) - 1, f"{head['learner']}/{head['data']}/{name}", value))
    if not surfaces:
        raise ModelError(f"{folder} has no recorded task of {rows} configurations; record more or ask for fewer rows.")
    widest = max(len(task["levels"]) for task in tasks)

    def stacked(name: str, dtype: Any) -> np.ndarray[Any, Any]:
        arrays = [np.asarray(task[name]) for task in tasks]
        return np.stack([np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, widest - a.shape[-1])]) for a in arrays]).astype(
            dtype
        )

    arrays = {
        "present": np.array([np.arange(widest) < len(task["levels"]) for task in tasks]),
        "categorical": stacked("categorical", bool),
        "levels": stacked("levels", np.float32),
        "position": stacked("position", np.float32),
        "active": stacked("active", bool),
        "task": np.array([task for task, _, _ in surfaces]),
        "value": np.stack([value for _, _, value in surfaces]).astype(np.float32),
    }
    labels = {"groups": [task["group"] for task in tasks], "names": [name for _, name, _ in surfaces]}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={name: json.dumps(texts) for name, texts in labels.items()})
    return len(surfaces)


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack a folder of recorded tasks."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.surrogate.prior.recorded", description=pack.__doc__)
    parser.add_argument("folder", type=Path, help="what was recorded")
    parser.add_argument("file", type=Path, help="the file to write, *.safetensors")
    parser.add_argument("--rows", type=int, default=256, help="of each task; tasks with fewer are left out")
    given = parser.parse_args(arguments)
    print(f"{given.file}: {pack(given.folder, given.file, rows=given.rows)} surfaces.")


if __name__ == "__main__":
    command(main)
