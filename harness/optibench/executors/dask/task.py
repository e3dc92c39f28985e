"""What a Dask worker does with a cell: has a process beside it run it, and sends the journal as it grows.

Everything that goes over the wire is plain data, so that a worker of another version answers with a sentence.
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
"""Long journals are sent more rarely than that."""

LOG_BYTES = 2**16
"""What is sent of a cell's log, at most."""


class Cancelled(Exception):
    """Nobody waits for this cell any more, or the worker is about to end."""


class CellProcess:
    """A process that runs cells (:mod:`optibench.executors.dask.cell_process`), seen from the Dask worker.

    Args:
        setup: What all cells of a run share, as JSON can hold it.
        scratch: A folder for its own folder.
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
            look: Called again and again with what it holds by then; may raise to end it.

        Returns:
            ``journal`` at the end, ``events`` on the way, the ``log`` of what was printed, and ``error``: why it
            could not be run, or ``None``.
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
        """The beginning of what a cell printed; its file is removed."""
        path = self.folder / "logs" / f"{key}.log"
        try:
            with path.open("rb") as file:
                found = file.read(LOG_BYTES).decode(errors="replace")
        except OSError:
            return ""
        path.unlink(missing_ok=True)
        return found

    def halt(self, cell: Mapping[str, Any]) -> str:
        """End it in the middle of a cell; returns what the cell's journal then holds."""
        self.process.kill()
        self.process.wait()
        time.sleep(POLL_SECONDS)  # what it started is killed with it, but not at once
        return _whole_lines(self._path(cell))

    def close(self) -> None:
        """End it, and all that it started."""
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
    """A process of this worker that is idle, or a new one; each of the worker's threads uses its own."""
    with _lock:
        others = [process for process in _idle if process.setup != setup or process.process.poll() is not None]
        for process in others:  # of another run, or ended after a while without cells
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
    """A Dask task: run one cell, or the rest of it.

    Args:
        order: ``cell`` (its fields), ``journal`` (so far), ``attempt``, ``topic`` (for news), ``fingerprint`` (what
            this machine must have) and ``setup`` (what all cells of the run share).

    Returns:
        ``journal``, ``events`` and ``error`` as :meth:`CellProcess.run` does, and the ``worker``'s address.
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
    if not wanted():  # nobody will fetch the result
        send(result["journal"], last=True)
    return {**result, "worker": worker.address}
