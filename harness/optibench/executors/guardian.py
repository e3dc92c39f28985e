"""A worker's guardian: starts it, waits for its end, and then kills everything that it left running.

The guardian is the subreaper of everything that the worker starts (Linux), so it also finds orphans in a session of
their own. It kills nothing while the worker lives. It must never run code of an optimizer or a benchmark.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil

from optibench.executors import parent_death

KILL_SECONDS = 10.0
"""How long to wait for killed processes to end."""
_PR_SET_CHILD_SUBREAPER = 36
_PID, _STATUS = 0, 1
_UNKNOWN = -1


class WorkerState:
    """Process number and exit status of a guardian's worker, as the coordinator sees them.

    Args:
        values: Two integers in memory that both share: the worker's process number and its wait status.
    """

    def __init__(self, values: Any) -> None:
        self.values = values
        self.values[:] = (0, _UNKNOWN)

    @property
    def pid(self) -> int:
        """The worker's process number; 0 before it is started."""
        return int(self.values[_PID])

    @property
    def exit_code(self) -> int | None:
        """As :attr:`multiprocessing.Process.exitcode`; ``None`` if the guardian did not see the worker end."""
        status = int(self.values[_STATUS])
        return None if status == _UNKNOWN else os.waitstatus_to_exitcode(status)

    def kill_group(self) -> None:
        """Kill the worker's process group if the guardian is gone; a group outlives its leader."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def guard(values: Any, work: Callable[[], None], release: Callable[[], None], scratch: Path) -> NoReturn:
    """Run ``work`` in a child process and exit after it: when it ends, on SIGTERM, or when the coordinator ends.

    Args:
        values: See :class:`WorkerState`.
        work: What the worker does, in a process group of its own.
        release: Called in the guardian once the worker is started, to close the guardian's copy of the worker's pipe.
        scratch: The worker's temporary folder is in here, named after its process number, and is removed at the end;
            so is ``scratch`` itself if it is empty and the coordinator is gone.
    """
    parent, guardian = os.getppid(), os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    parent_death.die_with_parent(signal.SIGTERM)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        parent_death.die_with_parent()
        if os.getppid() != guardian:  # the guardian ended before the line above
            os._exit(1)
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _work(work)
    with contextlib.suppress(OSError):  # as in the child: the group must exist, whichever process runs first
        os.setpgid(pid, pid)
    values[_PID] = pid
    release()
    status = _wait(pid)
    values[_STATUS] = _kill_the_rest(pid) if status is None else status
    _kill_the_rest(pid)
    shutil.rmtree(scratch / str(pid), ignore_errors=True)
    if os.getppid() != parent:
        with contextlib.suppress(OSError):
            scratch.rmdir()
    os._exit(0)


def _work(work: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _wait(worker: int) -> int | None:
    """Reap until the worker ends; returns its wait status, or ``None`` if this process must end first."""
    coordinator = multiprocessing.parent_process()
    while True:
        received = _next_signal()
        # The kernel's signal is lost if the fork server ended before this process asked for it.
        if received == signal.SIGTERM or (received is None and coordinator is not None and not coordinator.is_alive()):
            return None
        for pid, status in _reap():
            if pid == worker:
                return status


def _next_signal() -> int | None:
    """SIGCHLD or SIGTERM; ``None`` after a second without one, on systems whose wait has a timeout."""
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    if sys.platform != "linux":
        return signal.sigwait(awaited)
    received = signal.sigtimedwait(awaited, 1.0)
    return None if received is None else received.si_signo


def _reap() -> list[tuple[int, int]]:
    """The children that have ended, with their wait status.

    Raises:
        ChildProcessError: There are none left at all, and none has just ended.
    """
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if not found:
                raise
            return found
        if pid == 0:
            return found
        found.append((pid, status))


def _kill_the_rest(worker: int) -> int:
    """Kill all descendants until there are none; returns the worker's wait status, if it was among them."""
    if sys.platform != "linux":  # there, orphans are not this process's children
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker, signal.SIGKILL)
    found, deadline = _UNKNOWN, time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        try:
            found = next((status for pid, status in _reap() if pid == worker), found)
        except ChildProcessError:
            break
        time.sleep(0.005)
    return found
