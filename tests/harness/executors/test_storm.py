"""The fault storm: `make storm`, or `STORM_SEED=7 make storm` for the same blows again (their times differ).

A grid whose objectives raise, return NaN or infinity, loop for ever, crash, leave forked children behind and eat
memory, and whose optimizers propose what is no suggestion, while its workers, their guardians and its coordinator are
killed, even as the folder is made, its disk is full, and its journals and result files are cut: it finishes, no
finished trial is lost, none is there twice, and every fault is in the table with its kind.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import optibench_optimizers
from optibench.cell.design import initial_design
from optibench.cell.journal import Journal
from optibench.cell.proposal import plain
from optibench.cell.run import benchmark
from optibench.plan.cells import Cell, derived_seed
from optibench.store.run_folder import Store

pytestmark = [pytest.mark.heavy, pytest.mark.storm]
KINDS = {
    "raise": ("failed", "evaluate: ValueError: x is negative"),
    "nan": ("failed", "the objective returned nan"),
    "inf": ("failed", "the objective returned inf"),
    "hang": ("timeout", "evaluate: stopped at its limit of 3 s"),
    "crash": ("failed", "evaluate: the worker died (signal SIGSEGV)"),
    "die": ("failed", "evaluate: the worker died (signal SIGKILL)"),
    "exit": ("failed", "evaluate: the worker died (exit status 3)"),
    "hog": ("failed", "evaluate: the worker was stopped at "),
    "fork": ("failed", "evaluate: the worker died (signal SIGSEGV)"),
    "fork-session": ("failed", "evaluate: the worker died (signal SIGSEGV)"),
    "fork-hang": ("timeout", "evaluate: stopped at its limit of 3 s"),
    "sleep": ("ok", ""),
}
OPTIMIZERS = ("random", "sobol", "odd-types")
SEEDS, TRIALS, INITIAL = 9, 5, 2
GRID = f"""
optimizers: [{", ".join(OPTIMIZERS)}]
benchmarks: [{", ".join(f"misbehaving/{kind}" for kind in KINDS)}]
seeds: {SEEDS}
trials: {TRIALS}
initial_size: {INITIAL}
evaluation_limit: 3s
memory_limit: 320M
retries: 2
jobs: 2
"""
BLOWN = ("the worker died (signal SIGKILL)", "the worker died (exit status 255)")
"""What a trial says whose worker the storm killed more often than it is tried again."""
Key = tuple[str, int]


class Storm:
    """The blows, and what was finished before each of them.

    Args:
        folder: Where the grid runs.
        environment: Of its processes.
        seed: Drives which blows fall.
    """

    def __init__(self, folder: Path, environment: dict[str, str], seed: int) -> None:
        self.folder, self.environment, self.rng = folder, environment, random.Random(seed)
        self.out = folder / "out"
        self.blows: Counter[str] = Counter()
        self.finished: dict[Key, float] = {}
        """When each trial that must not be lost was begun."""

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "optibench.cli.main", "run", "grid.yaml", "--no-report", "--out", "out"]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def let_run(self, process: subprocess.Popen[str]) -> None:
        """Wait until it has workers and something is finished, and a little longer."""
        deadline = time.monotonic() + 120
        while not any(children(child) for child in children(process.pid)):
            assert process.poll() is None, "it came to nothing"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = len(list(self.out.glob("cells/*/*.arrow")))
        deadline = time.monotonic() + 40
        while len(list(self.out.glob("cells/*/*.arrow"))) < before + 6 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(self.rng.uniform(0.5, 5))

    def remember(self) -> None:
        """Note what is finished; whoever wrote it is dead."""
        store = Store(self.out)
        for key in store.cells.written():
            table = store.cells.read(key).to_pydict()
            self.finished |= {(key, n): at for n, at in zip(table["trial"], table["started_at"], strict=True)}
        for path in (self.out / "journal").glob("*.jsonl"):
            self.finished |= {(path.stem, trial.trial): trial.started_at for trial in Journal(path).read().trials}

    def forget(self, key: str, after: int = 0) -> None:
        """A file was cut on purpose: its trials from there on are run again."""
        self.finished = {k: at for k, at in self.finished.items() if k[0] != key or k[1] < after}

    def kill_workers(self, process: subprocess.Popen[str]) -> None:
        """Kill some workers while the coordinator runs."""
        for _ in range(self.rng.randint(3, 8)):
            time.sleep(self.rng.uniform(0.1, 1.5))
            guardians = [pid for child in children(process.pid) for pid in children(child)]
            workers = [*guardians, *(pid for guardian in guardians for pid in children(guardian))]
            if workers and process.poll() is None:
                kill(self.rng.choice(workers))
                self.blows["worker killed"] += 1

    def kill_in_creation(self) -> None:
        """Kill a coordinator while it makes its folder, and another one while it takes up what that left."""
        for _ in range(40):
            process = self.start()
            known = set(self.out.iterdir()) if self.out.exists() else None
            while process.poll() is None and (set(self.out.iterdir()) if self.out.exists() else None) == known:
                pass
            time.sleep(self.rng.uniform(0, 0.003))
            process.kill()
            process.communicate()
            if (self.out / "grid.yaml").exists():  # too late
                shutil.rmtree(self.out)
                continue
            self.blows["killed in creation"] += 1
            if self.blows["killed in creation"] == 4:
                break

    def kill_forkserver(self, process: subprocess.Popen[str]) -> None:
        """Kill what starts the workers, and them with it."""
        servers = [child for child in children(process.pid) if children(child)]
        if servers and process.poll() is None:
            kill(servers[0])
            self.blows["fork server killed"] += 1
            time.sleep(self.rng.uniform(1, 3))

    def kill_coordinator(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
            self.blows["coordinator killed"] += 1
        process.communicate()
        time.sleep(0.5)  # its workers die with it, not quite at once

    def cut(self) -> None:
        """Cut a journal, a finished cell and the compacted table somewhere."""
        journals, cells = sorted((self.out / "journal").glob("*.jsonl")), sorted(self.out.glob("cells/*/*.arrow"))
        if journals and self.cut_file(victim := self.rng.choice(journals), "journal cut"):
            self.forget(victim.stem, len(Journal(victim).read().trials))
        if cells and self.cut_file(victim := self.rng.choice(cells), "cell cut"):
            self.forget(victim.stem)
        with open(self.out / "events.jsonl", "ab") as file:  # noqa: PTH123
            file.write(b'{"time": 17')
        table = self.out / "trials.parquet"
        table.write_bytes(b"PAR1" + bytes(self.rng.randrange(200)))
        self.blows["table cut"] += 1

    def cut_file(self, path: Path, name: str) -> bool:
        content = path.read_bytes()
        if not content:
            return False
        path.write_bytes(content[: self.rng.randrange(len(content))])
        self.blows[name] += 1
        return True

    def full_disk(self) -> None:
        """A run that may suddenly write no longer files than a few kilobytes says so in one sentence."""
        process = self.start()
        self.let_run(process)
        size = self.rng.randrange(200, 4000)
        servers = children(process.pid)
        for pid in (*servers, *(worker for server in servers for worker in children(server))):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
        _, stderr = process.communicate(timeout=300)
        sentences = [line for line in stderr.splitlines() if line.startswith("optibench: ")]
        assert process.returncode == 2, stderr
        assert "Traceback" not in stderr, stderr
        assert len(sentences) == 1, stderr
        assert "File too large" in sentences[0], stderr
        self.blows["disk full"] += 1


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def expected_configs(cell: Cell) -> list[str]:
    """What an undisturbed cell evaluates: neither optimizer learns, so no outcome matters."""
    problem = benchmark(cell.task)
    seed = derived_seed("optimizer", cell.task, cell.seed)
    optimizer = optibench_optimizers.create(cell.optimizer, problem.space, seed=seed, n_trials=cell.trials)
    design = initial_design(problem, cell.seed, cell.initial_size)
    asked = [plain(optimizer.ask(1)[0].config) for _ in range(cell.trials - len(design))]
    return [json.dumps(config) for config in [*design, *asked]]


def test_the_storm(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nSTORM_SEED={seed}")
    (tmp_path / "grid.yaml").write_text(GRID)
    storm, began = Storm(tmp_path, environment, seed), time.monotonic()
    storm.kill_in_creation()
    blows: list[Callable[[subprocess.Popen[str]], None]] = [storm.kill_workers, storm.kill_forkserver]
    for gust in range(6):
        process = storm.start()
        storm.let_run(process)
        blows[gust % 2](process)
        storm.kill_coordinator(process)
        storm.remember()
        storm.cut()
        storm.full_disk()
    process = storm.start()
    storm.kill_workers(process)
    _, stderr = process.communicate(timeout=3600)
    assert process.returncode == 3, stderr
    monkeypatch.syspath_prepend(environment["PYTHONPATH"].split(os.pathsep)[0])
    check(storm, time.monotonic() - began)


def check(storm: Storm, seconds: float) -> None:
    """Look at the finished table, and print what is in it."""
    store = Store.open(storm.out)
    trials: pd.DataFrame = store.trials(store.plan().cells()).to_pandas()
    trials = trials.astype(dict.fromkeys(trials.select_dtypes("category"), str))
    cells = len(OPTIMIZERS) * len(KINDS) * SEEDS
    assert cells >= 300
    assert trials.groupby("cell").size().tolist() == [TRIALS] * cells
    duplicated = int(trials.duplicated(["cell", "trial"]).sum())
    begun = {(cell, trial): at for cell, trial, at in trials[["cell", "trial", "started_at"]].itertuples(index=False)}
    lost = [key for key, at in storm.finished.items() if begun[key] != at]
    kinds: Counter[str] = Counter()
    wrong, unlucky = [], 0
    odd = (trials.optimizer == "odd-types") & (trials.phase == "search")
    assert trials.config[odd].isna().all()
    proposed = "ask: TypeError: |the optimizer proposed an illegal configuration: TypeError: "
    told = trials.error[odd].str.match(proposed) | trials.error[odd].str.endswith(BLOWN)
    assert told.all(), trials.error[odd][~told].tolist()
    kinds["odd type"], every = int(odd.sum()), len(trials)
    trials = trials[~odd]
    given_up = trials.config.isna()  # the storm struck a cell three times before it had got to a trial
    assert trials.error[given_up].str.endswith(BLOWN).all()
    xs = trials.config.map(lambda config: json.loads(config)["x"] if isinstance(config, str) else 1.0)
    for row, x in zip(trials.itertuples(), xs, strict=True):
        kind = row.task.rpartition("/")[2]
        faulty = kind != "sleep" and x < (0 if kind in ("raise", "nan", "inf") else -0.5)
        state, text = KINDS[kind] if faulty else ("ok", "")
        kinds[kind if faulty else "ok"] += 1
        error = row.error if isinstance(row.error, str) else ""
        if row.state == state and error.startswith(text):
            continue
        if row.attempts != 1 and error.endswith(BLOWN):  # the storm struck one trial three times
            unlucky += 1
        elif not (faulty and kind == "hog" and error == KINDS["hang"][1]):  # a slow machine: out of time before memory
            wrong.append((row.cell, row.trial, kind, x, row.state, row.error, row.attempts, row.evaluate_seconds))
    print(f"{cells} cells, {every} trials in {seconds:.0f} s; in the table: {dict(kinds)}")
    print(
        f"blows: {dict(storm.blows)}; {int((trials.attempts > 1).sum())} trials with more than one attempt, "
        f"{unlucky} failed by blows alone"
    )
    print(f"{len(storm.finished)} trials noted as finished before a blow, {len(lost)} lost; {duplicated} duplicated")
    assert not lost
    assert not duplicated
    assert not wrong
    assert set(kinds) == {"ok", "odd type", *KINDS} - {"sleep"}
    for cell in (one for one in store.plan().cells() if one.optimizer != "odd-types"):
        asked = trials[trials.cell == cell.key].config.dropna().tolist()
        assert asked == expected_configs(cell)[: len(asked)]
    for blow in (
        "killed in creation",
        "worker killed",
        "fork server killed",
        "coordinator killed",
        "journal cut",
        "cell cut",
        "disk full",
    ):
        assert storm.blows[blow] > 0, storm.blows
