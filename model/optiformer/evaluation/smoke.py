"""``optibench smoke``: six checks of each network's pipeline, each reported as a line with its figures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from optiformer.evaluation import smoke_sequence, smoke_surrogate

NETWORKS = {"optiformer": smoke_surrogate.steps, "optiformer-seq": smoke_sequence.steps}
"""The checks of each network: their names and functions from a shared folder to the verdict and the figures."""


def run(quick: bool = False, *, report: Callable[[str], None] = print) -> bool:
    """Run the six steps of both networks.

    Args:
        quick: Fewer training steps, studies and samples.
        report: Receives one line per check.

    Returns:
        Whether all checks passed.
    """
    passed = True
    for network, steps in NETWORKS.items():
        report(network)
        with tempfile.TemporaryDirectory(prefix="optibench-smoke-") as folder:
            for number, (name, check) in enumerate(steps(quick), start=1):
                started = time.monotonic()
                ok, figures = check(Path(folder))
                passed &= ok
                seconds = time.monotonic() - started
                report(f"{'PASS' if ok else 'FAIL'}  {number}/6 {name:13} {figures} [{seconds:.1f} s]")
    report("all steps passed" if passed else "the smoke test failed")
    return passed
