"""The data sets of ``live``, each cut once into rows to tune on and rows to test on: scikit-learn's own and KEEL's.

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

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks import data
from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.live import keel

Rows = tuple[NDArray[Any], NDArray[Any]]
"""Inputs of shape ``(n, features)`` and targets of shape ``(n,)``."""
SPLIT_SEED, FOLD_SEED = 1, 2
"""Seed of the cut and of the folds: part of every task, independent of the evaluation's seed."""


@dataclass(frozen=True)
class DataSet:
    """A data set and its split.

    Attributes:
        name: Its part of a task's name.
        files: Its files in scikit-learn; none for a table of KEEL.
        features: Columns.
        rows: Rows to tune on, by cross-validation; the model is refitted on all of them.
        test: Rows to test the refitted model on. ``rows`` and ``test`` together may be fewer than there are.
        folds: Folds of the cross-validation.
        classes: Number of classes; 0 if the targets are numbers. Of a table with more classes, the first by name.
        table: Its name in KEEL.
        balanced: Whether every class counts the same in the score, because one of them is rare.
    """

    name: str
    files: tuple[str, ...]
    features: int
    rows: int
    test: int
    folds: int
    classes: int
    table: str = ""
    balanced: bool = False

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers."""
        return self.classes == 0

    @property
    def score(self) -> str:
        """The value's name in scikit-learn."""
        return "r2" if self.regression else "balanced_accuracy" if self.balanced else "accuracy"

    def lacks(self) -> str | None:
        """Why the data is not here and how to get it; ``None`` if it is."""
        return data.lacking(keel.DATA) if self.table else None

    def version(self) -> str:
        """Identifies the data and its cut: origin, checksums of its files, rows and folds.

        Raises:
            BenchmarkError: A file cannot be read.
            MissingDataError: KEEL's tables are not on this machine.
        """
        cut = f"{self.rows} rows in {self.folds} folds, {self.test} to test"
        if self.table:
            return f"KEEL {self.table}, {data.version(keel.DATA)}, {cut}"
        found = importlib.util.find_spec("sklearn")  # without importing it, which takes a second
        (folder,) = (found and found.submodule_search_locations) or [""]
        try:
            sums = [data.checksum(Path(folder) / "datasets" / "data" / file)[:12] for file in self.files]
        except OSError as error:
            raise BenchmarkError(
                f"The data of {self.name} cannot be read: {error.strerror}: {error.filename}."
            ) from None
        return f"scikit-learn {self.name}, {' '.join(sums)}, {cut}"

    def load(self) -> tuple[Rows, Rows]:
        """The rows to tune on and the rows to test on."""
        return _load(self)


@functools.cache
def _load(which: DataSet) -> tuple[Rows, Rows]:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    if which.table:
        inputs, words = keel.read(which.table)
        targets = np.unique(words, return_inverse=True)[1]
        inputs, targets = inputs[targets < which.classes], targets[targets < which.classes]
    else:
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


def _table(name: str, features: int, rows: int, test: int, folds: int, classes: int = 2, **options: Any) -> DataSet:
    return DataSet(name, (), features, rows, test, folds, classes, **({"table": name} | options))


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
            _table("australian", 14, rows=300, test=300, folds=4),
            _table("bands", 19, rows=245, test=120, folds=4),
            _table("breast", 26, rows=187, test=90, folds=5),
            _table("bupa", 6, rows=230, test=115, folds=5),
            _table("car", 21, rows=400, test=400, folds=4, table="car-good", balanced=True),
            _table("chess", 38, rows=300, test=500, folds=4),
            _table("contraceptive", 9, rows=300, test=500, folds=4, classes=3),
            _table("dermatology", 34, rows=238, test=120, folds=4, table="dermatology-6", balanced=True),
            _table("german", 50, rows=300, test=500, folds=4),
            _table("ionosphere", 33, rows=231, test=120, folds=4),
            _table("led7digit", 7, rows=300, test=200, folds=3, classes=10),
            _table("letter", 16, rows=210, test=500, folds=3, classes=10),
            _table("magic", 10, rows=300, test=500, folds=4),
            _table("mammographic", 5, rows=300, test=500, folds=4),
            _table("monk-2", 6, rows=288, test=144, folds=4),
            _table("mushroom", 84, rows=300, test=500, folds=4),
        )
    }
)
