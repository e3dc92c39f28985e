"""Limits on a worker: wall-clock time for an evaluation, an ask and a cell, memory, and retries of what it died of.

The coordinator enforces them from outside, by having the worker and all that it started killed: a loop in C that
answers no signal ends too. For that a worker says what it is doing in memory that it shares with the coordinator
(:class:`Pulse`).

Memory is what the worker has resident, looked at every :data:`POLL_SECONDS`, and not ``RLIMIT_AS``: PyTorch, ONNX
Runtime and the allocator's arenas reserve gigabytes of addresses that they never touch, so that a limit on addresses
would have to be far above the memory that is meant, and a failed allocation inside a library ends in anything.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optibench.cell.journal import Fault
from optibench.errors import HarnessError

if TYPE_CHECKING:
    from optibench.executors.guardian import Ward

POLL_SECONDS = 0.05
"""How often the coordinator looks at its workers."""
Step = Literal["idle", "set-up", "replay", "ask", "evaluate", "tell", "finish"]
STEPS: tuple[Step, ...] = ("idle", "set-up", "replay", "ask", "evaluate", "tell", "finish")
KEYS = ("evaluation_limit", "ask_limit", "cell_limit", "memory_limit", "retries")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"M": 2**20, "MiB": 2**20, "G": 2**30, "GiB": 2**30}


@dataclass(frozen=True)
class Limits:
    """What a worker may take; ``None``: as much as it likes.

    Attributes:
        evaluation_limit: Seconds of wall-clock time for one evaluation.
        ask_limit: Seconds for one ask, and for one tell (some libraries fit their model in the one, some in the other).
        cell_limit: Seconds for a cell: its asks, evaluations and tells, lost attempts included and replays excluded.
        memory_limit: Bytes that a worker may have resident.
        retries: How often a trial is tried again that a worker died of (killed, crashed or over its memory). A trial
            that ran into a limit on time is not.
    """

    evaluation_limit: float | None = None
    ask_limit: float | None = None
    cell_limit: float | None = None
    memory_limit: int | None = None
    retries: int = 1

    def changed(self) -> dict[str, Any]:
        """The ones that are not at their default: part of what identifies a grid."""
        return {key: getattr(self, key) for key in KEYS if getattr(self, key) != getattr(Limits, key)}

    def refuse_in_process(self) -> None:
        """Refuse limits where there is no worker process to kill.

        Raises:
            HarnessError: There are some.
        """
        for key in KEYS[:-1]:
            if getattr(self, key) is not None:
                raise HarnessError(
                    f"`{key}` is enforced by killing a worker process and the serial executor has none: use "
                    "--executor processes, or leave the limit out."
                )


def parse(values: Mapping[str, Any], where: Any) -> Limits:
    """Read limits: ``90``, ``90s``, ``5m`` or ``2h`` for times, ``500M`` or ``4G`` for memory.

    Args:
        values: Of which :data:`KEYS` are read, where there.
        where: Says where a key stands.

    Raises:
        HarnessError: A value is malformed or not above 0.
    """
    found: dict[str, Any] = {}
    for key in KEYS:
        value = values.get(key)
        if value is not None and not (key != "retries" and value == "none"):
            found[key] = _READ[key](key, value, where(key))
    if "memory_limit" in found and not sys.platform.startswith("linux"):
        raise HarnessError(f"{where('memory_limit')}: `memory_limit` needs Linux's /proc: leave it out here.")
    return Limits(**found)


def _seconds(key: str, value: Any, where: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", str(value))
    seconds = float(match[1]) * _SECONDS.get(match[2], 0.0) if match else 0.0
    if isinstance(value, bool) or not 0 < seconds < 1e9:
        raise HarnessError(
            f"{where}: `{key}` is a time above 0, in seconds or with a unit (90, 90s, 5m, 2h), not {value!r}."
        )
    return seconds


def _bytes(key: str, value: Any, where: str) -> int:
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]+)\s*", str(value))
    size = int(float(match[1]) * _BYTES.get(match[2], 0)) if match else 0
    if not 0 < size < 2**60:
        raise HarnessError(f"{where}: `{key}` is an amount of memory with its unit (500M, 4G), not {value!r}.")
    return size


def _retries(key: str, value: Any, where: str) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\s*\d{1,3}\s*", str(value)):
        raise HarnessError(f"{where}: `{key}` is a whole number from 0 to 999, not {value!r}.")
    return int(value)


_READ = {
    **dict.fromkeys(("evaluation_limit", "ask_limit", "cell_limit"), _seconds),
    "memory_limit": _bytes,
    "retries": _retries,
}


class Pulse:
    """What a worker is doing, since when: four numbers in memory that it shares with the coordinator.

    Args:
        values: Four doubles: step, trial, monotonic time at which the step began, the same of the cell's clock.
    """

    def __init__(self, values: Any) -> None:
        self.values = values

    def __call__(self, step: Step, trial: int = 0, used: float = 0.0) -> None:
        """Say that a step begins; ``used`` is what the cell took before it, in seconds."""
        now = time.monotonic()
        self.values[:] = (STEPS.index(step), trial, now, now - used)


def unwatched(step: Step, trial: int = 0, used: float = 0.0) -> None:
    """The pulse of a cell that nobody watches."""


class Watch:
    """The coordinator's view of one worker."""

    def __init__(self, pulse: Pulse, ward: Ward) -> None:
        self.pulse, self.ward = pulse, ward
        self._seen: tuple[float, ...] | None = None

    def now(self) -> tuple[Step, int]:
        """The worker's step and trial."""
        return STEPS[int(self.pulse.values[0])], int(self.pulse.values[1])

    def over(self, limits: Limits) -> Fault | None:
        """The limit that the worker is over, if it is; for the trial it was at."""
        seen = tuple(self.pulse.values)
        # a step is over its time only if two looks in a row agree on it: a single one may see half of a change
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
            size = resident(self.ward.pid)
            if size > limits.memory_limit:
                allowed, had = (f"{number / 2**20:.0f} MiB" for number in (limits.memory_limit, size))
                text = f"{step}: the worker was stopped at {had} of memory, its limit is {allowed}"
                return Fault(trial, step, "failed", text, now - seen[2])
        return None


def evaluation_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault of an evaluation that is out of time."""
    return Fault(trial, "evaluate", "timeout", f"evaluate: stopped at its limit of {limit:g} s", seconds)


def cell_timeout(trial: int, limit: float, seconds: float) -> Fault:
    """The fault that ends a cell whose time is over."""
    return Fault(trial, "cell", "timeout", f"cell: stopped at its limit of {limit:g} s", seconds)


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident(pid: int) -> int:
    """Bytes that a process has in memory; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
