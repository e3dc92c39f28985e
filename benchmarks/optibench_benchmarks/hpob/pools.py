"""The recorded pools: which there are, which of them count, and their rows.

``pools.csv`` has one line for each pool; ``python -m optibench_benchmarks.hpob.pools FILE`` writes it from the data.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.hpob.spaces import DATA_SETS, SPACES
from optibench_benchmarks.references.table import MAX_NEAR_BEST, NEAR_BEST

Array = NDArray[np.float64]

MIN_ROWS = 1000
"""Headlines leave out pools with fewer distinct rows."""
_FIELDS = ("name", "rows", "distinct", "near_best", "at_best")


@dataclass(frozen=True)
class Pool:
    """What is known of a pool without its data.

    Attributes:
        name: The task's name, ``hpob/<space>/<task>``.
        rows: The recorded rows.
        distinct: Those that differ in their configuration.
        near_best: The share of the distinct rows with a normalised regret below :data:`NEAR_BEST`.
        at_best: How many of them have the best value.
    """

    name: str
    rows: int
    distinct: int
    near_best: float
    at_best: int

    @property
    def space(self) -> str:
        """The number of its search space."""
        return self.name.split("/")[1]

    @property
    def learner(self) -> str:
        """The learner that was tuned."""
        return SPACES[self.space].learner

    @property
    def data_set(self) -> str:
        """The data set that it was tuned on."""
        return DATA_SETS[self.name.split("/")[2]]

    @property
    def left_out(self) -> str:
        """Why headlines leave it out, in a few words; empty if they do not."""
        if self.distinct < MIN_ROWS:
            return f"{self.distinct} distinct rows, fewer than {MIN_ROWS:,}"
        if self.near_best > MAX_NEAR_BEST:
            return f"{self.near_best:.1%} of the rows have a regret below {NEAR_BEST}, more than {MAX_NEAR_BEST:.0%}"
        return ""


@functools.cache
def pools() -> Mapping[str, Pool]:
    """Every pool by its name, in the order of spaces and tasks."""
    text = resources.files("optibench_benchmarks.hpob").joinpath("pools.csv").read_text(encoding="utf-8")
    found = (
        Pool(row["name"], int(row["rows"]), int(row["distinct"]), float(row["near_best"]), int(row["at_best"]))
        for row in csv.DictReader(io.StringIO(text))
    )
    return {pool.name: pool for pool in found}


def read(file: Path, name: str) -> tuple[Array, Array]:
    """The distinct rows of a pool: columns, shape ``(rows, columns)``, and accuracies; of equal rows the first."""
    with np.load(file) as content:
        table = content["_".join(name.split("/")[1:])].astype(np.float64)
    known = pools().get(name)
    if known is None or known.distinct < len(table):  # most pools have no equal rows, and this takes longest
        _, first = np.unique(table[:, :-1], axis=0, return_index=True)
        table = table[np.sort(first)]
    return table[:, :-1], table[:, -1]


def measure(file: Path) -> list[Pool]:
    """Measure all pools of the data; takes seconds."""
    with np.load(file) as content:
        sizes = {tuple(key.split("_")): len(content[key]) for key in content.files}
    found = []
    for space, task in sorted(sizes, key=lambda key: tuple(map(int, key))):
        name = f"hpob/{space}/{task}"
        _, values = read(file, name)
        regret = (values.max() - values) / (values.max() - np.median(values))
        near = round(float(np.mean(regret < NEAR_BEST)), 6)
        found.append(Pool(name, sizes[space, task], len(values), near, int(np.sum(regret == 0.0))))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``pools.csv`` from the data."""
    parser = argparse.ArgumentParser(prog="python -m optibench_benchmarks.hpob.pools", description=__doc__)
    parser.add_argument("file", type=Path, help="hpob_data.npz")
    measured = measure(parser.parse_args(arguments).file)
    with (Path(__file__).parent / "pools.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_FIELDS)
        writer.writerows([getattr(pool, field) for field in _FIELDS] for pool in measured)


if __name__ == "__main__":
    main()
