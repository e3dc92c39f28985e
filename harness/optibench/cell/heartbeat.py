"""What a worker is doing, told to whoever watches it."""

from __future__ import annotations

import time
from typing import Any, Literal

Step = Literal["idle", "set-up", "replay", "ask", "evaluate", "tell", "finish"]
STEPS: tuple[Step, ...] = ("idle", "set-up", "replay", "ask", "evaluate", "tell", "finish")


class Heartbeat:
    """What a worker is doing, since when: four numbers in memory that it shares with the coordinator.

    Args:
        values: Four doubles: step, trial, monotonic time at which the step began, the same of the cell's clock.
    """

    def __init__(self, values: Any) -> None:
        self.values = values

    def __call__(self, step: Step, trial: int = 0, used: float = 0.0) -> None:
        """Say that a step begins; ``used`` is what the cell took before it, in seconds."""
        now = time.monotonic()
        self.values[:] = (STEPS.index(step), trial, now, now - used)


def no_heartbeat(step: Step, trial: int = 0, used: float = 0.0) -> None:
    """The heartbeat of a cell that nobody watches."""
