"""The one family of evaluation functions that a random expression can hit by accident, which the prior rejects.

``tests/model/evaluation_functions.py`` looks for the others and their copies in samples of the prior.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def is_separable_bowl(function: Callable[[Array], Array], dimensions: int) -> bool:
    """Whether a sum of parabolas in at least half of the inputs explains 99.9 % of the variance.

    Covers Sphere, ellipsoids and shifted copies, which are linear in ``(1, x_i, x_i^2)``.
    """
    x = np.random.default_rng(0).random((20 + 10 * dimensions, dimensions))
    y = function(x)
    basis = np.concatenate([np.ones((len(x), 1)), x, x * x], axis=1)
    coefficients, *_ = np.linalg.lstsq(basis, y, rcond=None)
    if 1 - (y - basis @ coefficients).var() / max(y.var(), 1e-30) < 0.999:
        return False
    curvature = np.abs(coefficients[1 + dimensions :])
    return bool((curvature > 1e-3 * max(curvature.max(), 1e-30)).sum() * 2 >= dimensions and curvature.max() > 1e-6)
