"""Limits BLAS to one thread during a suggestion, since more threads do not speed up small matrices.

Thread limits apply to the whole process: the first thread to enter sets them, the last one to leave restores them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl

_lock = threading.Lock()
_inside = 0
_controller: threadpoolctl.ThreadpoolController | None = None
_limits: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread; from any number of threads at the same time."""
    global _inside, _controller, _limits
    with _lock:
        if _inside == 0:
            _controller = _controller or threadpoolctl.ThreadpoolController().select(user_api="blas")
            _limits = _controller.limit(limits=1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
