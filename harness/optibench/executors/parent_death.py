"""Importing this module makes the kernel kill the process when its parent ends, even by kill -9 (Linux).

It is preloaded into the fork server, whose parent is the coordinator. Without it the fork server lives as long as any
of its workers, and a worker that hangs would outlive a killed coordinator.
"""

from __future__ import annotations

import ctypes
import signal
import sys


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Make the kernel send this process a signal when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG; a child of this process does not inherit it


die_with_parent()
