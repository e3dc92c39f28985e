"""The connection to a Dask scheduler, with a clear error message for each way in which it can fail."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optibench.errors import HarnessError

CONNECT_SECONDS = 10.0


def connect(scheduler: str, seconds: float = CONNECT_SECONDS) -> Any:
    """Connect to the scheduler and return a client.

    Args:
        scheduler: Its address (``tcp://host:8786``), or the JSON file that `dask scheduler --scheduler-file` writes.
        seconds: How long to try.

    Raises:
        HarnessError: Dask is not installed, the address is invalid, or no scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise HarnessError(
            f'The dask executor needs Dask ({error}): pip install "optiformer-bench[dask]", or use another executor.'
        ) from error
    address = _address(scheduler)
    try:
        make: Any = Client  # Dask has few type hints
        return make(address, timeout=seconds, set_as_default=False, name="optibench")
    except (TimeoutError, OSError, ValueError, TypeError, RuntimeError) as error:
        cause = f" ({error})" if isinstance(error, (ValueError, TypeError, RuntimeError)) else ""
        raise HarnessError(
            f"No Dask scheduler answers at {address}{cause.splitlines()[0] if cause else ''}: start one with "
            "`dask scheduler`, and pass the address that it prints to --scheduler."
        ) from error


def check(scheduler: str) -> None:
    """Check that a scheduler answers, before anything is written.

    Raises:
        HarnessError: No scheduler answers.
    """
    client = connect(scheduler, CONNECT_SECONDS)
    with contextlib.suppress(Exception):
        client.close(timeout=2)


def _address(scheduler: str) -> str:
    if not scheduler.endswith(".json"):
        return scheduler
    try:
        return str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])
    except OSError as error:
        raise HarnessError(
            f"Cannot read the scheduler file {scheduler}: {error.strerror}; "
            "`dask scheduler --scheduler-file` writes one."
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise HarnessError(
            f"{scheduler} is not a scheduler file: `dask scheduler --scheduler-file` writes one."
        ) from error


class SchedulerLost(Exception):
    """The connection to the scheduler is lost."""


@contextlib.contextmanager
def scheduler_errors() -> Iterator[None]:
    """Turn network errors into :class:`SchedulerLost`.

    Use it only around calls to the scheduler: elsewhere an `OSError` comes from a disk.

    Raises:
        SchedulerLost: The scheduler does not answer.
    """
    from distributed import CancelledError
    from distributed.client import FutureCancelledError

    try:
        yield
    except (TimeoutError, OSError, CancelledError, FutureCancelledError) as error:
        raise SchedulerLost(str(error)) from error
