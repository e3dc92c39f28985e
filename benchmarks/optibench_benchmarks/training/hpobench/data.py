"""The data sets of ``hpobench/ml``: four that scikit-learn ships, and OpenML's where their files are.

Split and preparation are HPOBench's (``hpobench/dependencies/ml/data_manager.py``): a tenth is test data, a third of
the rest validation data, both with the classes in proportion; numbers are imputed by the median and standardized,
categories imputed by the most frequent and one-hot encoded, all as fitted to the training rows only. OpenML's own
division into ten folds is not used: its first fold is replaced by a split with a fixed seed.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks import data
from optibench_benchmarks.base import BenchmarkError, MissingDataError
from optibench_benchmarks.training.base import Split

SHIPPED = {"breast_cancer": "breast_cancer.csv", "digits": "digits.csv.gz", "iris": "iris.csv", "wine": "wine_data.csv"}
"""Data sets of scikit-learn, and the files that it keeps them in."""
OPENML = {
    "australian": (146818, 40981),
    "blood_transfusion": (10101, 1464),
    "car": (146821, 40975),
    "credit_g": (31, 31),
    "kc1": (3917, 1067),
    "phoneme": (9952, 1489),
    "segment": (146822, 40984),
    "vehicle": (53, 54),
}
"""OpenML's task and data set numbers of those that HPOBench's tables of neural networks are about."""
TEST_SIZE = 0.1
VALIDATION_SIZE = 0.33
_SEED = 1  # HPOBench's `global_seed`


def file(name: str) -> Path:
    """The path of an OpenML data set's file."""
    return data.root() / "openml" / f"{name}.arff"


def missing(name: str) -> str | None:
    """The message for a data set whose file is not on this machine; ``None`` if it is."""
    if name in SHIPPED or file(name).is_file():
        return None
    task, number = OPENML[name]
    return (
        f"The data of OpenML task {task} is not in {file(name)} and `optibench data fetch` does not know it: save "
        f"the ARFF file of https://www.openml.org/d/{number} there, or point {data.ROOT_VARIABLE} at a folder that has "
        f"it in openml/."
    )


def version(name: str) -> str:
    """Identifies a data set: its origin and 12 digits of its file's checksum.

    Raises:
        BenchmarkError: The file cannot be read.
    """
    try:
        if name not in SHIPPED:
            return f"OpenML {name}, {data.checksum(file(name))[:12]}"
        found = importlib.util.find_spec("sklearn")  # without importing it, which takes a second
        (folder,) = (found and found.submodule_search_locations) or [""]
        return f"scikit-learn {name}, {data.checksum(Path(folder) / 'datasets' / 'data' / SHIPPED[name])[:12]}"
    except OSError as error:
        raise BenchmarkError(f"The data of {name} cannot be read: {error.strerror}: {error.filename}.") from None


@functools.cache
def load(name: str) -> Split:
    """A data set, split and prepared: inputs float64 of shape ``(n, features)``, classes as numbers from 0.

    Raises:
        MissingDataError: Its file is not there.
        BenchmarkError: Its file is no ARFF file whose last attribute is the class.
    """
    from sklearn.model_selection import train_test_split

    numbers, categories, classes = _shipped(name) if name in SHIPPED else _openml(name)
    rows = np.arange(len(classes))
    known, test = train_test_split(rows, test_size=TEST_SIZE, stratify=classes, random_state=_SEED)
    train, validation = train_test_split(known, test_size=VALIDATION_SIZE, stratify=classes[known], random_state=_SEED)
    inputs = _prepared(numbers, categories, train)
    return Split(*[(inputs[part], classes[part]) for part in (train, validation, test)])


def _prepared(numbers: NDArray[Any], categories: NDArray[Any], train: NDArray[Any]) -> NDArray[np.float64]:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    blocks = []
    if categories.shape[1]:
        encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
        steps = make_pipeline(SimpleImputer(strategy="most_frequent", missing_values="?"), encoder)
        blocks.append(steps.fit(categories[train]).transform(categories))
    if numbers.shape[1]:
        steps = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        blocks.append(steps.fit(numbers[train]).transform(numbers))
    return np.hstack(blocks)


def _shipped(name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")()
    return loaded.data, np.empty((len(loaded.data), 0), dtype=object), loaded.target.astype(np.int64)


def _openml(name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    from scipy.io import arff

    absent = missing(name)
    if absent is not None:
        raise MissingDataError(absent)
    try:
        rows, attributes = arff.loadarff(file(name))
        kinds = dict(zip(attributes.names(), attributes.types(), strict=True))
        *features, target = kinds
        if kinds[target] != "nominal":
            raise ValueError(f"its last attribute {target} is {kinds[target]}, not the class")
        columns = {kind: [each for each in features if kinds[each] == kind] for kind in ("numeric", "nominal")}
        numbers = np.array([rows[each] for each in columns["numeric"]], dtype=np.float64).T
        categories = np.array([rows[each].astype(str) for each in columns["nominal"]], dtype=object).T
        classes = np.unique(rows[target], return_inverse=True)[1].astype(np.int64)
    except (arff.ArffError, OSError, ValueError, NotImplementedError, StopIteration) as error:
        raise BenchmarkError(
            f"{file(name)} cannot be read ({error}); save the ARFF file of https://www.openml.org/d/{OPENML[name][1]} "
            "there."
        ) from None
    empty = np.empty((len(classes), 0))
    return (numbers if columns["numeric"] else empty), (categories if columns["nominal"] else empty), classes
