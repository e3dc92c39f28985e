"""The progress of a run: a bar on a terminal, and a line every 30 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from optibench.executors.base import Progress

LINE_SECONDS = 30.0


class ProgressBar:
    """Counts trials, cells and failures as they happen.

    Args:
        trials: Trials of all cells; ``None`` if unknown, then progress is counted in cells.
        cells: Number of cells.
        done_trials, done_cells: Those that were finished before this run.
    """

    def __init__(self, trials: int | None, cells: int, *, done_trials: int = 0, done_cells: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._counts_cells = trials is None
        self.total, self.cells_total = trials or 0, cells
        self.trials, self.cells, self.failed = done_trials, done_cells, 0
        self._first, self._start, self._last = self._done[0], time.monotonic(), time.monotonic()
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._bar = Progress(
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
            speed_estimate_period=120.0,
        )
        done, total = self._done
        self._task = self._bar.add_task(self._text(), total=total, completed=done)

    @property
    def _done(self) -> tuple[int, int]:
        """How many trials are done, and how many there are in all; in cells if the number of trials is unknown."""
        return (self.cells, self.cells_total) if self._counts_cells else (self.trials, self.total)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._live:
            self._line()

    def update(self, news: Progress) -> None:
        """Add what a worker reports."""
        self.trials += news.trials
        self.cells += news.cells
        self.failed += news.failed
        if self._live:
            self._bar.update(self._task, completed=self._done[0], description=self._text())
        elif time.monotonic() - self._last > LINE_SECONDS:
            self._line()

    def _text(self) -> str:
        failed = f", [red]{self.failed} failed[/red]" if self.failed else ""
        return f"{self._count()}, {self.cells:,}/{self.cells_total:,} cells{failed}"

    def _count(self) -> str:
        return f"{self.trials:,} trials" if self._counts_cells else f"{self.trials:,}/{self.total:,} trials"

    def _line(self) -> None:
        self._last = time.monotonic()
        seconds = self._last - self._start
        done, total = self._done
        new = done - self._first
        left = f", ETA {_clock((total - done) * seconds / new)}" if 0 < new < total else ""
        failed = f", {self.failed} failed" if self.failed else ""
        print(
            f"{self._count()}, {self.cells:,}/{self.cells_total:,} cells{failed}, "
            f"elapsed {_clock(seconds)}{left if done < total else ''}",
            file=sys.stderr,
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
