"""Dask with two workers against `processes` with two: `make dask-bench`.

Both run the same cells, turn about; an evaluation sleeps, so that other work on the machine disturbs little. The first
pair is shown apart: on Dask it pays for imports that later grids on the same workers do not, and on `processes` every
grid does.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where these two are
from loopback import Loopback
from plugin import install

from optibench.runs import run as runs
from optibench.spec.grid import Grid, Settings

CELLS, TRIALS, ROUNDS = 12, 100, 4
"""A trial sleeps for 20 ms, so a cell takes two seconds."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = str(install(folder / "site"))
        sys.path.insert(0, site)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (site, os.environ.get("PYTHONPATH"))))
        loopback = Loopback(dict(os.environ), folder / "cluster")
        try:
            loopback.start_scheduler()
            for _ in range(2):
                loopback.start_worker()
            compare(loopback.address, folder)
        finally:
            loopback.close()


def compare(address: str, folder: Path) -> None:
    """Run the grid on both, and print the seconds and their ratio."""
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    ratios = []
    for number in range(ROUNDS):
        seconds = {}
        for executor in ("processes", "dask"):
            grid = Grid(("random",), ("misbehaving/sleep",), tuple(range(CELLS)), TRIALS)
            how = {"jobs": 2} if executor == "processes" else {"scheduler": address}
            start = time.perf_counter()
            outcome = runs.run(grid, Settings(folder / f"{executor}{number}", executor=executor, **how))
            seconds[executor] = time.perf_counter() - start
            assert outcome.finished == CELLS
        ratio = seconds["dask"] / seconds["processes"]
        ratios += [ratio] if number else []
        first = "" if number else " (first, imports included)"
        print(f"processes {seconds['processes']:.2f} s, dask {seconds['dask']:.2f} s, ratio {ratio:.3f}{first}")
    print(f"median ratio of the later ones: {statistics.median(ratios):.3f}; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
