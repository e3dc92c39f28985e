"""HPOBench: tables of neural networks, and six kinds of models trained live: ``hpobench/ml/<model>/<data set>``.

Models: ``svm``, ``lr``, ``rf``, ``xgboost`` (an optional package), ``histgb``, ``nn``, with their published search
spaces (:mod:`optibench_benchmarks.training.hpobench.models`). Data sets: ``breast_cancer``, ``digits``, ``iris`` and
``wine``, which scikit-learn ships, and those of OpenML behind the tables ``hpobench/nn/<data set>`` where their files
are (:mod:`optibench_benchmarks.training.hpobench.data`). The value is the balanced validation accuracy, as in the
tables.

A task has few iterations or trees, to cost about a second; ``hpobench/ml/<model>/<data set>-full`` has the published
numbers. Another difference to HPOBench: a part of the data (``subsample``) is the same rows each time and has none
twice, where HPOBench draws rows with replacement.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from optibench_benchmarks import tabular
from optibench_benchmarks.base import Benchmark, Config, Evaluation
from optibench_benchmarks.named_tasks import NamedTasks, full
from optibench_benchmarks.training.base import Curve, ReferencePlan, TrainingBenchmark, fidelity_space
from optibench_benchmarks.training.hpobench import data as hpobench_data
from optibench_benchmarks.training.hpobench.models import MODELS, Model

PREFIX = "hpobench/ml"
_FULL = "-full"
_LEAST_PER_CLASS = 10
"""Minimum number of training rows per class (HPOBench's bound, after Klein et al.'s FABOLAS)."""


def _plan(model: Model) -> ReferencePlan:
    """A support vector machine costs almost nothing; deterministic trainings are not repeated.

    Many finalists rather than many candidates: on 50 validation rows the luckiest training is not the best setting.
    """
    if not model.step:
        return ReferencePlan(random=101, local=100, finalists=1, repeats=1)
    return ReferencePlan(21, 8, 8, 2) if model.random else ReferencePlan(21, 12, 1, 1)


class LiveHPOBench(TrainingBenchmark):
    """One model on one data set.

    Attributes:
        model: What is trained.
        dataset: The data set's name.
    """

    metrics = MappingProxyType(
        dict.fromkeys(("validation_accuracy", "test_balanced_accuracy", "test_accuracy"), "maximize")
    )

    def __init__(self, model: str, dataset: str, full: bool = False) -> None:
        self.model, self.dataset = MODELS[model], dataset
        self.name = f"{PREFIX}/{model}/{dataset}" + _FULL * full
        self.space = self.model.search_space(self.name)
        ranges: dict[str, tuple[float, float]] = {"subsample": (0.1, 1.0)}
        if self.model.step:
            ranges[self.model.step] = self.model.published if full else self.model.affordable
        self.fidelity_space = fidelity_space(**ranges)
        self.main_fidelity = self.model.step or "subsample"
        self.sampling = "noisy" if self.model.random else "deterministic"
        self.reference_plan = _plan(self.model)
        self.data_version = f"{hpobench_data.version(dataset)}, split 1"

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from sklearn.metrics import accuracy_score, balanced_accuracy_score
        from threadpoolctl import threadpool_limits

        split = hpobench_data.load(self.dataset)
        classes = int(split.train[1].max()) + 1
        least = _LEAST_PER_CLASS * classes / len(split.train[1])
        part = split.part(min(1.0, max(fidelity["subsample"], least)))
        steps = int(fidelity.get(self.model.step, 1))
        curve = Curve(self.model.step or "step", steps, self.on_step)
        if not self.model.random:
            seed = 0
        predict = None
        # One thread, because sums over several are rounded in a random order.
        with threadpool_limits(limits=1):
            for step, predict in self.model.fit(config, part, steps, seed):
                scores = {
                    f"{name}_balanced_accuracy": float(balanced_accuracy_score(y, predict(x)))
                    for name, (x, y) in {"train": part, "validation": split.validation}.items()
                }
                curve.add(step, scores)
            assert predict is not None
            validation, test = predict(split.validation[0]), predict(split.test[0])
        info = {
            "validation_accuracy": float(accuracy_score(split.validation[1], validation)),
            "test_balanced_accuracy": float(balanced_accuracy_score(split.test[1], test)),
            "test_accuracy": float(accuracy_score(split.test[1], test)),
        }
        recorded = curve.columns if self.model.step else {}
        return Evaluation(curve.last("validation_balanced_accuracy"), info=info, curve=recorded)


def _build(name: str) -> LiveHPOBench:
    *_, model, dataset = name.removesuffix(_FULL).split("/")
    return LiveHPOBench(model, dataset, name.endswith(_FULL))


def _lacks(name: str) -> str | None:
    *_, model, dataset = name.removesuffix(_FULL).split("/")
    if model == "xgboost" and not _has_xgboost():
        return f"{PREFIX}/xgboost needs the package xgboost; `pip install 'optiformer-bench[xgboost]'` brings it."
    return hpobench_data.missing(dataset)


def _has_xgboost() -> bool:
    return importlib.util.find_spec("xgboost") is not None


_DATASETS = (*hpobench_data.SHIPPED, *hpobench_data.OPENML)
_TASKS = [f"{PREFIX}/{model}/{each}{end}" for end in ("", _FULL) for model in MODELS for each in _DATASETS]
live = NamedTasks(_TASKS, _build, lacks=_lacks, unlisted=full(_TASKS))


class _Provider:
    """The family ``hpobench``: tables and live tasks."""

    def names(self) -> list[str]:
        """The tables, then the live tasks that this machine can train; ``-full`` ones exist but are not listed."""
        return [*tabular.hpobench.names(), *live.names()]

    def create(self, name: str) -> Benchmark:
        """Build one task; raises as :meth:`NamedTasks.create`."""
        return self._part(name).create(name)

    def check(self, name: str) -> None:
        """See :meth:`NamedTasks.check`."""
        self._part(name).check(name)

    def _part(self, name: str) -> NamedTasks:
        return live if f"{name}/".startswith(f"{PREFIX}/") else tabular.hpobench

    def missing(self) -> str | None:
        """What is missing for tasks that cannot be listed; ``None`` if all can."""
        if reason := tabular.hpobench.missing():
            return reason
        absent = [name for name in hpobench_data.OPENML if hpobench_data.missing(name)]
        where = hpobench_data.file("<data set>")
        parts = [f"{PREFIX}/<model>/ on OpenML's {', '.join(absent)} needs their ARFF files in {where}"] * bool(absent)
        if not _has_xgboost():
            parts.append(f"{PREFIX}/xgboost needs `pip install 'optiformer-bench[xgboost]'`")
        return "; ".join(parts) + "." if parts else None

    def absent(self) -> dict[str, str]:
        """The tasks whose package or OpenML file is not on this machine."""
        return tabular.hpobench.absent() | live.absent()


provider = _Provider()
