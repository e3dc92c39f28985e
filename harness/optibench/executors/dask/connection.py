"""The connection to a Dask scheduler, with one sentence for each way in which there is none."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optibench.errors import HarnessError

CONNECT_SECONDS = 10.0


def connect(scheduler: str, seconds: float = CONNECT_SECONDS) -> Any:
    """A client of the scheduler.

    Args:
        scheduler: Its address (``tcp://host:8786``), or the JSON file that `dask scheduler --scheduler-file` writes.
        seconds: How long to try.

    Raises:
        HarnessError: Dask is not installed, the address is none, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise HarnessError(
            f'The dask executor needs Dask ({error}): pip install "optiformer-bench[dask]", or take another executor.'
        ) from error
    address = _address(scheduler)
    try:
        make: Any = Client  # Dask has few types
        return make(address, timeout=seconds, set_as_default=False, name="optibench")
    except (TimeoutError, OSError, ValueError, TypeError, RuntimeError) as error:
        cause = f" ({error})" if isinstance(error, (ValueError, TypeError, RuntimeError)) else ""
        raise HarnessError(
            f"No Dask scheduler answers at {address}{cause.splitlines()[0] if cause else ''}: start one with "
            "`dask scheduler`, and give the address that it prints with --scheduler."
        ) from error


def check(scheduler: str) -> None:
    """See whether there is a scheduler, before anything is written.

    Raises:
        HarnessError: There is none.
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
            f"{scheduler} is no scheduler file: `dask scheduler --scheduler-file` writes one."
        ) from error


class Gone(Exception):
    """The scheduler went away."""


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Around what needs the scheduler, and nothing else: an `OSError` is the network's there, and elsewhere a disk's.

    Raises:
        Gone: The scheduler did not answer.
    """
    from distributed import CancelledError
    from distributed.client import FutureCancelledError

    try:
        yield
    except (TimeoutError, OSError, CancelledError, FutureCancelledError) as error:
        raise Gone(str(error)) from error
