"""A Dask scheduler and workers on this machine, for tests and for `make dask-bench`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class Loopback:
    """A scheduler on a free port of this machine, and its workers.

    Args:
        environment: Of all processes.
        folder: For their logs and scratch.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def start_scheduler(self) -> None:
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))

    def start_worker(self) -> None:
        scratch = self.folder / f"worker{len(self.workers)}-{time.monotonic_ns()}"
        options = ("--nthreads", "1", "--local-directory", str(scratch), "--death-timeout", "60")
        self.workers.append(self._start("worker", self.address, *options))

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, "--no-dashboard", *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, cwd=self.folder, start_new_session=True
            )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As a machine that goes down: the process, the one that watches it and what they started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_worker(self) -> None:
        self.kill(self.workers.pop(0))

    def close(self) -> None:
        for process in (*self.workers, *([self.scheduler] if self.scheduler else [])):
            if process.poll() is None:
                self.kill(process)
