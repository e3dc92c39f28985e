"""Limits on a worker: wall-clock time for an evaluation, an ask and a cell, memory, and retries after a worker died.

:mod:`optibench.executors.watchdog` enforces them.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.options import Form, Option, text

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_BYTES = {"M": 2**20, "MiB": 2**20, "G": 2**30, "GiB": 2**30}


def _seconds(written: float | str | None) -> float | None:
    if written is None or written == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", str(written).strip())
    seconds = float(match[1]) * _SECONDS.get(match[2], 0.0) if match else 0.0
    if not 0 < seconds < 1e9:
        raise ValueError
    return seconds


def _bytes(written: str | None) -> int | None:
    if written is None or written == "none":
        return None
    if not sys.platform.startswith("linux"):
        raise HarnessError("`memory_limit` needs Linux's /proc: leave it out here.")
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([A-Za-z]+)", written.strip())
    size = int(float(match[1]) * _BYTES.get(match[2], 0)) if match else 0
    if not 0 < size < 2**60:
        raise ValueError
    return size


_TIME = Form(
    "a time above 0, in seconds or with a unit (90, 90s, 5m, 2h)",
    Annotated[float, Meta(gt=0)] | text(r"^(\d+\.?\d*|\.\d+)\s*(s|m|min|h)?$|^none$") | None,
    _seconds,
)
_SIZE = Form("an amount of memory with its unit (500M, 4G)", text(r"^\d+(\.\d*)?\s*[MG](iB)?$|^none$") | None, _bytes)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits on a worker in seconds of wall-clock time and in bytes; ``None``: no limit.

    The limits that are set are part of what identifies a grid. A cell's time includes lost attempts and excludes
    replays. A trial that exceeded a time limit is not retried.
    """

    evaluation_limit: Annotated[
        int | float | None, _TIME, Option("for one evaluation: 90, 90s, 5m, 2h; default none", metavar="TIME")
    ] = None
    ask_limit: Annotated[
        int | float | None, _TIME, Option("for one ask, and for one tell; default none", metavar="TIME")
    ] = None
    cell_limit: Annotated[
        int | float | None, _TIME, Option("for the trials of a cell; default none", metavar="TIME")
    ] = None
    memory_limit: Annotated[
        int | None, _SIZE, Option("resident memory of a worker: 500M, 4G; default none", metavar="SIZE")
    ] = None
    retries: Annotated[
        int, Meta(ge=0, le=999), Option("retries of a trial whose worker died; default 1", metavar="N")
    ] = 1

    def refuse_in_process(self) -> None:
        """Reject limits for an executor without worker processes.

        Raises:
            HarnessError: A limit is set.
        """
        for key in self.__struct_fields__:
            if key != "retries" and getattr(self, key) is not None:
                raise HarnessError(
                    f"`{key}` is enforced by killing a worker process, and the serial executor has none: use "
                    "--executor processes, or leave the limit out."
                )
