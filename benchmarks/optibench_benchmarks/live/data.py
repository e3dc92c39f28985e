"""The data sets of ``live``: scikit-learn's own, each cut once into rows to tune on and rows to test on.

These descriptions need no data, so that tasks and spaces are created without scikit-learn.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from optibench_benchmarks import data
from optibench_benchmarks.base import BenchmarkError

Rows = tuple[NDArray[Any], NDArray[Any]]
"""Inputs of shape ``(n, features)`` and targets of shape ``(n,)``."""
SPLIT_SEED, FOLD_SEED = 1, 2
"""Seed of the cut and of the folds: part of every task, independent of the evaluation's seed."""


@dataclass(frozen=True)
class DataSet:
    """A data set and its split.

    Attributes:
        name: Its part of a task's name.
        files: Its files in scikit-learn.
        features: Columns.
        rows: Rows to tune on, by cross-validation; the model is refitted on all of them.
        test: Rows to test the refitted model on. ``rows`` and ``test`` together may be fewer than there are.
        folds: Folds of the cross-validation.
        classes: Number of classes; 0 if the targets are numbers.
    """

    name: str
    files: tuple[str, ...]
    features: int
    rows: int
    test: int
    folds: int
    classes: int

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers."""
        return self.classes == 0

    @property
    def score(self) -> str:
        """The name of the value."""
        return "r2" if self.regression else "accuracy"

    def version(self) -> str:
        """Identifies the data and its cut: origin, checksums of its files, rows and folds.

        Raises:
            BenchmarkError: A file cannot be read.
        """
        found = importlib.util.find_spec("sklearn")  # without importing it, which takes a second
        (folder,) = (found and found.submodule_search_locations) or [""]
        try:
            sums = [data.checksum(Path(folder) / "datasets" / "data" / file)[:12] for file in self.files]
        except OSError as error:
            raise BenchmarkError(
                f"The data of {self.name} cannot be read: {error.strerror}: {error.filename}."
            ) from None
        return (
            f"scikit-learn {self.name}, {' '.join(sums)}, {self.rows} rows in {self.folds} folds, {self.test} to test"
        )

    def load(self) -> tuple[Rows, Rows]:
        """The rows to tune on and the rows to test on."""
        return _load(self)


@functools.cache
def _load(which: DataSet) -> tuple[Rows, Rows]:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    inputs, targets = getattr(datasets, f"load_{which.name}")(return_X_y=True)
    known, test, known_targets, test_targets = train_test_split(
        inputs,
        targets,
        train_size=which.rows,
        test_size=which.test,
        stratify=None if which.regression else targets,
        random_state=SPLIT_SEED,
    )
    return (known, known_targets), (test, test_targets)


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        each.name: each
        for each in (
            DataSet("breast_cancer", ("breast_cancer.csv",), features=30, rows=369, test=200, folds=4, classes=2),
            DataSet("digits", ("digits.csv.gz",), features=64, rows=300, test=300, folds=3, classes=10),
            DataSet("iris", ("iris.csv",), features=4, rows=100, test=50, folds=5, classes=3),
            DataSet("wine", ("wine_data.csv",), features=13, rows=118, test=60, folds=5, classes=3),
            DataSet(
                "diabetes",
                ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"),
                features=10,
                rows=302,
                test=140,
                folds=4,
                classes=0,
            ),
        )
    }
)
