"""Where news from Dask's threads waits for the coordinator: of each running cell only the newest."""

from __future__ import annotations

import queue
import threading
from typing import Any

News = dict[str, Any]


class Mailbox:
    """Takes news without ever making the sender wait, and holds no more than one of each cell's attempt.

    A cell's journal only grows, so that its newest news says all that older ones did.
    """

    def __init__(self) -> None:
        self._newest: dict[tuple[Any, Any], News] = {}
        self._changed = threading.Condition()

    def put(self, news: News) -> None:
        """Leave news, in the place of older ones of the same cell and attempt."""
        with self._changed:
            key = news.get("cell"), news.get("attempt")
            self._newest.pop(key, None)  # to the end of the line
            self._newest[key] = news
            self._changed.notify()

    def get(self, timeout: float = 0.0) -> News:
        """The oldest of the news.

        Raises:
            queue.Empty: There is none within the timeout.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest, timeout):
                raise queue.Empty
            return self._newest.pop(next(iter(self._newest)))
