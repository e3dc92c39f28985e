"""Runs `optibench` in forks of a process that has imported it: what a new process does, without its second of imports.

As a program it is that process: it reads a request per line, and answers with the exit status. :class:`CommandServer`
starts it. What a fork starts with is what a new process has: its own folder, environment, arguments, output and search
path, and `optibench.cli.main` as its main module.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

MAIN = "optibench.cli.main"
PRELOADED = (MAIN, "optibench.cli.run", "optibench.cli.report", "optibench.runs.run", "optibench.executors.workers")
PRELOADED += ("optibench.cell.run", "optibench.store.to_results")
PRELOADED += ("optibench_reports.render.report", "optibench_reports.figures.anytime")


class CommandServer:
    """The client's side; one request at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as scratch:
            out, err = Path(scratch) / "out", Path(scratch) / "err"
            request = {"arguments": [*arguments], "environment": {**environment}, "folder": str(folder)}
            self._process.stdin.write(json.dumps({**request, "out": str(out), "err": str(err)}) + "\n")
            answer = self._process.stdout.readline()
            assert answer, "the command server is gone"
            status = int(answer)
            return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def _become(request: Mapping[str, str], arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Make of this fork what `python -m optibench.cli.main` is."""
    for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, request["out"], 0), (2, request["err"], 0)):
        opened = os.open(name, mode or os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["folder"])
    old = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    os.environ.clear()
    os.environ.update(environment)
    new = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [request["folder"], *new, *(path for path in sys.path[1:] if path not in old)]
    importlib.invalidate_caches()
    sys.argv = [str(sys.modules[MAIN].__file__), *arguments]
    sys.modules["__main__"] = sys.modules[MAIN]


def serve() -> None:
    """Fork for each request until the input ends."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    for name in PRELOADED:
        importlib.import_module(name)
    for line in requests:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            requests.close()
            answers.close()
            _become(request, request["arguments"], request["environment"])
            sys.exit(sys.modules[MAIN].main())
        _, status = os.waitpid(pid, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    serve()
