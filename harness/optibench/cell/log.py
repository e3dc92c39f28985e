"""The log of a cell: what its optimizer and benchmark print, and the tracebacks of failed trials."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 4 * 2**20
"""Maximum size of a log; the beginning is kept."""
_CUT = b"\n[output beyond this size is not kept]\n"


class CellLog:
    """The log file of one cell.

    Args:
        path: The path of the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._file = open(self._fd, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115

    def write(self, text: str) -> None:
        """Add a text; errors such as a full disk are ignored."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
            self._file.flush()

    def trim(self) -> None:
        """Cut the log to :data:`MAX_BYTES`."""
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size > MAX_BYTES + len(_CUT):
                os.ftruncate(self._fd, MAX_BYTES)
                os.write(self._fd, _CUT)

    @contextlib.contextmanager
    def capture(self, *, whole_process: bool) -> Iterator[None]:
        """Redirect standard output and standard error to the log.

        Args:
            whole_process: Also redirect output of C code and child processes; only for processes that run nothing else.
        """
        if not whole_process:
            with contextlib.redirect_stdout(self._file), contextlib.redirect_stderr(self._file):
                yield
            return
        _flush()
        before = {number: os.dup(number) for number in (1, 2)}
        for number in before:
            os.dup2(self._fd, number)
        try:
            yield
        finally:
            _flush()
            for number, saved in before.items():
                os.dup2(saved, number)
                os.close(saved)

    def close(self) -> None:
        """Close the log, and remove it if it is empty."""
        self.trim()
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        with contextlib.suppress(OSError):
            empty = os.fstat(self._fd).st_size == 0
            os.close(self._fd)
            if empty:
                self._path.unlink(missing_ok=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
