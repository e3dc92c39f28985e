"""The Dask task of a cell: passes the cell to a separate process, and sends the journal while it grows.

Only plain data is sent, so that a worker with another version can answer with a clear error message.
"""

from __future__ import annotations

import json
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optibench.executors.dask.fingerprint import difference

POLL_SECONDS = 0.1
NEWS_SECONDS = 1.0
"""How often the journal of a running cell is sent, at most."""
BYTES_PER_SECOND = 50_000
"""Maximum rate at which journals are sent; long ones are sent less often."""

LOG_BYTES = 2**16
"""Maximum size of the part of a cell's log that is sent."""


class Cancelled(Exception):
    """The coordinator no longer waits for this cell, or the worker is about to end."""


class CellProcess:
    """The Dask worker's handle of a process that runs cells (:mod:`optibench.executors.dask.cell_process`).

    Args:
        setup: What all cells of a run share, as JSON values.
        scratch: The process's temporary folder is created in here.
    """

    def __init__(self, setup: Mapping[str, Any], scratch: str) -> None:
        self.setup = dict(setup)
        self.folder = Path(tempfile.mkdtemp(prefix="optibench-", dir=scratch))
        (self.folder / "journal").mkdir()
        command = [sys.executable, "-m", "optibench.executors.dask.cell_process"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._send({**self.setup, "folder": str(self.folder)})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def _path(self, cell: Mapping[str, Any]) -> Path:
        return self.folder / "journal" / f"{cell['key']}.jsonl"

    def run(self, cell: Mapping[str, Any], journal: str, look: Callable[[str], None]) -> dict[str, Any]:
        """Run a cell.

        Args:
            cell: The cell's fields.
            journal: What its journal holds so far.
            look: Called repeatedly with the journal's current content; may raise an error to end the cell.

        Returns:
            The final ``journal``, the ``events``, the ``log`` with the printed output, and ``error``: why the cell
            could not run, or ``None``.
        """
        assert self.process.stdout is not None
        path = self._path(cell)
        path.write_text(journal, encoding="utf-8")
        try:
            self._send(cell)
            while not select.select([self.process.stdout], [], [], POLL_SECONDS)[0]:
                look(_whole_lines(path))
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            status = self.process.wait(5)
            error = f"the process that runs cells ended (exit status {status}); the worker's log says why"
            return {"error": error, "events": [], "journal": _whole_lines(path)}
        answer["journal"], answer["log"] = _whole_lines(path), self._log(cell["key"])
        path.unlink(missing_ok=True)
        return answer

    def _log(self, key: str) -> str:
        """The beginning of a cell's printed output; removes its file."""
        path = self.folder / "logs" / f"{key}.log"
        try:
            with path.open("rb") as file:
                found = file.read(LOG_BYTES).decode(errors="replace")
        except OSError:
            return ""
        path.unlink(missing_ok=True)
        return found

    def halt(self, cell: Mapping[str, Any]) -> str:
        """Kill the process in the middle of a cell; returns the cell's journal."""
        self.process.kill()
        self.process.wait()
        time.sleep(POLL_SECONDS)  # the processes that it started are killed a moment later
        return _whole_lines(self._path(cell))

    def close(self) -> None:
        """Kill the process and everything that it started."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _whole_lines(path: Path) -> str:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1].decode()


_idle: list[CellProcess] = []
_lock = threading.Lock()


@contextmanager
def _cell_process(setup: Mapping[str, Any], scratch: str) -> Iterator[CellProcess]:
    """Provide an idle process of this worker, or a new one; each of the worker's threads uses its own."""
    with _lock:
        others = [process for process in _idle if process.setup != setup or process.process.poll() is not None]
        for process in others:  # of an earlier run, or ended after a time without cells
            _idle.remove(process)
            process.close()
        process = _idle.pop() if _idle else CellProcess(setup, scratch)
    try:
        yield process
    except BaseException:
        process.close()
        raise
    with _lock:
        _idle.append(process)


def run_remotely(order: Mapping[str, Any]) -> dict[str, Any]:
    """The Dask task: run one cell, or the rest of a started one.

    Args:
        order: ``cell`` (its fields), ``journal`` (so far), ``attempt``, ``topic`` (for news), ``fingerprint`` (what
            this machine must have) and ``setup`` (what all cells of the run share).

    Returns:
        ``journal``, ``events`` and ``error`` as from :meth:`CellProcess.run`, and the ``worker``'s address.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    problem = difference(order["fingerprint"], worker.address)
    if problem is not None:
        return {"error": problem, "mismatch": True, "worker": worker.address, "journal": "", "events": []}
    sent, at = "", 0.0

    def send(journal: str, *, last: bool = False) -> None:
        nonlocal sent, at
        sent, at = journal, time.monotonic()
        news = {"cell": order["cell"]["key"], "attempt": order["attempt"], "worker": worker.address}
        worker.log_event(order["topic"], {**news, "journal": journal, "last": last})

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        alive = worker.status.name in ("running", "paused", "closing_gracefully")
        return alive and task is not None and task.state in ("executing", "long-running")

    def look(journal: str) -> None:
        if not wanted():
            raise Cancelled
        if journal != sent and time.monotonic() - at > max(NEWS_SECONDS, len(journal) / BYTES_PER_SECOND):
            send(journal)

    send(order["journal"])
    try:
        with _cell_process(order["setup"], worker.local_directory) as process:
            try:
                result = process.run(order["cell"], order["journal"], look)
            except Cancelled:
                send(process.halt(order["cell"]), last=True)
                raise
    except Cancelled:
        return {"error": "cancelled", "worker": worker.address, "journal": sent, "events": []}
    if not wanted():  # the coordinator will not fetch the result
        send(result["journal"], last=True)
    return {**result, "worker": worker.address}
