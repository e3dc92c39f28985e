"""Nothing that an optimizer or a benchmark does stops the grid or falsifies it."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace, Float

from optibench.cell.run import Surroundings, run_cell
from optibench.cell.trials import Trial
from optibench.plan.cells import Cell
from optibench.store.run_folder import Store
from optibench_benchmarks import Benchmark, Evaluation, Reference
from optibench_optimizers import Observation, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch

GRID = ("-b", "synthetic/sphere-2d", "-s", 1, "-t", 8, "--initial-size", 3, "-j", 1, "--no-report", "--out", "out")
TYPES = {
    "dicts": "return [{'x0': 0.5, 'x1': 0.5}] * n",
    "nothing": "return None",
    "none": "return [None] * n",
    "too-few": "return []",
    "no-config": "return [Suggestion(None)] * n",
    "a-set": "return [Suggestion({'x0': {0.5}, 'x1': 0.5})] * n",
    "bytes": "return [Suggestion({'x0': b'1', 'x1': 0.5})] * n",
    "array": "return [Suggestion({'x0': np.zeros(3), 'x1': 0.5})] * n",
    "unknown": "return [Suggestion({'x0': 0.5, 'y': 0.5})] * n",
    "outside": "return [Suggestion({'x0': 1e9, 'x1': 0.5})] * n",
    "bad-fidelity": "return [Suggestion({'x0': 0.5, 'x1': 0.5}, fidelity=7)] * n",
    "exits": "sys.exit(0)",
    "interrupts": "raise KeyboardInterrupt",
    "cancels": "raise asyncio.CancelledError",
    "odd-error": "raise Odd()",
    "surrogate": "raise ValueError(b'caf\\xe9'.decode('utf-8', 'surrogateescape'))",
}


class Bowl(Benchmark):
    """A sphere in two dimensions; ``habit`` is called with each configuration."""

    name = "bowl"
    reference = Reference(0.0, 0.5, 2.0, "analytic")

    def __init__(self, habit: Callable[[dict[str, Any]], Any] = lambda config: None) -> None:
        self.space = ConfigurationSpace([Float("x", (-1.0, 1.0)), Float("y", (-1.0, 1.0))])
        self.habit = habit

    def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
        value = config["x"] ** 2 + config["y"] ** 2
        self.habit(config)
        return Evaluation(value)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Trial]]:
    """Run a cell of a benchmark and an optimizer that are given as objects."""

    def run(problem: Benchmark, optimizer: type[RandomSearch] = RandomSearch, **how: Any) -> list[Trial]:
        def create(spec: str, space: Any, *, seed: int, n_trials: int, **more: Any) -> RandomSearch:
            return optimizer(space, seed=seed, n_trials=n_trials)

        monkeypatch.setattr("optibench.cell.run.benchmark", lambda name: problem)
        monkeypatch.setattr("optibench.cell.run.optibench_optimizers.create", create)
        return run_cell(Cell("key", "random", "bowl", 0, 8, 3), **how)

    return run


@pytest.fixture
def install(tmp_path: Path) -> Callable[[str, dict[str, str]], None]:
    """Add optimizers to the third-party package of these tests, by the body of a class."""

    def add(base: str, bodies: dict[str, str]) -> None:
        code = textwrap.dedent(
            """
            import asyncio, sys
            import numpy as np
            from optibench_optimizers import Entry, Suggestion
            from optibench_optimizers.adapters.random_search import RandomSearch

            class Odd(Exception):
                def __str__(self):
                    raise RuntimeError("no text")
            """
        )
        points = ""
        for number, (name, body) in enumerate(bodies.items()):
            code += f"\nclass C{number}(RandomSearch):\n{textwrap.indent(body, '    ')}\n"
            code += f"E{number} = Entry({name!r}, 's', 'odd_types:C{number}', RandomSearch.capabilities)\n"
            points += f"{name} = odd_types:E{number}\n"
        (tmp_path / "site" / "odd_types.py").write_text(code)
        metadata = tmp_path / "site" / "odd_types-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-types\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[optibench.optimizers]\n{points}")

    return add


def test_whatever_an_ask_does_is_a_failed_trial(
    optibench: Any, table: Any, tmp_path: Path, install: Callable[[str, dict[str, str]], None]
) -> None:
    install("ask", {name: f"def ask(self, n=1):\n    {body}" for name, body in TYPES.items()})
    done = optibench("run", "-o", ",".join([*TYPES, "random"]), *GRID, check=3)
    trials = table(tmp_path / "out")
    assert len(trials) == 8 * (len(TYPES) + 1)
    for name, cell in trials.groupby("optimizer"):
        assert (cell.state[cell.phase == "initial"] == "ok").all(), name
        search = cell[cell.phase == "search"]
        assert (search.state == ("ok" if name == "random" else "failed")).all(), name
        if name != "random":
            assert search.error.str.match(
                r"ask: \w+|the optimizer proposed an illegal (configuration|fidelity): "
            ).all()
    assert f"{5 * len(TYPES)} trials failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_whatever_else_an_optimizer_does_counts_as_failed(
    optibench: Any, table: Any, tmp_path: Path, install: Callable[[str, dict[str, str]], None]
) -> None:
    bodies = {
        "tell-exits": "def tell(self, observations):\n    sys.exit(0)",
        "close-raises": "def close(self):\n    raise RuntimeError('cannot close')",
        "close-exits": "def close(self):\n    sys.exit(0)",
        "setup-exits": "def __init__(self, space, *, seed, n_trials):\n    sys.exit(0)",
        "setup-odd": "def __init__(self, space, *, seed, n_trials):\n    raise Odd()",
        "no-optimizer": "def __new__(cls, space, *, seed, n_trials):\n    return object()",
    }
    install("other", bodies)
    for executor in ("serial", "processes"):
        done = optibench("run", "-o", ",".join(bodies), *GRID[:-1], executor, "--executor", executor, check=3)
        trials = table(tmp_path / executor)
        errors = {name: cell.error.dropna().tolist() for name, cell in trials.groupby("optimizer")}
        assert errors["tell-exits"] == ["tell: SystemExit: 0"] * 8
        assert errors["close-raises"] == ["close: RuntimeError: cannot close"]
        assert errors["close-exits"] == ["close: SystemExit: 0"]
        assert errors["setup-exits"] == ["setting up the optimizer: SystemExit: 0"] * 5
        assert errors["setup-odd"] == ["setting up the optimizer: Odd: (its text cannot be made: RuntimeError)"] * 5
        assert len(errors["no-optimizer"]) == 5
        assert f"{8 + 1 + 1 + 5 + 5 + 5} trials failed" in done.stderr
        events = Store.open(tmp_path / executor).events()
        assert {event["event"] for event in events} == {"an optimizer could not be closed"}
        assert any("close-raises on synthetic/sphere-2d, seed 0" in event["text"] for event in events)


def test_everyone_has_a_copy_of_their_own(in_process: Callable[..., list[Trial]]) -> None:
    told: list[dict[str, Any]] = []

    class Keeps(RandomSearch):
        def ask(self, n: int = 1) -> list[Suggestion]:
            self.kept = {"x": 0.5, "y": 0.25}
            return [Suggestion(self.kept)]

        def tell(self, observations: Any) -> None:
            observation: Observation = observations[0]
            told.append(dict(observation.config))
            observation.config.pop("y")  # type: ignore[attr-defined]

    trials = in_process(Bowl(lambda config: config.clear()), Keeps)
    assert all(trial.state == "ok" for trial in trials)
    assert all(set(config) == {"x", "y"} for config in told)
    assert [json.loads(str(trial.config)) for trial in trials[3:]] == [{"x": 0.5, "y": 0.25}] * 5


def test_a_space_that_an_optimizer_changes_is_its_own(in_process: Callable[..., list[Trial]]) -> None:
    class Adds(RandomSearch):
        def __init__(self, space: ConfigurationSpace, **how: Any) -> None:
            super().__init__(copy.deepcopy(space), **how)
            space.add(Float("z", (0.0, 1.0)))

    problem = Bowl()
    assert all(trial.state == "ok" for trial in in_process(problem, Adds))
    assert set(problem.space) == {"x", "y"}


def test_what_a_call_changes_in_the_process_stays_on_its_side(
    in_process: Callable[..., list[Trial]], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    seen: list[tuple[Any, ...]] = []

    def surroundings() -> tuple[Any, ...]:
        variable = os.environ.get("OPTIBENCH_TEST")
        return Path.cwd(), variable, torch.get_default_dtype(), np.geterr()["divide"], sys.stdout, tempfile.gettempdir()

    outside = surroundings()
    own: list[Path] = []

    def habit(config: dict[str, Any]) -> None:
        own.append(Path.cwd())
        os.chdir(tmp_path)
        os.environ["OPTIBENCH_TEST"] = "1"
        torch.set_default_dtype(torch.float64)
        np.seterr(divide="raise")
        sys.stdout = io.StringIO()
        shutil.rmtree(tempfile.gettempdir())

    class Looks(RandomSearch):
        def ask(self, n: int = 1) -> list[Suggestion]:
            seen.append(surroundings())
            Path(tempfile.gettempdir(), "mine").touch()
            return super().ask(n)

    try:
        trials = in_process(Bowl(habit), Looks, surroundings=Surroundings(scratch=tmp_path / "scratch"))
        assert [trial.error for trial in trials] == [None] * 8
        assert surroundings() == outside
    finally:
        torch.set_default_dtype(torch.float32)
    assert {one[:5] for one in seen} == {outside[:5]}
    assert {one[5] for one in seen} == {str(tmp_path / "scratch" / "optimizer")}
    assert own[1:] == [tmp_path] * 7, "its own next call finds what it changed"


@pytest.mark.parametrize("draw", [random.random, lambda: float(np.random.rand())])  # noqa: NPY002
def test_global_generators_are_seeded_for_each_call(
    in_process: Callable[..., list[Trial]], draw: Callable[[], float]
) -> None:
    class Noisy(Bowl):
        def evaluate(self, config: Any, *, seed: int, fidelity: Any = None) -> Evaluation:
            return Evaluation(draw())

    class Global(RandomSearch):
        def ask(self, n: int = 1) -> list[Suggestion]:
            return [Suggestion({"x": draw(), "y": draw()})]

    first = in_process(Noisy(), Global)
    draw()
    second = in_process(Noisy(), Global)
    assert len({trial.value for trial in first}) == 8, "every trial has noise of its own"
    assert len({trial.config for trial in first}) == 8
    assert [(t.value, t.config) for t in first] == [(t.value, t.config) for t in second]


def test_what_is_printed_goes_to_a_log_that_has_an_end(
    optibench: Any, tmp_path: Path, install: Callable[[str, dict[str, str]], None]
) -> None:
    talk = (
        "def ask(self, n=1):\n    print('x' * 3_000_000)\n    os.system('echo from a child')\n    return super().ask(n)"
    )
    install("loud", {"loud": "import os\n" + talk.replace("    ", "    ")})
    code = (tmp_path / "site" / "odd_types.py").read_text()
    (tmp_path / "site" / "odd_types.py").write_text("import os\n" + code)
    done = optibench("run", "-o", "loud,random", *GRID)
    assert len(done.stdout) + len(done.stderr) < 2000
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert 3_000_000 < log.stat().st_size < 5_000_000
    assert "from a child" in log.read_text()
    assert log.read_text().endswith("[output beyond this size is not kept]\n")


def test_the_traceback_of_a_failed_trial_is_in_its_cells_log(optibench: Any, tmp_path: Path) -> None:
    for executor in ("serial", "processes"):
        grid = ("-o", "random", "-b", "misbehaving/raise", "-s", 1, "-t", 18, "--no-report")
        optibench("run", *grid, "--executor", executor, "--out", executor, check=3)
        (log,) = (tmp_path / executor / "logs").iterdir()
        assert "ValueError: x is negative" in log.read_text()
        assert "Traceback" in log.read_text()


def test_failures_may_be_allowed(optibench: Any, tmp_path: Path) -> None:
    grid = ("-o", "random", "-b", "misbehaving/raise", "-s", 1, "-t", 18, "--no-report", "--out", "out")
    assert "trials failed" in optibench("run", *grid, check=3).stderr
    optibench("run", "--out", "out", "--no-report", check=3)
    optibench("run", "--out", "out", "--no-report", "--allow-failures", check=0)


def test_an_interrupt_of_the_codes_own_is_a_failed_trial(
    optibench: Any, table: Any, tmp_path: Path, install: Callable[[str, dict[str, str]], None]
) -> None:
    install("interrupt", {"interrupts": "def ask(self, n=1):\n    raise KeyboardInterrupt"})
    optibench("run", "-o", "interrupts", *GRID[:-1], "serial", "--executor", "serial", check=3)
    assert (table(tmp_path / "serial").error.dropna() == "ask: KeyboardInterrupt: ").sum() == 5


def test_a_task_that_cannot_be_set_up_in_a_worker_costs_its_cells_only(
    optibench: Any, table: Any, tmp_path: Path
) -> None:
    """It can be described when the grid is planned, and is gone when the cells run."""
    (tmp_path / "once").mkdir()
    code = tmp_path / "site" / "misbehaving.py"
    code.write_text(
        code.read_text().replace(
            "    def create(self, name):\n",
            "    def create(self, name):\n"
            "        in_a_worker = multiprocessing.parent_process() is not None\n"
            "        if name == 'misbehaving/sleep' and in_a_worker:\n"
            "            raise RuntimeError('gone')\n",
        )
    )
    tasks = ("-b", "misbehaving/sleep,misbehaving/log", "-s", 1, "-t", 6, "--initial-size", 2, "-j", 1)
    optibench("run", "-o", "random", *tasks, "--no-report", "--out", "out", check=3)
    trials: pd.DataFrame = table(tmp_path / "out")
    gone = trials[trials.task == "misbehaving/sleep"]
    assert (
        gone.error.tolist()
        == [
            "setting up the task: BenchmarkError: Benchmark family 'misbehaving' "
            "(misbehaving:provider) is broken: RuntimeError: gone"
        ]
        * 6
    )
    assert (trials.state[trials.task == "misbehaving/log"] == "ok").all()
