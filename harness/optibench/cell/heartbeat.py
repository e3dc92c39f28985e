"""The heartbeat: a worker's current step, for the watchdog."""

from __future__ import annotations

import time
from typing import Any, Literal

Step = Literal["idle", "set-up", "replay", "ask", "evaluate", "tell", "finish"]
STEPS: tuple[Step, ...] = ("idle", "set-up", "replay", "ask", "evaluate", "tell", "finish")


class Heartbeat:
    """A worker's current step and when it began: four numbers in memory that it shares with the coordinator.

    Args:
        values: Four doubles: step, trial, and the monotonic times at which the step and the cell began.
    """

    def __init__(self, values: Any) -> None:
        self.values = values

    def __call__(self, step: Step, trial: int = 0, used: float = 0.0) -> None:
        """Report that a step begins; ``used`` is the time that the cell took before it, in seconds."""
        now = time.monotonic()
        self.values[:] = (STEPS.index(step), trial, now, now - used)


def no_heartbeat(step: Step, trial: int = 0, used: float = 0.0) -> None:
    """The heartbeat of a cell that no watchdog checks."""
