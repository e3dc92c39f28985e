"""The workers in examples/external/, as far as their packages can be had."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import optibench_benchmarks
import optibench_optimizers
from optibench import external
from optibench.external.benchmark import worker
from optibench.spec.grid import load
from optibench_benchmarks import MissingDataError, UnknownBenchmarkError
from optibench_benchmarks.conformance import sample
from optibench_optimizers.conformance.spaces import SPACES
from optibench_optimizers.conformance.suite import OptimizerConformance

EXAMPLES = Path(__file__).parents[3] / "examples" / "external"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten afterwards, and its workers end."""
    optibench_optimizers.entries(), optibench_benchmarks.families()
    monkeypatch.setattr("optibench.external.registry._registered", {})
    monkeypatch.setattr("optibench_optimizers.registry._entries", dict(optibench_optimizers.registry._entries))
    monkeypatch.setattr("optibench_benchmarks.registry._families", dict(optibench_benchmarks.registry._families))
    with monkeypatch.context() as patch:
        patch.setattr("optibench.external.benchmark._workers", {})
        yield


# YAHPO Gym 1.0.2 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def yahpo_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has yahpo_gym 1.0.2: the one of `make external`, or one in a new environment."""
    made = EXAMPLES / "venvs" / "yahpo" / "bin" / "python"
    if made.exists():
        return str(made)
    folder = tmp_path_factory.mktemp("yahpo")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "yahpo-gym==1.0.2"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"yahpo-gym 1.0.2 cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return pip[0]


@pytest.mark.heavy
@pytest.mark.parametrize("task", ["lcbench/3945", "lcbench/189906", "rbv2_xgboost/12", "rbv2_xgboost/40981"])
def test_the_package_of_yahpo_gives_what_the_native_adapter_gives(yahpo_python: str, task: str) -> None:
    try:
        native = optibench_benchmarks.create(f"yahpo/{task}")
    except MissingDataError as error:
        pytest.skip(str(error))
    if "OPTIBENCH_DATA" not in os.environ:
        pytest.skip("the worker needs OPTIBENCH_DATA")
    (definition,) = external.load(EXAMPLES / "yahpo.yaml")
    command = (yahpo_python, *definition.command[1:])
    external.register([external.External.of({**definition.plain(), "command": command})])
    pinned = optibench_benchmarks.create(f"yahpo-pinned/{task}")
    assert "yahpo_gym 1.0.2" in worker(pinned.external)[1]
    assert pinned.space == native.space
    assert pinned.direction == native.direction
    assert (pinned.main_fidelity, pinned.has_cost) == (native.main_fidelity, native.has_cost)
    assert pinned.fidelity_space == native.fidelity_space
    assert native.fidelity_space is not None
    low = {name: hp.lower for name, hp in native.fidelity_space.items()}
    for fidelity in (None, low):
        for config in sample(native.space, 25):
            mine, theirs = (one.evaluate(config, seed=0, fidelity=fidelity) for one in (native, pinned))
            assert mine == theirs
    with pytest.raises(UnknownBenchmarkError, match="no instance '0'"):
        optibench_benchmarks.create(f"yahpo-pinned/{task.partition('/')[0]}/0")


# HPOBench ---------------------------------------------------------------------------------------------------------

# With the signatures of HPOBench's AbstractBenchmark; see the worker's first lines for why not HPOBench itself.
STAND_IN = """
import numpy as np
from ConfigSpace import ConfigurationSpace, Integer

class Bowl:
    def __init__(self, rng=None, task_id=1, **kwargs):
        self.task_id = task_id

    @staticmethod
    def get_configuration_space(seed=None):
        return ConfigurationSpace({"x": (0.0, 1.0)}, seed=seed)

    @staticmethod
    def get_fidelity_space(seed=None):
        return ConfigurationSpace({"epochs": Integer("epochs", (1, 10), default=10)}, seed=seed)

    def objective_function(self, configuration, fidelity=None, rng=None, **kwargs):
        print("training")
        epochs = (fidelity or {}).get("epochs", 10)
        noise = np.random.RandomState(rng).rand()
        value = self.task_id + configuration["x"] ** 2 + 1 / epochs + 1e-3 * noise
        return {"function_value": np.float64(value), "cost": epochs * 2.0, "info": {"fidelity": fidelity}}
"""


def test_the_worker_of_hpobench_speaks_its_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hpobench" / "benchmarks" / "ml"
    package.mkdir(parents=True)
    (package / "bowl_benchmark.py").write_text(textwrap.dedent(STAND_IN))
    (definition,) = external.load(EXAMPLES / "hpobench.yaml")
    command = (sys.executable, *definition.command[1:])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    changed = {**definition.plain(), "command": command, "seconds": 20, "start_seconds": 60}
    external.register([external.External.of(changed)])
    task = optibench_benchmarks.create("hpobench-package/ml/bowl_benchmark/Bowl/task_id=5")
    assert task.direction == "minimize"
    assert list(task.fidelity_space or ()) == ["epochs"]
    full = task.evaluate({"x": 0.5}, seed=3)
    assert full.value == pytest.approx(5.35, abs=2e-3)
    assert full.cost_seconds == 20.0
    assert task.evaluate({"x": 0.5}, seed=3) == full
    assert task.evaluate({"x": 0.5}, seed=4) != full
    assert task.evaluate({"x": 0.5}, seed=3, fidelity={"epochs": 1}).value == pytest.approx(full.value + 0.9)
    with pytest.raises(UnknownBenchmarkError, match="HPOBench has no 'ml/no_such/Thing' here"):
        optibench_benchmarks.create("hpobench-package/ml/no_such/Thing")
    with pytest.raises(UnknownBenchmarkError, match="A task is FOLDER/MODULE/CLASS"):
        optibench_benchmarks.create("hpobench-package/nonsense")


# HEBO -------------------------------------------------------------------------------------------------------------

HEBO = EXAMPLES / "venvs" / "hebo" / "bin" / "python"


@pytest.mark.heavy
@pytest.mark.skipif(not HEBO.exists(), reason="HEBO's environment is not there: make hebo")
class TestHebo(OptimizerConformance):
    """Without the space whose clauses HEBO refuses; fifty dimensions take it minutes."""

    spec = "hebo"
    own_workers = True
    own_design_trials = 7
    spaces: ClassVar = {name: SPACES[name] for name in SPACES if name not in ("forbidden", "fifty")}

    @pytest.fixture(autouse=True)
    def _registered(self, _forget: None) -> None:
        external.register(external.load(EXAMPLES / "hebo.yaml"))


@pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")
def test_the_grid_with_hebo_has_the_tasks_that_its_rule_chooses() -> None:
    """Two of each family of `test-slow`, first those whose names come first by their SHA-256, then the second ones."""
    families: dict[str, list[str]] = {}
    for task in optibench_benchmarks.expand(["test-slow"]):
        words = task.split("/")
        families.setdefault("/".join(words[: 2 if words[0] == "yahpo" else 1]), []).append(task)
    ordered = [sorted(found, key=lambda task: hashlib.sha256(task.encode()).hexdigest()) for found in families.values()]
    grid, settings = load(str(EXAMPLES / "hebo-grid.yaml"), {})
    assert grid.benchmarks == (*(tasks[0] for tasks in ordered), *(tasks[1] for tasks in ordered))
    assert (grid.trials, settings.jobs) == (50, 1)
    assert [external.External.of(one.plain()) for one in external.registered()] == external.load(EXAMPLES / "hebo.yaml")
