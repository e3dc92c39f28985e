"""A queue from Dask's threads to the coordinator that keeps only the newest message of each running cell."""

from __future__ import annotations

import queue
import threading
from typing import Any

News = dict[str, Any]


class Mailbox:
    """A queue that never makes the sender wait and holds at most one message per attempt of a cell.

    A cell's journal only grows, so its newest message contains all older ones.
    """

    def __init__(self) -> None:
        self._newest: dict[tuple[Any, Any], News] = {}
        self._changed = threading.Condition()

    def put(self, news: News) -> None:
        """Add a message, and drop an older one of the same cell and attempt."""
        with self._changed:
            key = news.get("cell"), news.get("attempt")
            self._newest.pop(key, None)  # the new one goes to the end
            self._newest[key] = news
            self._changed.notify()

    def get(self, timeout: float = 0.0) -> News:
        """Return the oldest message.

        Raises:
            queue.Empty: None came within the timeout.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest, timeout):
                raise queue.Empty
            return self._newest.pop(next(iter(self._newest)))
