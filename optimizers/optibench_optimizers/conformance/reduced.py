"""What an optimizer's libraries say of a reduced mode: a fallback, a slower way, drawing at random and not modelling.

Libraries say it in a warning or a log line, once a process and often at their import, and adapters lower the verbosity.
So the optimizer is made and asked in a process of its own, and everything is listened to, whatever anybody silenced.
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

TOLD, ASKED = 10, 3
SAYS_REDUCED = re.compile(
    r"fall(s|ing|en)?[ -]?back|fell back|slower|unavailable|not available|degrad|at random|randomly|"
    r"sampled independently|reduced (mode|precision)",
    re.IGNORECASE,
)


def reduced(said: Iterable[str]) -> list[str]:
    """Those of the messages that tell of a reduced mode."""
    return [text for text in said if SAYS_REDUCED.search(text)]


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect every Python warning and every log message from INFO on, also what a filter or a verbosity hides."""
    heard: list[str] = []
    warn, enabled, handle = warnings.warn, logging.Logger.isEnabledFor, logging.Logger.handle

    def listen_to_warning(message: Any, category: Any = None, stacklevel: int = 1, *rest: Any, **more: Any) -> None:
        heard.append(str(message))
        warn(message, category, stacklevel + 1, *rest, **more)

    def always_enabled(logger: logging.Logger, level: int) -> bool:
        return level >= logging.INFO or enabled(logger, level)

    def listen_to_record(logger: logging.Logger, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a message that does not fit its arguments: logging's own business
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
    """What the libraries of a registered optimizer say while they are imported, made and asked, in a new process."""
    entry, settings = parse(spec)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_make_and_ask, entry, settings).result()


def _make_and_ask(entry: Entry, settings: Mapping[str, Any]) -> list[str]:
    """In the new process: register it, tell it an initial design, ask it; returns what is heard."""
    with listening() as heard:
        import numpy as np

        from optibench_optimizers.conformance.spaces import bowl, mixed
        from optibench_optimizers.spaces import SearchSpace

        register(entry)
        view = SearchSpace(mixed())
        told = [Observation(config, bowl(config, view)) for config in view.sample(TOLD, np.random.RandomState(7))]
        with closing(create(entry.name, mixed(), seed=1, n_trials=TOLD + ASKED, settings=settings)) as optimizer:
            optimizer.tell(told)
            for _ in range(ASKED):
                optimizer.ask()
    return heard
