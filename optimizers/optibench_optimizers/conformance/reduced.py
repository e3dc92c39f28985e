"""Detects reduced modes of an optimizer's libraries: a fallback, slower code, random draws instead of a model.

Libraries report them in a warning or a log line, once per process and often at import, and adapters lower the
verbosity. So the optimizer runs in a new process in which every message is collected, including silenced ones.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from optibench_optimizers.base import Observation
from optibench_optimizers.entry import Entry
from optibench_optimizers.registry import create, parse, register

N_OBSERVED, N_ASKS = 10, 3
SAYS_REDUCED = re.compile(
    r"fall(s|ing|en)?[ -]?back|fell back|slower|unavailable|not available|degrad|at random|randomly|"
    r"sampled independently|reduced (mode|precision)",
    re.IGNORECASE,
)


def reduced(said: Iterable[str]) -> list[str]:
    """The messages about a reduced mode."""
    return [text for text in said if SAYS_REDUCED.search(text)]


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect every Python warning and log message from INFO on, including those hidden by filters and verbosity."""
    heard: list[str] = []
    warn, enabled, handle = warnings.warn, logging.Logger.isEnabledFor, logging.Logger.handle

    def listen_to_warning(message: Any, category: Any = None, stacklevel: int = 1, *rest: Any, **more: Any) -> None:
        heard.append(str(message))
        warn(message, category, stacklevel + 1, *rest, **more)

    def always_enabled(logger: logging.Logger, level: int) -> bool:
        return level >= logging.INFO or enabled(logger, level)

    def listen_to_record(logger: logging.Logger, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a message that does not fit its arguments: logging reports it
            heard.append(record.getMessage())
        if enabled(logger, record.levelno):
            handle(logger, record)

    with (
        patch.object(warnings, "warn", listen_to_warning),
        patch.object(logging.Logger, "isEnabledFor", always_enabled),
        patch.object(logging.Logger, "handle", listen_to_record),
    ):
        yield heard


def heard_from(spec: str) -> list[str]:
    """The messages of a registered optimizer's libraries during import, construction and asks in a new process."""
    entry, settings = parse(spec)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_make_and_ask, entry, settings).result()


def _make_and_ask(entry: Entry, settings: Mapping[str, Any]) -> list[str]:
    """In the new process: register, tell an initial design, ask; returns the messages."""
    with listening() as heard:
        import numpy as np

        from optibench_optimizers.conformance.spaces import bowl, mixed
        from optibench_optimizers.spaces import SearchSpace

        register(entry)
        view = SearchSpace(mixed())
        configs = view.sample(N_OBSERVED, np.random.RandomState(7))
        observed = [Observation(config, bowl(config, view)) for config in configs]
        with closing(create(entry.name, mixed(), seed=1, n_trials=N_OBSERVED + N_ASKS, settings=settings)) as optimizer:
            optimizer.tell(observed)
            for _ in range(N_ASKS):
                optimizer.ask()
    return heard
