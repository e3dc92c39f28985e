"""The designs as functions, and the benchmark of one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optibench_benchmarks.base import Benchmark, BenchmarkError, Config, Evaluation, Reference
from optibench_benchmarks.hypervolume import Floats
from optibench_benchmarks.references.table import lookup

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

SAMPLES = 200_001
"""Random configurations behind ``f_ref`` and ``f_worst``, of which the feasible ones count."""
ROOT2 = math.sqrt(2.0)


@dataclass(frozen=True)
class Design:
    """A design.

    Attributes:
        formula: Maps parameters, (D, n), to the objective, (n,), and the constraints, (n,) each.
        parameters: Lower and upper bounds by name; two whole numbers are those of an integer.
        constraints: The constraints' names; each is a share of its limit where it has one.
        best: The published optimum, whose last digits a local search made feasible to 1e-10.
        variant: Which of the published variants it is.
    """

    formula: Callable[[Floats], tuple[Floats, list[Floats]]]
    parameters: dict[str, tuple[float, float]]
    constraints: tuple[str, ...]
    best: tuple[float, ...]
    variant: str


def _cantilever_beam(x: Floats) -> tuple[Floats, list[Floats]]:
    loads = np.array([61.0, 37.0, 19.0, 7.0, 1.0])
    return 0.0624 * x.sum(axis=0), [(loads[:, None] / x**3).sum(axis=0) - 1.0]


def _pressure_vessel(x: Floats) -> tuple[Floats, list[Floats]]:
    shell, head, radius, length = 0.0625 * x[0], 0.0625 * x[1], x[2], x[3]
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost = cost + 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    volume = math.pi * radius**2 * length + 4.0 / 3.0 * math.pi * radius**3
    return cost, [0.0193 * radius - shell, 0.00954 * radius - head, 1.0 - volume / 1_296_000.0]


def _speed_reducer(x: Floats) -> tuple[Floats, list[Floats]]:
    x1, x2, x3, x4, x5, x6, x7 = x
    weight = 0.7854 * x1 * x2**2 * (3.3333 * x3**2 + 14.9334 * x3 - 43.0934) - 1.508 * x1 * (x6**2 + x7**2)
    weight = weight + 7.4777 * (x6**3 + x7**3) + 0.7854 * (x4 * x6**2 + x5 * x7**2)
    return weight, [
        27.0 / (x1 * x2**2 * x3) - 1.0,
        397.5 / (x1 * x2**2 * x3**2) - 1.0,
        1.93 * x4**3 / (x2 * x3 * x6**4) - 1.0,
        1.93 * x5**3 / (x2 * x3 * x7**4) - 1.0,
        np.sqrt((745.0 * x4 / (x2 * x3)) ** 2 + 16.9e6) / (110.0 * x6**3) - 1.0,
        np.sqrt((745.0 * x5 / (x2 * x3)) ** 2 + 157.5e6) / (85.0 * x7**3) - 1.0,
        x2 * x3 / 40.0 - 1.0,
        5.0 * x2 / x1 - 1.0,
        x1 / (12.0 * x2) - 1.0,
        (1.5 * x6 + 1.9) / x4 - 1.0,
        (1.1 * x7 + 1.9) / x5 - 1.0,
    ]


def _spring(x: Floats) -> tuple[Floats, list[Floats]]:
    wire, coil, turns = x
    shear = (4.0 * coil**2 - wire * coil) / (12566.0 * (coil * wire**3 - wire**4)) + 1.0 / (5108.0 * wire**2)
    return (turns + 2.0) * coil * wire**2, [
        1.0 - coil**3 * turns / (71785.0 * wire**4),
        shear - 1.0,
        1.0 - 140.45 * wire / (coil**2 * turns),
        (coil + wire) / 1.5 - 1.0,
    ]


def _three_bar_truss(x: Floats) -> tuple[Floats, list[Floats]]:
    outer, inner = x
    below = ROOT2 * outer**2 + 2.0 * outer * inner
    stresses = ((ROOT2 * outer + inner) / below, inner / below, 1.0 / (outer + ROOT2 * inner))
    return 100.0 * (2.0 * ROOT2 * outer + inner), [stress - 1.0 for stress in stresses]


def _welded_beam(x: Floats) -> tuple[Floats, list[Floats]]:
    weld, joint, height, width = x
    load, length, young, shear = 6000.0, 14.0, 30e6, 12e6
    half = ((weld + height) / 2.0) ** 2
    arm = np.sqrt(joint**2 / 4.0 + half)
    polar = 2.0 * ROOT2 * weld * joint * (joint**2 / 12.0 + half)
    primary, torsion = load / (ROOT2 * weld * joint), load * (length + joint / 2.0) * arm / polar
    stress = np.sqrt(primary**2 + primary * torsion * joint / arm + torsion**2)
    buckling = 4.013 * young * height * width**3 / 6.0 / length**2
    buckling = buckling * (1.0 - height / (2.0 * length) * math.sqrt(young / (4.0 * shear)))
    cost = 1.10471 * weld**2 * joint + 0.04811 * height * width * (14.0 + joint)
    return cost, [
        stress / 13_600.0 - 1.0,
        6.0 * load * length / (width * height**2) / 30_000.0 - 1.0,
        weld - width,
        (0.10471 * weld**2 + 0.04811 * height * width * (14.0 + joint)) / 5.0 - 1.0,
        4.0 * load * length**3 / (young * height**3 * width) / 0.25 - 1.0,
        1.0 - buckling / load,
    ]


DESIGNS = {
    "cantilever-beam": Design(
        _cantilever_beam,
        {f"height{i}": (0.01, 100.0) for i in range(1, 6)},
        ("deflection",),
        (6.016015896342175, 5.309173896841174, 4.494329554654505, 3.501474956761137, 2.152665320386169),
        "five hollow blocks (Fleury and Braibant 1986)",
    ),
    "pressure-vessel": Design(
        _pressure_vessel,
        {"shell": (1, 99), "head": (1, 99), "radius": (10.0, 200.0), "length": (10.0, 200.0)},
        ("shell_thickness", "head_thickness", "volume"),
        (13, 7, 42.09844559585492, 176.63659584243942),
        "thicknesses in sixteenths of an inch, length up to 200 (Kannan and Kramer 1994; Coello 2000)",
    ),
    "speed-reducer": Design(
        _speed_reducer,
        {
            "face": (2.6, 3.6),
            "module": (0.7, 0.8),
            "teeth": (17, 28),
            "length1": (7.3, 8.3),
            "length2": (7.3, 8.3),
            "shaft1": (2.9, 3.9),
            "shaft2": (5.0, 5.5),
        },
        (
            *("bending", "contact", "deflection1", "deflection2", "stress1", "stress2"),
            *("size", "face_low", "face_high", "length1", "length2"),
        ),
        (3.5, 0.7, 17, 7.3, 7.715319911478, 3.350214666096, 5.28665446498),
        "second shaft from 7.3 (Golinski 1970; Cagnina, Esquivel and Coello 2008)",
    ),
    "spring": Design(
        _spring,
        {"wire": (0.05, 2.0), "coil": (0.25, 1.3), "turns": (2.0, 15.0)},
        ("deflection", "shear", "frequency", "diameter"),
        (0.05168906093033468, 0.3567177361534458, 11.288965965548748),
        "real number of turns (Arora 1989; Coello 2000)",
    ),
    "three-bar-truss": Design(
        _three_bar_truss,
        {"outer": (0.001, 1.0), "inner": (0.001, 1.0)},
        ("stress1", "stress2", "stress3"),
        (0.7886751326962155, 0.40824829583390754),
        "load and stress limit 2, areas from .001 (Nowacki 1973; Ray and Saini 2001)",
    ),
    "welded-beam": Design(
        _welded_beam,
        {"weld": (0.125, 2.0), "joint": (0.1, 10.0), "height": (0.1, 10.0), "width": (0.1, 2.0)},
        ("stress", "bending", "weld", "cost", "deflection", "buckling"),
        (0.205729639786079, 3.470488665628001, 9.036623910357633, 0.205729639786079),
        "seven constraints, one of them the lower bound of the weld (Rao 1996; Coello 2000)",
    ),
}


class EngineeringDesign(Benchmark):
    """A design as a task.

    Args:
        name: The task's name.
    """

    data_version = "1"

    def __init__(self, name: str) -> None:
        self.name = name
        self.design = DESIGNS[name.partition("/")[2]]
        self.constraints = self.design.constraints
        self._parameters = self.design.parameters
        self._space: ConfigurationSpace | None = None
        self._reference: Reference | None = None

    def __reduce__(self) -> tuple[type[EngineeringDesign], tuple[str]]:
        """Pickled by its name: the formulas need not be."""
        return EngineeringDesign, (self.name,)

    @property
    def space(self) -> ConfigurationSpace:  # type: ignore[override]
        """One uniform float or integer for each parameter."""
        if self._space is None:
            from ConfigSpace import ConfigurationSpace, Float, Integer

            self._space = ConfigurationSpace(name=self.name)
            for name, (low, high) in self._parameters.items():
                whole = isinstance(low, int)
                self._space.add(Integer(name, (int(low), int(high))) if whole else Float(name, (low, high)))
        return self._space

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        """The committed reference."""
        if self._reference is None:
            self._reference = lookup(self.name, data_version=self.data_version) or self.measure_reference()
        return self._reference

    def outcomes(self, points: Floats) -> tuple[Floats, Floats]:
        """The objective, (n,), and the constraints, (n, K), of points, (n, D)."""
        values, constraints = self.design.formula(points.T)
        return values, np.stack(constraints, axis=1)

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        return self.evaluate_batch([config], seed=seed, fidelity=fidelity)[0]

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        points = np.array([[config[name] for name in self._parameters] for config in configs], dtype=float)
        values, constraints = self.outcomes(points.reshape(len(configs), len(self._parameters)))
        pairs = zip(values.tolist(), constraints.tolist(), strict=True)
        return [Evaluation(value, constraints=tuple(numbers)) for value, numbers in pairs]

    def measure_reference(self) -> Reference:
        """The published optimum, and the median and worst of the feasible ones among random configurations."""
        share = np.random.RandomState(SAMPLES).random_sample((SAMPLES, len(self._parameters)))
        points = np.empty_like(share)
        for i, (low, high) in enumerate(self._parameters.values()):
            whole = isinstance(low, int)
            points[:, i] = low + (np.floor(share[:, i] * (high - low + 1)) if whole else share[:, i] * (high - low))
        values, constraints = self.outcomes(points)
        feasible = values[(constraints <= 0.0).all(axis=1)]
        (best,), _ = self.outcomes(np.array([self.design.best], dtype=float))
        source = f"published optimum; {len(feasible)} feasible of {SAMPLES} random configurations"
        return Reference(float(best), float(np.median(feasible)), float(feasible.max()), source)
