"""The journal of a running cell: what survives a kill between two trials."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.trials import Trial


class Journal:
    """The trials of a running cell, one line each; a line that a kill cut short is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def read(self) -> list[Trial]:
        """The whole trials so far, in order."""
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        trials: list[Trial] = []
        for line in text.splitlines(keepends=True):
            try:
                trial = Trial.from_json(line) if line.endswith("\n") else None
            except ValueError:
                trial = None
            if trial is None or trial.trial != len(trials):
                break
            trials.append(trial)
        return trials

    def open(self, trials: Sequence[Trial]) -> None:
        """Begin to append after ``trials``, which is what the journal then holds.

        Waits for another process that still holds the journal (a worker whose runner was killed).
        """
        self._file = self.path.open("a+", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.seek(0)
        text = "".join(trial.to_json() + "\n" for trial in trials)
        if self._file.read() != text:
            self._file.truncate(0)
            self._file.write(text)
            self._file.flush()

    def append(self, trial: Trial) -> None:
        """Add a trial; in the operating system's hands when this returns."""
        assert self._file is not None, "open() comes first"
        self._file.write(trial.to_json() + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
