"""Reads the committed results for the pages, and words their numbers."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from optibench.store.to_results import load
from optibench_reports.stats.comparison import TIE
from optibench_reports.stats.tests import holm, signed_rank, tolerant_sign

ROOT = Path(__file__).parents[2]


@functools.cache
def trials(*grids: str) -> pd.DataFrame:
    """The trials of committed grids with the regret clipped at 0."""
    found = pd.concat([load(ROOT / "results" / name).trials for name in grids])
    return found.astype({"task": str, "optimizer": str}).assign(regret=found.regret.clip(lower=0))


@functools.cache
def at(grid: str, n: int) -> pd.DataFrame:
    """Mean regret after n trials, tasks by optimizers."""
    found = trials(grid)
    return found[found.trial == n - 1].groupby(["task", "optimizer"]).regret.mean().unstack()


@dataclass(frozen=True)
class Versus:
    """One optimizer against another over tasks, as in a report: a tie is a difference of at most ``TIE``."""

    wins: int
    ties: int
    losses: int
    p: float

    @classmethod
    def of(cls, tasks: pd.DataFrame, rival: str, ours: str = "optiformer") -> Versus:
        x, y = tasks[ours].to_numpy(), tasks[rival].to_numpy()
        difference = np.where(tolerant_sign(x, y) == 0, 0.0, x - y)
        wins, losses = int((difference < -TIE).sum()), int((difference > TIE).sum())
        return cls(wins, len(difference) - wins - losses, losses, signed_rank(difference).p)

    def __str__(self) -> str:
        return f"{self.wins} / {self.ties} / {self.losses}"


def adjusted(tasks: pd.DataFrame, ours: str = "optiformer") -> dict[str, float]:
    """Holm's p of everyone against ``ours``."""
    rivals = [name for name in tasks if name != ours]
    return dict(zip(rivals, holm(np.array([Versus.of(tasks, name, ours).p for name in rivals])), strict=True))


def p_value(p: float, digits: int = 0) -> str:
    if p < 1e-4:
        return "< .0001"
    return f"{p:.{digits or (4 if p < 1e-3 else 3 if p < 0.1 else 2)}f}".removeprefix("0")


def three_digits(number: float) -> str:
    if number < 0.1:
        return f"{number:.1g}"
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    head = list(header)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(re.sub(r"\|  (?=\|)", "| ", f"| {' | '.join(map(str, line))} |") for line in lines)


def names(words: Iterable[str]) -> str:
    *first, last = [f"`{word}`" for word in words]
    return f"{', '.join(first)} and {last}" if first else last
