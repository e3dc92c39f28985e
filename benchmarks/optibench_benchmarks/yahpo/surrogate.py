"""One YAHPO Gym scenario's files: the neural network and the encoding of its inputs.

The network takes ``x_cat`` (int32, one column for each categorical parameter, the task's name among them) and
``x_cont`` (float32, one column for each numeric one, fidelities among them) and returns every metric at once. An
inactive numeric parameter is 0, an inactive categorical one has the code of ``#na#``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.yahpo.scenarios import SCENARIOS, Scenario

FILES = ("config_space.json", "encoding.json", "model.onnx")
INACTIVE = "#na#"
BATCH = 1000
"""Rows per call of the network: larger batches are not cheaper, and memory stays small."""


def load_json(path: Path) -> Any:
    """A JSON file's content, kept until the file changes.

    Raises:
        BenchmarkError: The file is not JSON.
        OSError: The file cannot be read.
    """
    stat = path.stat()
    return _load_json(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _load_json(path: Path, _modified: int, _size: int) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchmarkError(f"{path} is not valid JSON ({error}); fetch the data set again.") from None


class Surrogate:
    """A scenario's network, shared by all its tasks; loaded by the first prediction.

    Attributes:
        scenario: The scenario's layout.
        content: The search space as parsed JSON, the task's name and the fidelities included.
        codes: The integer code of each category, by categorical parameter.
        tasks: The names of the scenario's tasks.
        version: Identifies the three files' contents.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.content: dict[str, Any] = load_json(folder / "config_space.json")
        self.codes: dict[str, dict[str, int]] = load_json(folder / "encoding.json")
        self.tasks = task_names(scenario, self.content)
        digest = hashlib.sha256()
        for file in FILES:
            digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
        self.version = digest.hexdigest()[:12]
        self._model = folder / "model.onnx"
        self._session: Any = None
        self._lock = threading.Lock()
        # A forked child must not use a session that its parent's threads may have been using.
        os.register_at_fork(after_in_child=self._forget)

    def predict(self, x_cat: NDArray[np.int32], x_cont: NDArray[np.float32]) -> NDArray[np.float32]:
        """Every metric for encoded configurations.

        Args:
            x_cat: Codes, shape ``(n, len(scenario.categorical))``.
            x_cont: Values, shape ``(n, len(scenario.numeric))``.

        Returns:
            Metrics, shape ``(n, len(scenario.metrics))``.
        """
        session = self._session or self._open()
        if len(x_cat) <= BATCH:
            result: NDArray[np.float32] = session.run(["output"], {"x_cat": x_cat, "x_cont": x_cont})[0]
            return result
        starts = range(0, len(x_cat), BATCH)
        return np.concatenate([self.predict(x_cat[i : i + BATCH], x_cont[i : i + BATCH]) for i in starts])

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                options.log_severity_level = 3
                try:
                    self._session = onnxruntime.InferenceSession(
                        str(self._model), options, providers=["CPUExecutionProvider"]
                    )
                except Exception as error:  # onnxruntime's own errors share no other base
                    reason = str(error).partition("\n")[0]
                    raise BenchmarkError(
                        f"The network in {self._model} cannot be loaded ({reason}); see `optibench data verify`."
                    ) from None
            return self._session

    def _forget(self) -> None:
        self._session = None
        self._lock = threading.Lock()


def load(scenario: str, folder: Path) -> Surrogate:
    """The scenario's surrogate, one for each process as long as its files do not change.

    Raises:
        FileNotFoundError: One of the files is not there.
    """
    stamps = tuple((stat.st_mtime_ns, stat.st_size) for stat in ((folder / file).stat() for file in FILES))
    return _load(scenario, folder, stamps)


@functools.lru_cache(maxsize=32)
def _load(scenario: str, folder: Path, _stamps: tuple[tuple[int, int], ...]) -> Surrogate:
    return Surrogate(SCENARIOS[scenario], folder)


def task_names(scenario: Scenario, content: dict[str, Any]) -> list[str]:
    """The names of a scenario's tasks, numbers in order of size."""
    if scenario.instance is None:
        return list(scenario.instances)
    try:
        (choices,) = (item["choices"] for item in content["hyperparameters"] if item["name"] == scenario.instance)
    except (KeyError, TypeError, ValueError):
        raise BenchmarkError(
            f"config_space.json of {scenario.name} does not say which tasks there are (parameter "
            f"{scenario.instance!r}); fetch the data set again."
        ) from None
    return sorted(choices, key=lambda name: (int(name) if name.isdecimal() else 0, name))


class Encoder:
    """Turns configurations of one task at one fidelity into the network's inputs.

    Args:
        surrogate: The scenario.
        task: The task's name.
        fidelity: A value for every fidelity.

    Attributes:
        numeric: Name and value if absent of each ``x_cont`` column.
        categorical: Name, codes and code if absent of each ``x_cat`` column.
    """

    def __init__(self, surrogate: Surrogate, task: str, fidelity: Config) -> None:
        scenario = surrogate.scenario
        fixed: dict[str, Any] = {**fidelity, **({scenario.instance: task} if scenario.instance else {})}
        # Fixed values are never in a configuration, so they can be the values if absent.
        self.numeric = [(name, float(fixed.get(name, 0.0))) for name in scenario.numeric]
        self.categorical: list[tuple[str, dict[str, int], int]] = []
        for name in scenario.categorical:
            codes = surrogate.codes.get(name)
            if codes is None:
                raise BenchmarkError(f"encoding.json of {scenario.name} has no codes for the parameter {name!r}.")
            self.categorical.append((name, codes, codes[fixed[name]] if name in fixed else codes.get(INACTIVE, 0)))
        conditional = _conditional(surrogate.content)
        self._names = {item["name"] for item in surrogate.content["hyperparameters"]} - fixed.keys()
        self._required = self._names - conditional

    def __call__(self, configs: Any) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The inputs ``x_cat`` and ``x_cont`` for a sequence of configurations.

        Raises:
            BenchmarkError: A configuration has a parameter or a category that the task does not know, or lacks one
                that is always active.
        """
        names, required = self._names, self._required
        for config in configs:
            keys = config.keys()
            if not (required <= keys <= names):
                raise BenchmarkError(self._complain(set(keys)))
        numeric = [[config.get(name, absent) for name, absent in self.numeric] for config in configs]
        try:
            categorical = [
                [codes[config[name]] if name in config else absent for name, codes, absent in self.categorical]
                for config in configs
            ]
        except KeyError as error:
            raise BenchmarkError(f"The configuration has the unknown category {error.args[0]!r}.") from None
        return np.array(categorical, dtype=np.int32), np.array(numeric, dtype=np.float32)

    def _complain(self, keys: set[str]) -> str:
        unknown, lacking = sorted(keys - self._names), sorted(self._required - keys)
        if unknown:
            return f"The configuration has parameters that the task does not know: {', '.join(unknown)}."
        return f"The configuration lacks parameters that are always active: {', '.join(lacking)}."


def _conditional(content: dict[str, Any]) -> set[str]:
    children: set[str] = set()
    for item in content.get("conditions", ()):
        children.update(part["child"] for part in (item, *item.get("conditions", ())) if "child" in part)
    return children
