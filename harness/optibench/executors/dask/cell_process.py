"""A process beside a Dask worker that runs its cells one after another, each in a supervised worker process.

Dask's workers may not have children of :mod:`multiprocessing`, and an objective that crashes or exceeds a limit must
not end a Dask worker. So this program does what the coordinator of `processes` does, for one worker process that is
kept from cell to cell. It reads JSON lines: first what all cells share, then one line per cell. It answers each cell
with a line.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

IDLE_SECONDS = 120.0
"""The process ends after this time without a cell."""


def main() -> None:
    """Run cells until the input ends; then this process and everything that it started ends at once."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # an objective's output must not be read as an answer
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    _serve(json.loads(requests.get()), requests, answers)


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _serve(setup: dict[str, Any], requests: queue.SimpleQueue[str], answers: Any) -> None:
    import msgspec

    import optibench_benchmarks
    import optibench_optimizers
    from optibench import external, threads
    from optibench.errors import HarnessError
    from optibench.executors.dask.runner import RemoteCellRunner
    from optibench.executors.workers import WorkerPool
    from optibench.own import wire
    from optibench.plan.cells import Cell
    from optibench.spec.limits import Limits
    from optibench.store.fingerprint import Fingerprints

    threads.limit()
    external.register(external.External.of(plain) for plain in setup["external"])
    entries, families = wire.read(setup["own"])
    for entry in entries:
        optibench_optimizers.register(entry)
    for family in families:
        optibench_benchmarks.register(family)
    folder = Path(setup["folder"])
    fingerprints = Fingerprints(**setup["fingerprints"], parts={})
    limits = Limits(**setup["limits"])
    runner = RemoteCellRunner(folder, setup["data_versions"], limits, fingerprints, setup["run_id"])
    with WorkerPool(runner, lambda news: None, lambda: False, jobs=1) as pool:
        while True:
            try:
                line = requests.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                return
            error = None
            try:
                pool.run([msgspec.json.decode(line, type=Cell)])
            except (HarnessError, OSError) as raised:
                error = str(raised)
            events = runner.store.events()
            (folder / "events.jsonl").unlink(missing_ok=True)
            print(json.dumps({"error": error, "events": events}), file=answers)
            if error is not None:
                return


if __name__ == "__main__":
    main()
