"""Importing this has the kernel kill the process when its parent is gone, even by kill -9 (Linux).

Preloaded into the fork server, whose parent is the coordinator: without it, the fork server lives as long as any of its
workers, and one that hangs would outlive a coordinator that was killed.
"""

from __future__ import annotations

import ctypes
import signal
import sys


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have this process sent a signal when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG; a child of this process does not inherit it


die_with_parent()
