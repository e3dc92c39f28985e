"""Limits on a worker: wall-clock time for an evaluation, an ask and a cell, memory, and retries of what it died of.

How they are enforced: :mod:`optibench.executors.watchdog`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from optibench.errors import HarnessError

KEYS = ("evaluation_limit", "ask_limit", "cell_limit", "memory_limit", "retries")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"M": 2**20, "MiB": 2**20, "G": 2**30, "GiB": 2**30}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a worker may take; ``None``: as much as it likes. Those that are set are part of what identifies a grid.

    Attributes:
        evaluation_limit: Seconds of wall-clock time for one evaluation.
        ask_limit: Seconds for one ask, and for one tell (some libraries fit their model in the one, some in the other).
        cell_limit: Seconds for a cell: its asks, evaluations and tells, lost attempts included and replays excluded.
        memory_limit: Bytes that a worker may have resident.
        retries: How often a trial is tried again that a worker died of (killed, crashed or over its memory). A trial
            that ran into a limit on time is not.
    """

    evaluation_limit: int | float | None = None
    ask_limit: int | float | None = None
    cell_limit: int | float | None = None
    memory_limit: int | None = None
    retries: int = 1

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
