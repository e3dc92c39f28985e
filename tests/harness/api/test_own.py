"""Optimizers and tasks that are given as objects: in a notebook, a script without a guard, a module, a closure."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optibench as ob
import optibench_benchmarks
import optibench_optimizers
from optibench.cli.main import main
from optibench.own.code import examine
from optibench.store.fingerprint import _reached

#: What a notebook's cells are to a worker: there is no file to import.
DEFINED = """
import numpy as np
import optibench as ob

SCALE = 0.2


class Nearby(ob.Optimizer):
    def __init__(self, space, *, seed, n_trials, scale=SCALE):
        self.space, self.rng, self.scale, self.best = space, np.random.default_rng(seed), scale, None

    def ask(self, n=1):
        return [ob.Suggestion({"x": float(np.clip(self.best.config["x"] + self.rng.normal(scale=self.scale), -5, 5))})]

    def tell(self, observations):
        self.best = min([*observations, *filter(None, [self.best])], key=lambda one: one.value)


class Line(ob.Benchmark):
    space = ob.task(abs, {"x": (-5.0, 5.0)}).space

    def evaluate(self, config, *, seed, fidelity=None):
        return ob.Evaluation(config["x"])


def make(shift):
    return ob.task(lambda config: (config["x"] - shift) ** 2, {"x": (-5.0, 5.0)}, name=f"own/{shift}")
"""
CALL = """
run = ob.run(optimizers=["random", Nearby, ob.optimizer(Nearby, name="wide", scale=2.0)],
             tasks=[make(1), make(2), Line], seeds=2, trials=12, initial_size=4, jobs=2, out="out", **MORE)
trials = run.trials
print(len(trials), len(run.failed), sorted(set(trials.optimizer)), sorted(set(trials.task)), trials.value.sum())
"""


def python(code: str, where: Path, *, script: bool = False) -> Any:
    """Run code as a notebook has it, or as a script."""
    if script:
        (where / "script.py").write_text(code)
    command = [sys.executable, "script.py" if script else "-"]
    return subprocess.run(
        command, input=None if script else code, cwd=where, capture_output=True, text=True, timeout=120
    )


def cells(code: str, capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    """Run code here as a notebook's kernel does; what it printed."""
    exec(compile(f"{code}\n{CALL}", "cell", "exec", dont_inherit=True), {"__name__": "__main__", "MORE": more})
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run from a notebook, and what it printed."""
    folder = tmp_path_factory.mktemp("notebook")
    done = python(f"{DEFINED}\nMORE = {{}}\n{CALL}", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_what_a_notebook_defines_runs_in_workers(notebook: tuple[Path, str]) -> None:
    folder, printed = notebook
    assert printed.startswith("216 0 ['Nearby', 'random', 'wide:scale=2.0'] ['Line', 'own/1', 'own/2'] ")
    assert not [path for path in (folder / "out").rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_a_script_needs_no_guard_and_all_executors_agree(
    notebook: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script").mkdir()
    done = python(f"{DEFINED}\nMORE = {{}}\n{CALL}", tmp_path / "script", script=True)
    assert done.stdout == notebook[1], done.stderr
    monkeypatch.chdir(tmp_path)
    assert cells(DEFINED, capsys, executor="serial") == notebook[1]


def test_the_same_call_resumes_and_changed_code_is_noticed(
    notebook: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notebook[0])
    moved = DEFINED.replace("class Nearby", "# a comment\n\n\nclass Nearby").replace(
        "def make(", "def unused(): ...\n\ndef make("
    )
    assert cells(moved, capsys) == notebook[1]
    for old, new, what in (
        ("SCALE = 0.2", "SCALE = 0.3", "Nearby changed"),
        ("- shift) ** 2", "- shift) ** 4", "own/1 changed; own/2 changed"),
        ('config["x"])\n', 'config["x"] + 1)\n', "Line changed"),
    ):
        assert old in DEFINED
        with pytest.raises(ob.HarnessError, match=f"cells were made by other code.*{what}.*changed=.rerun"):
            cells(DEFINED.replace(old, new), capsys)


def test_a_folder_alone_does_not_resume_objects(
    notebook: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notebook[0])
    assert main(["run", "--out", "out", "--no-report"]) == 2
    said = capsys.readouterr().err
    assert "out runs Nearby, wide, own/1, own/2, Line, passed to ob.run as Python objects" in said
    assert "out='out'" in said
    assert ob.load("out").finished  # which needs no object


def test_a_module_of_the_user_is_imported_by_workers_and_its_other_files_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text(
        "from helper_alone import shift\n\ndef line(c):\n    return c['x'] + shift\n"
    )
    (tmp_path / "helper_alone.py").write_text("shift = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    line = __import__("mine_alone").line
    for changed in (False, False, True):
        if changed:
            (tmp_path / "helper_alone.py").write_text("shift = 2\n")
            _reached.cache_clear()  # as in a new process
        expected = pytest.raises(ob.HarnessError, match=r"helper_alone\.py changed") if changed else nullcontext()
        with expected:
            task = ob.task(line, {"x": (0.0, 1.0)})
            run = ob.run(optimizers="random", tasks=task, seeds=1, trials=11, jobs=1, out=tmp_path / "out")
            assert len(run.failed) == 0


def function(config: dict[str, Any]) -> float:
    return float(config["x"])


class Same(ob.Optimizer):
    """Proposes one configuration."""

    def __init__(self, space: Any, *, seed: int, n_trials: int, at: float = 0.5) -> None:
        self.at = at

    def ask(self, n: int = 1) -> list[ob.Suggestion]:
        return [ob.Suggestion({"x": self.at})] * n

    def tell(self, observations: Any) -> None:
        pass


SPACE = {"x": (0.0, 1.0)}
SERIAL: dict[str, Any] = {"seeds": 1, "trials": 3, "initial_size": 1, "executor": "serial"}


def test_settings_are_part_of_a_name_and_a_maker_may_be_any_function(tmp_path: Path) -> None:
    def quarter(space: Any, *, seed: int, n_trials: int) -> ob.Optimizer:
        return Same(space, seed=seed, n_trials=n_trials, at=0.25)

    run = ob.run(
        optimizers=[Same, partial(Same, at=0.75), quarter, ob.optimizer(partial(Same, at=0.1), name="low")],
        tasks=ob.task(function, SPACE),
        out=tmp_path / "out",
        **SERIAL,
    )
    last = run.trials.groupby("optimizer")["value"].last()
    assert last.to_dict() == {"Same": 0.5, "Same:at=0.75": 0.75, "quarter": 0.25, "low": 0.1}
    assert "Same" not in optibench_optimizers.entries()
    assert "function" not in optibench_benchmarks.families()


def test_the_same_name_may_be_another_function_in_the_next_run(tmp_path: Path) -> None:
    for add in (0.0, 10.0):
        task = ob.task(lambda config, add=add: config["x"] + add, SPACE, name="line")
        run = ob.run(optimizers=Same, tasks=task, out=tmp_path / str(add), **SERIAL)
        assert run.trials["value"].iloc[-1] == 0.5 + add


def test_a_function_may_take_a_seed_fail_and_say_more(tmp_path: Path) -> None:
    def noisy(config: dict[str, Any], seed: int) -> ob.Evaluation:
        if config["n"] > 5:
            raise ValueError("too many")
        return ob.Evaluation(config["n"] + seed / 2**31, info={"seed": seed})

    task = ob.task(noisy, {"n": (1, 10), "kind": ["a", "b"]}, direction="maximize")
    assert task.sampling == "noisy"
    run = ob.run(optimizers=["random"], tasks=[task], seeds=2, trials=20, jobs=1, out=tmp_path / "out")
    trials, failed = run.trials, run.failed
    assert set(failed["state"]) == {"failed"}
    assert failed["error"].str.contains("too many").all()
    assert {type(config) for config in trials["config"]} == {dict}
    known = trials[trials["state"] == "ok"]
    assert 0 < len(failed) == len(trials) - len(known)
    assert all(info["seed"] == round((value % 1) * 2**31) for info, value in zip(known["info"], known["value"]))  # noqa: B905
    with pytest.raises(TypeError, match="returned None; it must return a number"):
        ob.task(lambda config: None, SPACE, name="none").evaluate({"x": 0.5}, seed=0)  # type: ignore[arg-type, return-value]


@pytest.mark.heavy
def test_objects_run_on_dask_too(
    dask_pair: Any, notebook: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dask_pair.folder)
    assert cells(DEFINED, capsys, executor="dask", scheduler=dask_pair.address) == notebook[1]


def test_objects_with_much_data_are_not_sent_with_every_cell(tmp_path: Path) -> None:
    data = np.zeros(200_000)
    task = ob.task(lambda config: config["x"] + data[0], SPACE, name="large")
    words = "Task 'large' takes 1,60.,... bytes with its data, and a run on Dask sends at most 1,000,000 with each cell"
    with pytest.raises(ob.HarnessError, match=words):
        ob.run(optimizers="random", tasks=task, executor="dask", scheduler="tcp://127.0.0.1:1", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_task_with_a_reference_has_regret(tmp_path: Path) -> None:
    given = ob.Reference(0.0, 0.25, 1.0, "known")
    run = ob.run(optimizers=Same, tasks=ob.task(function, SPACE, reference=given), out=tmp_path / "out", **SERIAL)
    assert run.trials["regret"].tolist() == [value / 0.25 for value in run.trials["incumbent"]]
    with pytest.raises(ob.BenchmarkError, match="`direction` is maximize, and the best value of its `reference`"):
        ob.task(function, SPACE, reference=given, direction="maximize")


def test_what_kills_its_process_costs_one_trial(tmp_path: Path) -> None:
    def deadly(config: dict[str, Any]) -> float:
        if config["x"] == 0.5:
            os._exit(1)
        return float(config["x"])

    task = ob.task(deadly, SPACE)
    run = ob.run(
        optimizers=Same, tasks=task, seeds=1, trials=3, initial_size=2, retries=0, jobs=1, out=tmp_path / "out"
    )
    assert run.failed["error"].str.contains("exit status 1").tolist() == [True], run.failed["error"][0]
    assert run.trials["state"].tolist() == ["ok", "ok", "failed"]


class Unfit(Same):
    def __init__(self, space: Any, *, seed: int, n_trials: int) -> None:
        raise ZeroDivisionError("of its own")


@pytest.mark.parametrize(
    ("optimizers", "tasks", "words"),
    [
        ([Same, type("Same", (Same,), {})], None, "Two optimizers are called 'Same': give one of them another name"),
        ([ob.optimizer(Same, name="tpe")], None, "Optimizer 'tpe' is registered twice"),
        ([ob.optimizer(Same, name="a b")], None, "An optimizer's name has none of"),
        ([lambda space, seed, n_trials: None], None, r"needs a name: ob.optimizer\(..., name='mine'\)"),
        ([partial(Same, {})], None, r"needs a name: ob.optimizer\(..., name='mine'\)"),
        ([Same({}, seed=0, n_trials=1)], None, "Give the class Same, not an instance"),
        ([3], None, "An optimizer is a name, a class of ob.Optimizer, or a function that makes one, not 3"),
        ([partial(Same, at=np.ones(2))], None, "the setting 'at' is .*, which no table can show: bind it with"),
        ([ob.optimizer(Same, stdev=1)], None, "Optimizer 'Same' has no setting 'stdev': it has at"),
        ([Unfit], None, "Optimizer 'Unfit' cannot be set up: ZeroDivisionError: of its own"),
        (["Same"], None, "Unknown optimizer 'Same'"),
        ([Same], function, "not <function function at .*: make one of it with ob.task"),
        ([Same], [ob.task(function, SPACE), ob.task(function, SPACE)], "Two tasks are called 'function'"),
        ([Same], ob.task(function, SPACE, name="a b"), "A task's name has no spaces"),
        ([Same], ob.task(function, SPACE, name="yahpo/mine"), "Benchmark family 'yahpo' is registered twice"),
        ([Same], None, "The call names no tasks: give them as `tasks="),
        (3, None, "An optimizer is a name, a class of ob.Optimizer, or a function that makes one, not 3"),
        ([Same], 3, r"A task is a name, an ob.Benchmark or an ob.task\(...\), not 3"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(optimizers: Any, tasks: Any, words: str, tmp_path: Path) -> None:
    given = ob.task(function, SPACE) if tasks is None and "no tasks" not in words else tasks
    errors = (ob.HarnessError, ob.OptimizerError, ob.BenchmarkError)
    with pytest.raises(errors, match=words) as caught:
        ob.run(optimizers=optimizers, tasks=given, out=tmp_path / "out", **SERIAL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_pickled_is_refused_and_runs_in_this_process(tmp_path: Path) -> None:
    import threading

    lock = threading.Lock()

    def locked(config: dict[str, Any]) -> float:
        with lock:
            return float(config["x"])

    task = ob.task(locked, SPACE)
    with pytest.raises(ob.HarnessError, match=r"Task 'locked' cannot be sent to worker processes \(TypeError: cannot"):
        ob.run(optimizers=Same, tasks=task, out=tmp_path / "out", seeds=1, trials=3, initial_size=1)
    assert not (tmp_path / "out").exists()
    assert len(ob.run(optimizers=Same, tasks=task, out=tmp_path / "out", **SERIAL).failed) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, SPACE), "ob.task takes a function first, not 3"),
        ((function, {"x": (1.0, 0.0)}), "The task 'function': `space` is a ConfigurationSpace, or a dict"),
        ((function, {"x": (0.0, np.inf)}), r"^The task 'function': `space` is [^\n]+$"),
        ((lambda config: 0.0, SPACE), "A task of <lambda> needs a name"),
        ((function, SPACE, {"constraints": "size"}), "its `constraints` must be a tuple of names, not 'size'"),
        ((function, SPACE, {"constraints": 3}), "its `constraints` must be a tuple of names, not 3"),
        ((function, SPACE, {"objectives": ["a", "b"]}), "its `objectives` must name a direction for each objective"),
        ((function, SPACE, {"reference": 3}), "its `reference` must be an optibench_benchmarks.Reference or None"),
        ((function, SPACE, {"best": 1.0}), '`best` goes with reference="random"'),
        ((function, SPACE, {"best": "0", "reference": "random"}), "`best` is a number, not '0'"),
        (
            (function, SPACE, {"reference": "Random"}),
            "`reference` is None, \"random\" or an ob.Reference, not 'Random'",
        ),
    ],
)
def test_a_task_that_is_none_is_refused(arguments: Any, words: str) -> None:
    first, space, *more = arguments
    with pytest.raises(ob.BenchmarkError, match=words):
        ob.task(first, space, **(more[0] if more else {}))


def test_a_range_with_one_float_is_one_of_floats() -> None:
    space = ob.task(function, {"x": (0, 1.5), "n": (0, 2)}).space
    assert (type(space["x"]).__name__, space["x"].upper) == ("UniformFloatHyperparameter", 1.5)
    assert (type(space["n"]).__name__, space["n"].upper) == ("UniformIntegerHyperparameter", 2)


def test_a_hash_of_code_sees_what_it_uses_and_nothing_else() -> None:
    def build(text: str, **globals_: Any) -> Any:
        exec(text, globals_)
        return globals_["f"]

    same = build("def f(c):\n    return c + a", a=1)
    assert examine(same).digest == examine(build('\n\ndef f(c):\n    "What."\n    return c + a', a=1, b=2)).digest
    other = [
        build("def f(c):\n    return c - a", a=1),
        build("def f(c):\n    return c + a", a=2),
        build("def f(c, d=0):\n    return c + a", a=1),
        build("def f(c):\n    return [c + a for _ in (1,)]", a=1),
        build("def f(c):\n    return c + a", a=np.ones(2)),
        build("def f(c):\n    return c + a", a=np.zeros(2)),
        build("def f(c):\n    return c + a", a={"k": {3, 4}}),
    ]
    assert len({examine(one).digest for one in [same, *other]}) == 8
