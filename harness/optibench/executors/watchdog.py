"""The watchdog: tells the coordinator which limit a worker exceeds.

Limits are enforced from outside, by killing the worker and everything that it started, so that even a loop in C that
handles no signal ends. Each worker reports what it is doing in memory that it shares with the coordinator
(:class:`~optibench.cell.heartbeat.Heartbeat`).

The memory limit applies to resident memory, read every :data:`POLL_SECONDS`. ``RLIMIT_AS`` is not used: PyTorch, ONNX
Runtime and the allocator's arenas reserve gigabytes of addresses that they never touch, so a limit on addresses would
have to be far above the intended one, and what a library does after a failed allocation is unpredictable.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.cell.faults import cell_timeout
from optibench.cell.heartbeat import STEPS, Heartbeat, Step
from optibench.cell.journal import Fault
from optibench.spec.limits import Limits

if TYPE_CHECKING:
    from optibench.executors.guardian import WorkerState

POLL_SECONDS = 0.05
"""How often the coordinator checks its workers."""


class Watchdog:
    """Checks one worker against the limits."""

    def __init__(self, heartbeat: Heartbeat, state: WorkerState) -> None:
        self.heartbeat, self.state = heartbeat, state
        self._seen: tuple[float, ...] | None = None

    def now(self) -> tuple[Step, int]:
        """The worker's step and trial."""
        return STEPS[int(self.heartbeat.values[0])], int(self.heartbeat.values[1])

    def limit_exceeded(self, limits: Limits) -> Fault | None:
        """A fault of the worker's current trial if the worker exceeds a limit, else ``None``."""
        seen = tuple(self.heartbeat.values)
        # two reads in a row must agree before a step counts as over its time: a single one may see half of a change
        same, self._seen = seen == self._seen, seen
        step, trial = STEPS[int(seen[0])], int(seen[1])
        if step in ("idle", "finish"):
            return None
        now = time.monotonic()
        if same:
            own = {"evaluate": limits.evaluation_limit, "ask": limits.ask_limit, "tell": limits.ask_limit}.get(step)
            if own is not None and now - seen[2] > own:
                return Fault(trial, step, "timeout", f"{step}: stopped at its limit of {own:g} s", now - seen[2])
            if limits.cell_limit is not None and now - seen[3] > limits.cell_limit:
                return cell_timeout(trial, limits.cell_limit, now - seen[2])
        if limits.memory_limit is not None:
            size = resident(self.state.pid)
            if size > limits.memory_limit:
                allowed, had = (f"{number / 2**20:.0f} MiB" for number in (limits.memory_limit, size))
                text = f"{step}: the worker was stopped at {had} of memory, its limit is {allowed}"
                return Fault(trial, step, "failed", text, now - seen[2])
        return None


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
