"""YAHPO Gym's surrogate benchmarks: ``yahpo/<scenario>/<instance>[/<metric>]``.

A surrogate is a neural network fitted to the recorded results of many real trainings; it takes about 0.1 ms, or
0.01 ms each in a batch. The values are those of the ``yahpo_gym`` package (1.0.1), which is not used at run
time. A surrogate may leave its metric's range a little (an accuracy of 1.000004), and the same configuration evaluated
alone or in a batch may differ by a few millionths of the metric's range.

Every upstream scenario whose ``config_space.json``, ``encoding.json`` and ``model.onnx`` are in
``<data root>/yahpo/<scenario>`` is available.

Source: Pfisterer et al., "YAHPO Gym - An Efficient Multi-Objective Multi-Fidelity Benchmark for Hyperparameter
Optimization", AutoML 2022.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from optibench_benchmarks import data
from optibench_benchmarks.base import Benchmark, Config, Evaluation, MissingDataError
from optibench_benchmarks.family import UnknownBenchmarkError
from optibench_benchmarks.fidelities import complete
from optibench_benchmarks.references import table as references
from optibench_benchmarks.wrappers import apply, parse, split
from optibench_benchmarks.yahpo.scenarios import SCENARIOS, Scenario
from optibench_benchmarks.yahpo.space import fidelity_space, search_space
from optibench_benchmarks.yahpo.surrogate import FILES, Encoder, Surrogate, load, load_json, task_names

_MAX_ENCODERS = 64  # cached encoders, one per fidelity: a schedule has few fidelities, a continuous one unlimited


class YahpoBenchmark(Benchmark):
    """One task of one scenario, for one metric.

    Args:
        surrogate: The scenario.
        task: The task's name, one of ``surrogate.tasks``.
        metric: One of the scenario's metrics.

    Attributes:
        surrogate: The scenario's network.
        task: The task's name.
        metric: The metric that is optimized.
    """

    def __init__(self, surrogate: Surrogate, task: str, metric: str) -> None:
        scenario = surrogate.scenario
        suffix = "" if metric == scenario.default else f"/{metric}"
        self.name = f"yahpo/{scenario.name}/{task}{suffix}"
        self.surrogate, self.task, self.metric = surrogate, task, metric
        fixed = {*scenario.fidelities, *([scenario.instance] if scenario.instance else [])}
        self.space = search_space(surrogate.content, fixed)
        self.fidelity_space = fidelity_space(surrogate.content, scenario.fidelities)
        self.main_fidelity = scenario.fidelities[0]
        self.has_cost = scenario.runtime is not None
        self.direction = scenario.metrics[metric]
        self.sampling = "deterministic"
        self.data_version = surrogate.version
        self.reference = references.lookup(self.name, data_version=surrogate.version)
        self._encoder = Encoder(surrogate, task, complete(self.name, self.fidelity_space, None))
        self._encoders: dict[tuple[tuple[str, Any], ...], Encoder] = {}
        self.metrics = scenario.metrics
        self._names = list(scenario.metrics)
        self._column = self._names.index(metric)
        self._runtime = None if scenario.runtime is None else self._names.index(scenario.runtime)

    def __reduce__(self) -> tuple[Callable[[str], Benchmark], tuple[str]]:
        """A network does not pickle: other processes build the task from its name and load their own."""
        return provider.create, (self.name,)

    def encoder(self, fidelity: Config | None = None) -> Encoder:
        """The encoder of this task's configurations at that fidelity.

        Raises:
            BenchmarkError: A fidelity is unknown or out of its range.
        """
        if not fidelity:
            return self._encoder
        key = tuple(fidelity.items())
        if key not in self._encoders:
            if len(self._encoders) >= _MAX_ENCODERS:
                self._encoders.clear()
            self._encoders[key] = self._encoder_at(fidelity)
        return self._encoders[key]

    def _encoder_at(self, fidelity: Config) -> Encoder:
        assert self.fidelity_space is not None
        return Encoder(self.surrogate, self.task, complete(self.name, self.fidelity_space, fidelity))

    def evaluate(self, config: Config, *, seed: int, fidelity: Config | None = None) -> Evaluation:
        row = self.surrogate.predict(*self.encoder(fidelity)((config,)))[0]
        # Networks may predict a training time slightly below zero.
        cost = 0.0 if self._runtime is None else max(0.0, float(row[self._runtime]))
        return Evaluation(float(row[self._column]), cost, self._info(row))

    def evaluate_batch(
        self, configs: Sequence[Config], *, seed: int, fidelity: Config | None = None
    ) -> list[Evaluation]:
        if not configs:
            return []
        rows = self.surrogate.predict(*self.encoder(fidelity)(configs))
        values = rows[:, self._column].tolist()
        costs = [0.0] * len(rows) if self._runtime is None else rows[:, self._runtime].clip(0.0, None).tolist()
        return [Evaluation(value, cost, self._info(row)) for value, cost, row in zip(values, costs, rows, strict=True)]

    def _info(self, row: Any) -> dict[str, float]:
        """All metrics of the surrogate, the objective among them."""
        return dict(zip(self._names, row.tolist(), strict=True))


class YahpoProvider:
    """Finds the scenarios whose data is on this machine."""

    def names(self) -> list[str]:
        """Every task's name, with its scenario's default metric."""
        here = [scenario for scenario in SCENARIOS.values() if _complete(scenario.name)]
        return [f"yahpo/{scenario.name}/{task}" for scenario in here for task in _instances(scenario)]

    def create(self, name: str) -> Benchmark:
        """Build ``yahpo/<scenario>/<instance>[/<metric>]``, with any suffixes (see
        :mod:`optibench_benchmarks.wrappers`).

        Raises:
            UnknownBenchmarkError: There is no such scenario, task or metric; the message has the closest ones.
            MissingDataError: The scenario's data is not on this machine.
            BenchmarkError: An unknown suffix.
        """
        scenario, instance, metric, suffixes = self._parse(name)
        if not _complete(scenario.name):
            raise MissingDataError(_missing(scenario.name))
        surrogate = load(scenario.name, data.root() / "yahpo" / scenario.name)
        if instance not in surrogate.tasks:
            raise UnknownBenchmarkError(_unknown(name, "instance", instance, surrogate.tasks))
        return apply(YahpoBenchmark(surrogate, instance, metric), suffixes, name)

    def check(self, name: str) -> None:
        """Raises as :meth:`create`, but loads no surrogate; without data, any instance may exist."""
        scenario, instance, _, suffixes = self._parse(name)
        if _complete(scenario.name):
            known = _instances(scenario)
            if instance not in known:
                raise UnknownBenchmarkError(_unknown(name, "instance", instance, known))
        parse(suffixes, name)

    def _parse(self, name: str) -> tuple[Scenario, str, str, list[str]]:
        """Scenario, instance, metric and suffixes."""
        plain, suffixes = split(name)
        prefix, *parts = plain.split("/")
        if prefix != "yahpo" or len(parts) not in (2, 3):
            raise UnknownBenchmarkError(
                f"Unknown benchmark {name!r}: a YAHPO task is named yahpo/<scenario>/<instance>[/<metric>]."
            )
        scenario = SCENARIOS.get(parts[0])
        if scenario is None:
            raise UnknownBenchmarkError(_unknown(name, "scenario", parts[0], SCENARIOS))
        metric = parts[2] if len(parts) == 3 else scenario.default
        if metric not in scenario.metrics:
            raise UnknownBenchmarkError(_unknown(name, "metric", metric, scenario.metrics))
        return scenario, parts[1], metric, suffixes

    def missing(self) -> str | None:
        """One sentence on the scenarios that are not on this machine; ``None`` if all are."""
        absent = _absent()
        if not absent:
            return None
        command = f"optibench data fetch {' '.join(absent)}"
        return f"The data of {', '.join(absent)} is not in {data.root()}; get it with `{command}`."

    def absent(self) -> dict[str, str]:
        """These scenarios' tasks."""
        return {f"{name}/*": _missing(name[6:]) for name in _absent()}


def _instances(scenario: Scenario) -> Sequence[str]:
    """The instances of a scenario whose data is here."""
    return task_names(scenario, load_json(data.root() / "yahpo" / scenario.name / "config_space.json"))


def _absent() -> list[str]:
    """The scenarios that can be fetched but are not on this machine."""
    return [name for name in data.manifest() if name.startswith("yahpo/") and not _complete(name[6:])]


def _complete(scenario: str) -> bool:
    folder = data.root() / "yahpo" / scenario
    return all((folder / file).is_file() for file in FILES)


def _missing(scenario: str) -> str:
    name = f"yahpo/{scenario}"
    folder = data.root() / "yahpo" / scenario
    if name in data.manifest():
        return f"The data of {name} is not in {folder}; get it with `optibench data fetch {name}`."
    return (
        f"The data of {name} is not in {folder} and `optibench data fetch {name}` does not know it yet; put "
        f"{', '.join(FILES)} of {scenario} from https://github.com/slds-lmu/yahpo_data (tag v1.0.2) there."
    )


def _unknown(name: str, part: str, given: str, known: Any) -> str:
    close = difflib.get_close_matches(given, list(known), n=3, cutoff=0.4)
    some = list(known)[:12]
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(some)}"
    more = "" if close else ", ..." if len(known) > len(some) else "."
    return f"Unknown benchmark {name!r}: YAHPO has no {part} {given!r}; {hint}{more}"


provider = YahpoProvider()
