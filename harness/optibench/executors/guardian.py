"""A worker's guardian: starts it, waits for its end, and then kills everything that it left running.

The guardian is the subreaper of all that the worker starts (Linux), so an orphan in a session of its own is found too.
While the worker lives nothing is killed. The guardian must never run code of an optimizer or a benchmark.
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

from optibench.executors import parent_death as mortal

KILL_SECONDS = 10.0
"""How long to wait for killed processes to end."""
_PR_SET_CHILD_SUBREAPER = 36
_PID, _STATUS = 0, 1
_UNKNOWN = -1


class Ward:
    """The worker of a guardian, as the coordinator sees it.

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
        """How it ended, as :attr:`multiprocessing.Process.exitcode` has it; ``None`` if the guardian did not see it."""
        status = int(self.values[_STATUS])
        return None if status == _UNKNOWN else os.waitstatus_to_exitcode(status)

    def kill_group(self) -> None:
        """Kill the worker's process group, where no guardian is left to do so; a group outlives its leader."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def guard(values: Any, work: Callable[[], None], release: Callable[[], None], scratch: Path) -> NoReturn:
    """Run ``work`` in a child process and end when it has ended: by itself, or by SIGTERM or the coordinator's end.

    Args:
        values: See :class:`Ward`.
        work: What the worker does; its process group is its own.
        release: Called in the guardian once the worker is started, to let go of the worker's end of its pipe.
        scratch: Where the worker may have a folder named after its process number, which is then removed; so is this
            folder where it is empty and the coordinator is gone.
    """
    parent, guardian = os.getppid(), os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    mortal.die_with_parent(signal.SIGTERM)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        mortal.die_with_parent()
        if os.getppid() != guardian:  # it ended before it could be asked
            os._exit(1)
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _work(work)
    with contextlib.suppress(OSError):  # as in the child, so that the group is there for whoever comes first
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
    """Reap until the worker ends; returns its wait status, or ``None`` where this process is to end instead."""
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
    """SIGCHLD or SIGTERM; ``None`` after a second without, where the system can wait for so long."""
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
    if sys.platform != "linux":  # orphans are not ours there
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
