"""What a suggestion costs in an Optuna study: OptiFormerSampler beside TPE and Optuna's GP; a part of ``make latency``.

A row is a sampler in a study of ``n`` finished trials with ``D`` floats in one storage. The clocks, of wall and of
processor time, run during ``study.ask()`` and the ``D`` calls of ``suggest_float``; the trial before was told. The
samplers take turns, so that a busy moment of the machine slows all of them. With fewer than 100 trials, new studies
begin after five rounds, so that the history stays near ``n``. The first suggestion in a study is not counted.

A row ends after ``--rounds`` suggestions, or with fewer once they have taken ``--limit`` seconds of processor time. A
suggestion that takes longer than that alone is stopped, and the row says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from optiformer import OptiFormerSampler

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "TPESampler": lambda seed: TPESampler(seed=seed),
    "TPESampler(multivariate)": lambda seed: TPESampler(seed=seed, multivariate=True, group=True),
    "GPSampler": lambda seed: GPSampler(seed=seed),
    "OptiFormerSampler": lambda seed: OptiFormerSampler(seed=seed),
}
STORAGES = ("memory", "sqlite", "journal")
PAST, DIMENSIONS = (10, 50, 100, 200, 1000), (2, 7, 20, 100)
ROUNDS, LIMIT = 15, 20.0
WINDOW, LONG = 5, 100
"""Rounds in one study, and the number of past trials from which one study takes all rounds."""
PUBLISHED = Path(__file__).parents[2] / "docs" / "latency-studies.json"
"""Times of an earlier run, for the forecast."""


class OverLimitError(BaseException):
    """A suggestion took longer than the limit; no ``Exception``, so that no library handles it."""


@dataclass
class Row:
    """One sampler in one study.

    Attributes:
        sampler: Its name in ``SAMPLERS``.
        storage: ``memory``, ``sqlite`` or ``journal``.
        n: Finished trials at the start.
        d: Parameters.
        wall_seconds: Seconds of each round.
        cpu_seconds: Processor seconds of each round.
        over_limit: The limit if the suggestion after these was stopped at it, else ``None``.
        spent: Processor seconds of all suggestions, also of those not counted.
        load_average: The machine's when the row began.
    """

    sampler: str
    storage: str
    n: int
    d: int
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    over_limit: float | None = None
    spent: float = 0.0
    load_average: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))

    def __str__(self) -> str:
        if self.over_limit is not None:
            return f"{self.sampler} over {self.over_limit:g} s"
        return f"{self.sampler} {1e3 * np.median(self.cpu_seconds):.3g} ms"

    def continues(self, rounds: int, limit: float) -> bool:
        if self.over_limit is not None or len(self.wall_seconds) >= rounds:
            return False
        return not self.wall_seconds or self.spent < limit

    def suggest(self, study: optuna.Study, limit: float, *, counted: bool) -> None:
        """One round: a timed suggestion, its value, and the tell."""
        try:
            with _limited(limit):
                wall, cpu = time.perf_counter(), time.process_time()
                trial = study.ask()
                x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(self.d)]
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        except OverLimitError:
            self.over_limit = limit
            return
        study.tell(trial, value(x))
        self.spent += cpu
        if counted:
            self.wall_seconds.append(round(wall, 7))
            self.cpu_seconds.append(round(cpu, 7))


def value(x: Sequence[float]) -> float:
    """A smooth function whose later parameters matter less."""
    away = np.asarray(x) - 0.3
    return float((np.square(away) + 0.1 * np.sin(6 * away)) @ (1 / (1 + np.arange(len(x)))))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise after these processor seconds; by the timer of wall time, since the other one makes their clock coarse."""
    end = time.process_time() + seconds

    def check(*_: object) -> None:
        left = end - time.process_time()
        if left <= 0:
            raise OverLimitError
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.01))

    before = signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Template:
    """Random finished trials in one storage, which studies begin with; more can be added.

    Args:
        storage: ``memory``, ``sqlite`` or ``journal``.
        d: Parameters.
        folder: For the files of the storages.
    """

    def __init__(self, storage: str, d: int, folder: Path) -> None:
        self.storage, self.d, self.folder = storage, d, folder
        self._trials: list[optuna.trial.FrozenTrial] = []
        self._rng = np.random.default_rng(d)
        self._copies = itertools.count()
        self._study = optuna.create_study(study_name="latency", storage=self._open(folder / "template", safe=False))

    def grow(self, n: int) -> None:
        """Add trials until there are ``n``."""
        ranges = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(self.d)}
        points = self._rng.random((n - len(self._trials), self.d)).tolist()
        more = [
            optuna.trial.create_trial(params=dict(zip(ranges, x, strict=True)), distributions=ranges, value=value(x))
            for x in points
        ]
        self._trials += more
        if self.storage != "memory":
            self._study.add_trials(more)

    def study(self, sampler: BaseSampler) -> optuna.Study:
        """A new study with these trials, in a storage of its own that has read them."""
        if self.storage == "memory":
            study = optuna.create_study(sampler=sampler)
            study.add_trials(self._trials)
            return study
        path = self.folder / f"copy{next(self._copies)}"
        shutil.copy(self.folder / "template", path)
        return optuna.load_study(study_name="latency", storage=self._open(path), sampler=sampler)

    def _open(self, path: Path, *, safe: bool = True) -> BaseStorage:
        if self.storage == "journal":
            return JournalStorage(JournalFileBackend(str(path)))
        if self.storage == "memory":
            return InMemoryStorage()
        storage = RDBStorage(f"sqlite:///{path}")
        if not safe:  # a thousand trials would wait for the disk for minutes
            from sqlalchemy import event

            event.listen(storage.engine, "connect", lambda link, _: link.execute("PRAGMA synchronous=OFF"))
            storage.engine.dispose()
        return storage


def measure(rows: Sequence[Row], template: Template, rounds: int, limit: float) -> None:
    """Fill rows that differ by their sampler only, in turns."""
    window = rounds if rows[0].n >= LONG else WINDOW
    for seed in itertools.count():
        going = [row for row in rows if row.continues(rounds, limit)]
        if not going:
            return
        studies = [(row, template.study(SAMPLERS[row.sampler](seed))) for row in going]
        for turn in range(window + 1):
            first = turn % len(studies)
            for row, study in studies[first:] + studies[:first]:
                if row.continues(rounds, limit):
                    row.suggest(study, limit, counted=turn > 0)


def forecast(rows: Sequence[Row], rounds: int, limit: float) -> str:
    """How long the suggestions will take: an upper bound, and an estimate if ``docs/latency-studies.json`` has them."""
    text = f"{len(rows)} rows, at most {len(rows) * 2 * limit / 60:.0f} minutes of a core"
    if not PUBLISHED.exists():
        return text
    known = {
        (row["sampler"], row["n"], row["d"]): limit if row["over_limit"] else float(np.median(row["cpu_seconds"]))
        for row in json.loads(PUBLISHED.read_text(encoding="utf-8"))["studies"]
    }
    each = [known.get((row.sampler, row.n, row.d), np.nan) for row in rows]
    seconds = np.nansum(np.minimum(np.array(each) * (rounds + 1), 2 * limit))
    unknown = int(np.isnan(each).sum())
    return f"{text}, about {seconds / 60:.0f}" + f" and {unknown} unknown rows" * (unknown > 0)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if "GPSampler" in options.samplers and importlib.util.find_spec("greenlet") is None:
        sys.exit("Optuna's GPSampler is slower without greenlet: `pip install greenlet`, or leave GPSampler out.")
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("Latency is measured with one thread: set OMP_NUM_THREADS=1, or use `make latency`.")
    if "GPSampler" in options.samplers:
        import torch

        torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    places = list(itertools.product(options.dimensions, options.storages, sorted(options.past)))
    planned = [Row(sampler, storage, n, d) for d, storage, n in places for sampler in options.samplers]
    print(f"Forecast: {forecast(planned, options.rounds, options.limit)}, and the studies before.", flush=True)
    content = _facts()
    for sampler in options.samplers:  # imports and weights are read before the clocks run
        Row(sampler, "memory", 12, 2).suggest(_first_study(sampler), 600.0, counted=False)
    with tempfile.TemporaryDirectory() as folder:
        for d, storage, n in places:
            if n == min(options.past):
                template = Template(storage, d, Path(tempfile.mkdtemp(dir=folder)))
            template.grow(n)
            rows = [Row(sampler, storage, n, d) for sampler in options.samplers]
            measure(rows, template, options.rounds, options.limit)
            content["studies"] += [asdict(row) for row in rows]
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(content), encoding="utf-8")
            print(f"{storage}, D={d}, n={n}: {', '.join(map(str, rows))}", flush=True)


def _first_study(sampler: str) -> optuna.Study:
    template = Template("memory", 2, Path())
    template.grow(12)
    return template.study(SAMPLERS[sampler](0))


def _facts() -> dict[str, Any]:
    import cpuinfo

    cpu = cpuinfo.get_cpu_info()
    packages = ("optuna", "optiformer", "greenlet", "torch", "scipy", "numpy")
    return {
        "machine_info": {
            "cpu": {"brand_raw": cpu.get("brand_raw", ""), "count": os.cpu_count()},
            "python_version": ".".join(map(str, sys.version_info[:3])),
        },
        "datetime": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: version(name) for name in packages if importlib.util.find_spec(name)},
        "studies": [],
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time suggestions inside Optuna studies.")
    parser.add_argument("--out", type=Path, default=Path("runs/latency-studies.json"))
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--storages", nargs="+", choices=STORAGES, default=STORAGES)
    parser.add_argument("--past", nargs="+", type=_whole, default=PAST, metavar="N", help="finished trials")
    parser.add_argument("--dimensions", nargs="+", type=_whole, default=DIMENSIONS, metavar="D", help="parameters")
    parser.add_argument("--rounds", type=_whole, default=ROUNDS, help="suggestions a row")
    parser.add_argument("--limit", type=_seconds, default=LIMIT, help="processor seconds, of a row and of a suggestion")
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


if __name__ == "__main__":
    main()
