"""The journal of a running cell: its finished trials survive a kill.

It has one line per trial, and one per worker that ended in the middle of a trial, which says why and whether the trial
is retried. A line that a kill or a full disk cut short is dropped, with everything after it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from optibench.cell.trials import Trial
from optibench.errors import HarnessError

LOCK_SECONDS = 30.0
"""How long to wait for another process that holds a journal."""
FATAL = ("set-up", "replay", "cell")
"""Steps whose failure ends the cell: no worker can get past them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How a worker ended in the middle of a trial.

    Attributes:
        trial: The trial.
        step: The interrupted step (``set-up``, ``replay``, ``ask``, ``evaluate`` or ``tell``), or ``cell`` if the cell
            exceeded its time limit.
        state: The trial's state if it is not retried: ``failed`` or ``timeout``.
        error: The trial's error text if it is not retried.
        seconds: How long the step had taken.
        retry: Whether the trial is retried.
    """

    trial: int
    step: str
    state: str
    error: str
    seconds: float
    retry: bool = False

    def to_json(self) -> str:
        return json.dumps({"fault": dataclasses.astuple(self)})

    @classmethod
    def from_json(cls, line: str) -> Fault:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: The line is not a complete record.
        """
        return cls(*msgspec.convert(json.loads(line), _FaultLine).fault)


class _FaultLine(msgspec.Struct):
    fault: tuple[int, str, str, str, float, bool]


class _Signature(msgspec.Struct):
    fingerprint: str
    run: str = ""


def _add(names: list[str], name: str) -> None:
    if name and name not in names:
        names.append(name)


@dataclass
class History:
    """The content of a journal: finished trials in order, faults, and the fingerprints and ids of their runs."""

    trials: list[Trial] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def similar_faults(self, fault: Fault) -> int:
        """Number of earlier faults of the same trial that were also before it, or also in it."""
        same_trial = (other for other in self.faults if other.trial == fault.trial)
        return sum((other.step in FATAL) == (fault.step in FATAL) for other in same_trial)

    def attempts(self, trial: int) -> int:
        """How many workers ended in that trial so far."""
        return sum(fault.trial == trial for fault in self.faults)

    def final_fault(self, trial: int) -> Fault | None:
        """The fault that decided the outcome of a trial; ``None`` if there is none."""
        return next((fault for fault in self.faults if fault.trial == trial and not fault.retry), None)

    def fatal_fault(self) -> Fault | None:
        """The fault after which no further trial of the cell can run; ``None`` if there is none."""
        final = (fault for fault in self.faults if not fault.retry)
        return next((fault for fault in final if fault.step in FATAL), None)

    def seconds(self) -> float:
        """Seconds that the cell took: the steps of its trials, and the retried attempts, which are in no trial."""
        lost = sum(fault.seconds for fault in self.faults if fault.retry)
        return lost + sum(trial.ask_seconds + trial.evaluate_seconds + trial.tell_seconds for trial in self.trials)

    def add(self, line: str) -> None:
        """Add a line of the journal.

        Raises:
            ValueError: The line is damaged, or its trial is not the next one.
        """
        if line.startswith('{"fingerprint": '):
            signature = msgspec.convert(json.loads(line), _Signature)
            _add(self.fingerprints, signature.fingerprint)
            _add(self.runs, signature.run)
            return
        if line.startswith("{"):
            fault = Fault.from_json(line)
            if fault.trial == -1:  # earlier versions wrote it for an abandoned attempt
                return
            if fault.trial != len(self.trials):
                raise ValueError(f"a fault of trial {fault.trial} after {len(self.trials)} trials")
            self.faults.append(fault)
            return
        trial = Trial.from_json(line)
        if trial.trial != len(self.trials):
            raise ValueError(f"trial {trial.trial} after {len(self.trials)} trials")
        self.trials.append(trial)


class Journal:
    """The journal of one cell; see the module's docstring."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def read(self) -> History:
        """The complete lines so far."""
        try:
            return parse(self.path.read_bytes())[0]
        except FileNotFoundError:
            return History()

    def open(self) -> History:
        """Open the journal for appending, cut off an incomplete end, and return the complete records.

        Waits for another process that still holds the journal (a worker whose runner was killed).

        Raises:
            HarnessError: The other process does not release it.
        """
        self._file = self.path.open("a+b", buffering=0)  # a failed write must not be repeated on closing
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: a forked child would hold it too
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    raise HarnessError(
                        f"Another process holds {self.path}, perhaps one that an objective started: end that process."
                    ) from None
                time.sleep(0.02)
        self._file.seek(0)
        content = self._file.read()
        history, whole = parse(content)
        if whole < len(content):
            self._file.truncate(whole)
        return history

    def sign(self, past: History, fingerprint: str, run: str) -> None:
        """Record the fingerprint and the run id of the next trials; ``past`` is what :meth:`open` returned."""
        if past.trials and not past.fingerprints and fingerprint:
            past.fingerprints.append("unknown")
        if (fingerprint and fingerprint not in past.fingerprints) or (run and run not in past.runs):
            line = self.signature(fingerprint, run)
            self._append(line)
            past.add(line)

    @staticmethod
    def signature(fingerprint: str, run: str) -> str:
        """The line with the fingerprint and the run id of the trials after it."""
        return json.dumps({"fingerprint": fingerprint, "run": run})

    def append(self, record: Trial | Fault) -> None:
        """Append a record; the operating system has it when this returns."""
        self._append(record.to_json())

    def _append(self, text: str) -> None:
        assert self._file is not None, "open() comes first"
        line = text.encode() + b"\n"
        while line:  # a disk that fills up takes a part, then raises an error for the rest
            line = line[self._file.write(line) :]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def parse(content: bytes) -> tuple[History, int]:
    """A journal's records, and the number of bytes of its complete lines."""
    history, whole = History(), 0
    for line in content.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                break
            history.add(line.decode())
        except (ValueError, TypeError):  # UnicodeDecodeError is a ValueError
            break
        whole += len(line)
    return history, whole
