"""The formulas of the test functions, with their usual box, global minimum and its place.

Every formula takes an array of shape ``(..., D)`` and gives one of shape ``(...)``; all are to be minimized.
:mod:`optibench_benchmarks.synthetic.instances` moves the optimum.

Unless a function names another source, formula and box are those of S. Surjanovic and D. Bingham, "Virtual Library of
Simulation Experiments: Test Functions and Datasets" (Simon Fraser University). Minima that have no closed form were
computed here: Hartmann's by the mean-shift fixed point of its Gaussians, the others by root finding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError

Array = NDArray[np.float64]
Box = tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]]

MAX_DIMENSION = 1000


@dataclass(frozen=True)
class Function:
    """One test function in its usual coordinates.

    Attributes:
        formula: From points ``(..., D)`` to values ``(...)``.
        box: Lower and upper bound, one number for all coordinates or one per coordinate.
        optimum: From D to one global minimizer, shape ``(D,)``, inside the box.
        minimum: From D to the value there.
        dimensions: The smallest and the largest D.
        amplitude: ``None`` where ``minimum`` is the minimum over all of R^D, so that the function may be moved freely.
            Otherwise the function is the known one only inside its box, and this is the height of one coordinate's
            contribution, in which the penalty outside the box is measured.
    """

    formula: Callable[[Array], Array]
    box: Box
    optimum: Callable[[int], Array]
    minimum: Callable[[int], float] = lambda _: 0.0
    dimensions: tuple[int, int] = (1, MAX_DIMENSION)
    amplitude: float | None = None

    def bounds(self, dimension: int) -> tuple[Array, Array]:
        """The box's lower and upper corner, both of shape ``(D,)``."""
        low, high = (np.broadcast_to(np.asarray(side, dtype=float), (dimension,)) for side in self.box)
        return low.copy(), high.copy()


@functools.lru_cache(maxsize=64)
def _positions(dimension: int) -> Array:
    """1, 2, ..., D."""
    return np.arange(1.0, dimension + 1.0)


def _dot(a: Array, b: Array) -> Array:
    product: Array = np.vecdot(a, b)
    return product


def _sum(a: Array) -> Array:
    total: Array = np.add.reduce(a, axis=-1)  # without the overhead of numpy.sum, noticeable at five coordinates
    return total


def sphere(x: Array) -> Array:
    """Sum of squares; minimum 0 at 0 on R^D."""
    return _dot(x, x)


def rastrigin(x: Array) -> Array:
    """10 D + sum(x^2 - 10 cos 2 pi x); minimum 0 at 0 on R^D."""
    return _dot(x, x) + 10.0 * _sum(1.0 - np.cos(2.0 * math.pi * x))


def rosenbrock(x: Array) -> Array:
    """Sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2; minimum 0 at (1, ..., 1) on R^D."""
    head = x[..., :-1]
    valley = x[..., 1:] - head * head
    slope = 1.0 - head
    return 100.0 * _dot(valley, valley) + _dot(slope, slope)


def ackley(x: Array) -> Array:
    """D. Ackley's function with a = 20, b = 0.2, c = 2 pi; minimum 0 at 0 on R^D."""
    dimension = x.shape[-1]
    radius = np.sqrt(_dot(x, x) / dimension)
    ripple = _sum(np.cos(2.0 * math.pi * x)) / dimension
    value: Array = -20.0 * np.expm1(-0.2 * radius) - (np.exp(ripple) - math.e)
    return value


def levy(x: Array) -> Array:
    """Levy's function number 13 extended to D dimensions; minimum 0 at (1, ..., 1) on R^D."""
    # w - 1 = (x - 1) / 4, and sin(pi w) = -sin(pi (w - 1)): so it is exactly 0 at the minimizer.
    w = (x - 1.0) / 4.0
    head, last = w[..., :-1], w[..., -1]
    first_wave = np.sin(math.pi * w[..., 0])
    waves = np.sin(math.pi * (head + 1.0) + 1.0)
    last_wave = np.sin(2.0 * math.pi * last)
    middle = _dot(head * head, 1.0 + 10.0 * waves * waves)
    return first_wave * first_wave + middle + last * last * (1.0 + last_wave * last_wave)


def griewank(x: Array) -> Array:
    """1 + sum(x^2) / 4000 - product of cos(x[i] / sqrt(i)); minimum 0 at 0 on R^D."""
    waves: Array = np.multiply.reduce(np.cos(x / np.sqrt(_positions(x.shape[-1]))), axis=-1)
    return _dot(x, x) / 4000.0 + (1.0 - waves)


_SCHWEFEL_X = 420.9687463599821  # the root of sin(sqrt x) + sqrt(x) cos(sqrt x) / 2 near 421
_SCHWEFEL_HEIGHT = _SCHWEFEL_X * math.sin(math.sqrt(_SCHWEFEL_X))


def schwefel(x: Array) -> Array:
    """Schwefel's function 2.26, 418.98... D - sum(x sin sqrt|x|); minimum 0 in the box, unbounded below outside it."""
    return _sum(_SCHWEFEL_HEIGHT - x * np.sin(np.sqrt(np.abs(x))))


_STYBLINSKI_X = -2.903534027771177  # the leftmost root of 4 x^3 - 32 x + 5
_STYBLINSKI_MINIMUM = (_STYBLINSKI_X**4 - 16.0 * _STYBLINSKI_X**2 + 5.0 * _STYBLINSKI_X) / 2.0


def styblinski_tang(x: Array) -> Array:
    """Sum of (x^4 - 16 x^2 + 5 x) / 2; minimum -39.166... D at (-2.9035..., ...) on R^D."""
    square = x * x
    return _sum(square * (square - 16.0) + 5.0 * x) / 2.0


def zakharov(x: Array) -> Array:
    """sum(x^2) + s^2 + s^4 with s = sum(i x[i]) / 2; minimum 0 at 0 on R^D."""
    s = _dot(x, _positions(x.shape[-1])) / 2.0
    square = s * s
    return _dot(x, x) + square + square * square


def dixon_price(x: Array) -> Array:
    """(x[1] - 1)^2 + sum of i (2 x[i]^2 - x[i-1])^2 for i >= 2; minimum 0 on R^D."""
    first = x[..., 0] - 1.0
    tail = x[..., 1:]
    steps = 2.0 * tail * tail - x[..., :-1]
    return first * first + _dot(_positions(x.shape[-1])[1:], steps * steps)


def _dixon_price_optimum(dimension: int) -> Array:
    # x[i] = 2^-(1 - 2^(1 - i)); x[i] = sqrt(x[i-1] / 2) from x[1] = 1 is the same, accurate for large i too.
    return np.exp2(np.exp2(1.0 - _positions(dimension)) - 1.0)


def michalewicz(x: Array) -> Array:
    """-sum(sin(x[i]) sin(i x[i]^2 / pi)^20), i.e. steepness m = 10; known inside its box only."""
    waves = np.sin(_positions(x.shape[-1]) * x * x / math.pi)
    squares = waves * waves
    fourth = squares * squares
    eighth = fourth * fourth
    return -_dot(np.sin(x), eighth * eighth * fourth)


@functools.lru_cache(maxsize=64)
def michalewicz_optimum(dimension: int) -> Array:
    """The minimizer, coordinate by coordinate, to machine precision.

    The function is separable. Between two zeros of sin(i x^2 / pi) the logarithm of a coordinate's term is strictly
    concave (with u = i x^2 / pi its second derivative has the sign of sin(2 u) / 2 - 2 u < 0, less that of sin x), so
    its derivative cot(x) + (40 i x / pi) cot(i x^2 / pi) has one root there. Only the bumps next to pi/2, where sin(x)
    peaks, can hold the best one; their roots are bisected and the best is taken.
    """
    i = _positions(dimension)[:, None]
    bump = np.clip(np.floor(i / 4.0) + np.arange(-2.0, 3.0), 0.0, i - 1.0)
    left, right = (math.pi * np.sqrt(edge / i) for edge in (bump, bump + 1.0))
    for _ in range(80):
        x = (left + right) / 2.0
        phase = i * x * x / math.pi
        # The derivative times sin(x) sin(phase), whose sign alternates from bump to bump.
        slope = np.cos(x) * np.sin(phase) + 40.0 * i * x / math.pi * np.cos(phase) * np.sin(x)
        rising = slope * np.where(bump % 2 == 0, 1.0, -1.0) > 0.0
        left, right = np.where(rising, x, left), np.where(rising, right, x)
    x = (left + right) / 2.0
    term = np.sin(x) * np.sin(i * x * x / math.pi) ** 20
    best: Array = np.take_along_axis(x, np.argmax(term, axis=1)[:, None], axis=1)[:, 0]
    return best


def branin(x: Array) -> Array:
    """F. Branin's function; minimum 10 / (8 pi) on R^2, taken wherever cos x[1] = -1 on the parabola's floor."""
    first = x[..., 0]
    valley = x[..., 1] - 5.1 / (4.0 * math.pi**2) * first * first + 5.0 / math.pi * first - 6.0
    return valley * valley + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * np.cos(first) + 10.0


_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN3_RATES = np.array([[3.0, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
_HARTMANN3_CENTRES = 1e-4 * np.array([[3689.0, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_HARTMANN6_RATES = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN6_CENTRES = 1e-4 * np.array(
    [
        [1312.0, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_HARTMANN3_OPTIMUM = (0.11458887665506895, 0.5556488946169301, 0.8525469846866773)
_HARTMANN6_OPTIMUM = (
    0.20168951100670546,
    0.15001069182345797,
    0.47687397422189703,
    0.27533243049405604,
    0.31165161660011326,
    0.6573005340656204,
)


def _hartmann(x: Array, rates: Array, centres: Array) -> Array:
    # A stationary point of a sum of Gaussians is a weighted mean of their centres, coordinate by coordinate. All
    # centres are in [0, 1]^D, hence so is the minimum over R^D.
    offsets = x[..., None, :] - centres
    return -_dot(np.exp(-_dot(rates, offsets * offsets)), _HARTMANN_WEIGHTS)


def hartmann3(x: Array) -> Array:
    """Hartmann's function in 3 dimensions; minimum -3.8627... on R^3."""
    return _hartmann(x, _HARTMANN3_RATES, _HARTMANN3_CENTRES)


def hartmann6(x: Array) -> Array:
    """Hartmann's function in 6 dimensions; minimum -3.3223... on R^6."""
    return _hartmann(x, _HARTMANN6_RATES, _HARTMANN6_CENTRES)


FUNCTIONS: dict[str, Function] = {
    "sphere": Function(sphere, (-5.12, 5.12), np.zeros),
    "rastrigin": Function(rastrigin, (-5.12, 5.12), np.zeros),
    "rosenbrock": Function(rosenbrock, (-5.0, 10.0), np.ones, dimensions=(2, MAX_DIMENSION)),
    "ackley": Function(ackley, (-32.768, 32.768), np.zeros),
    "levy": Function(levy, (-10.0, 10.0), np.ones),
    "griewank": Function(griewank, (-600.0, 600.0), np.zeros),
    "schwefel": Function(
        schwefel, (-500.0, 500.0), lambda dimension: np.full(dimension, _SCHWEFEL_X), amplitude=_SCHWEFEL_HEIGHT
    ),
    "styblinski-tang": Function(
        styblinski_tang,
        (-5.0, 5.0),
        lambda dimension: np.full(dimension, _STYBLINSKI_X),
        lambda dimension: dimension * _STYBLINSKI_MINIMUM,
    ),
    "zakharov": Function(zakharov, (-5.0, 10.0), np.zeros),
    "dixon-price": Function(dixon_price, (-10.0, 10.0), _dixon_price_optimum),
    "michalewicz": Function(
        michalewicz,
        (0.0, math.pi),
        michalewicz_optimum,
        lambda dimension: float(michalewicz(michalewicz_optimum(dimension))),
        amplitude=1.0,
    ),
    "branin": Function(
        branin,
        ((-5.0, 0.0), (10.0, 15.0)),
        lambda _: np.array([math.pi, 2.275]),
        lambda _: 10.0 / (8.0 * math.pi),
        dimensions=(2, 2),
    ),
    "hartmann3": Function(
        hartmann3,
        (0.0, 1.0),
        lambda _: np.array(_HARTMANN3_OPTIMUM),
        lambda _: float(hartmann3(np.array(_HARTMANN3_OPTIMUM))),
        dimensions=(3, 3),
    ),
    "hartmann6": Function(
        hartmann6,
        (0.0, 1.0),
        lambda _: np.array(_HARTMANN6_OPTIMUM),
        lambda _: float(hartmann6(np.array(_HARTMANN6_OPTIMUM))),
        dimensions=(6, 6),
    ),
}


def refuse(function: str, dimension: int, instance: int, rotated: bool) -> None:
    """Refuse an instance that there is not.

    Raises:
        BenchmarkError: The function does not exist, or not in that dimension, or an instance number below 1.
    """
    if function not in FUNCTIONS:
        raise BenchmarkError(f"There is no synthetic function {function!r}; there are {', '.join(FUNCTIONS)}.")
    least, most = FUNCTIONS[function].dimensions
    least = max(least, 2) if rotated else least
    if not least <= dimension <= most:
        allowed = f"{least}" if least == most else f"{least} to {most}"
        what = f"Rotated {function}" if rotated else function.capitalize()
        raise BenchmarkError(f"{what} is defined in dimension {allowed}, not {dimension}.")
    if not 1 <= instance < 2**32:
        raise BenchmarkError(f"Instances of {function} are numbered from 1, not {instance}.")
