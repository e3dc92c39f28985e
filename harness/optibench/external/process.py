"""A worker process that answers JSON-RPC requests, one line each, within a time limit.

Every failure of the external program becomes one error message that quotes its standard error: it cannot be started, it
dies, it hangs (its whole process group is killed), or it writes something that is not a reply. After such a failure the
process has ended, and the result of the last request is unknown.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SDK = Path(__file__).parent / "sdk"
PROTOCOL = 2
"""The version of the protocol; docs/how-to/external.md. Version 1, which has one objective and no constraints, is
understood as well."""
MAX_LINE_BYTES = 64 * 2**20
"""Maximum size of a reply."""
MAX_STDERR_BYTES = 2000
"""How much of the end of standard error is kept."""
MAX_SHOWN_CHARACTERS = 300
"""How much of it an error message quotes: a trial's error text has at most 500 characters."""
MIN_SECRET_LENGTH = 4
"""Minimum length of a variable's value to be removed from error messages."""
GRACE_SECONDS = 1.0
"""How long a worker may take to end once its standard input is closed."""


class ProcessError(Exception):
    """The worker failed and is no longer running."""


class ProcessTimeout(ProcessError, TimeoutError):
    """The worker did not answer in time, and was killed."""


class Refusal(Exception):
    """The worker answered with an error and continues to run. ``code`` is the code of the JSON-RPC error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _die_with_parent() -> None:
    """Make the kernel kill the worker when the process that started it ends, even by kill -9 (Linux)."""
    assert _libc is not None
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


# Looked up before any fork: a child must not load libraries.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Process:
    """One running worker.

    Args:
        name: Its name in error messages.
        command: The program and its arguments.
        folder: The working directory.
        environment: Variables whose values no error message may show.

    Raises:
        ProcessError: The command cannot be run.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._tail = b""
        self._buffer = bytearray()
        self._failure: str | None = None
        self._next = 0
        self._secrets = _spellings(environment)
        given = {**os.environ, **environment}
        given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SDK), given.get("PYTHONPATH", "")]))
        try:
            self._popen = subprocess.Popen(
                list(command),
                cwd=folder,
                env=given,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # its own process group, which can be killed as a whole
                preexec_fn=_die_with_parent if _libc is not None else None,
            )
        except OSError as error:
            raise ProcessError(
                f"{name}: cannot run {command[0]!r} in {folder}: {error.strerror}; fix its `command`."
            ) from error
        for pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)
        self._finalizer = weakref.finalize(self, _end, self._popen)

    @property
    def running(self) -> bool:
        """Whether it accepts requests; if it died, this is noticed at the next request."""
        return self._failure is None

    def redacted(self, text: str) -> str:
        """The text with the values of the worker's variables replaced by their names."""
        for value, name in self._secrets:
            text = text.replace(value, f"${name}")
        return text

    def _pipes(self) -> list[Any]:
        return [self._popen.stdin, self._popen.stdout, self._popen.stderr]

    def request(self, method: str, params: Mapping[str, Any], seconds: float) -> Any:
        """Send one request and wait for its reply.

        Args:
            method: The method's name.
            params: Its parameters, as JSON values.
            seconds: How long the worker may take.

        Returns:
            The reply's ``result``.

        Raises:
            Refusal: The worker answered with an error.
            ProcessTimeout: It did not answer in time.
            ProcessError: It died, or wrote something that is not a reply.
        """
        if self._failure is not None:
            raise ProcessError(f"{self.name} is no longer running, because it failed before: {self._failure}")
        self._next += 1
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        line = self._exchange(json.dumps(message).encode() + b"\n", method, time.monotonic() + seconds, seconds)
        try:
            reply = json.loads(line)
            matches = reply["id"] == self._next and ("result" in reply) != ("error" in reply)
        except (ValueError, TypeError, KeyError):
            matches = False
        if not matches:
            shown = self.redacted(line.decode("utf-8", "replace").strip())[:200]
            raise self._fail(
                f"answered {method!r} with {shown!r} on standard output, which is not a JSON-RPC reply to request "
                f"{self._next}; print everything else to standard error"
            )
        if "result" in reply:
            return reply["result"]
        error = reply["error"] if isinstance(reply["error"], dict) else {"message": reply["error"]}
        raise Refusal(self.redacted(str(error.get("message"))), error.get("code", 0))

    def _exchange(self, out: bytes, method: str, deadline: float, seconds: float) -> bytes:
        """Write the request and read both outputs, until there is a complete line of standard output."""
        stdin, stdout, stderr = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._fail(f"did not answer {method!r} within {seconds:g} s and was killed", timeout=True)
                for key, _ in selector.select(left):
                    if key.fileobj is stdin:
                        out = self._write(out)
                        if not out:
                            selector.unregister(stdin)
                        continue
                    chunk = key.fileobj.read(65536) or b""  # type: ignore[union-attr]
                    if key.fileobj is stderr:
                        self._tail = (self._tail + chunk)[-MAX_STDERR_BYTES:]
                        if not chunk:
                            selector.unregister(stderr)
                    elif not chunk:
                        raise self._fail(f"ended{self._status()} instead of answering {method!r}")
                    else:
                        self._buffer += chunk
                        if len(self._buffer) > MAX_LINE_BYTES:
                            raise self._fail(f"answered {method!r} with a line of more than {MAX_LINE_BYTES} bytes")
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    def _write(self, out: bytes) -> bytes:
        """Write as much as the pipe accepts; returns the rest. A closed pipe shows later, as a missing reply."""
        assert self._popen.stdin is not None
        try:
            return out[os.write(self._popen.stdin.fileno(), out) :]
        except BlockingIOError:
            return out
        except BrokenPipeError:
            return b""

    def _status(self) -> str:
        try:
            code = self._popen.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        return f" ({signal.Signals(-code).name})" if code < 0 else f" (exit status {code})"

    def _fail(self, what: str, *, timeout: bool = False) -> ProcessError:
        """Kill the worker; returns an error of one line with the end of its standard error."""
        kill(self._popen)
        assert self._popen.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            self._tail = (self._tail + (self._popen.stderr.read() or b""))[-MAX_STDERR_BYTES:]
        self.close()
        tail = self.redacted(self._tail.decode("utf-8", "replace"))
        words = " | ".join(line.strip() for line in tail.splitlines() if line.strip())
        self._failure = f"{self.name} {what}" + (
            f"; its standard error ends: {words[-MAX_SHOWN_CHARACTERS:]}" if words else ""
        )
        return (ProcessTimeout if timeout else ProcessError)(self._failure)

    def close(self) -> None:
        """End the worker: close its input, wait a moment, kill the rest of its process group."""
        self._failure = self._failure or "it was closed"
        self._finalizer()


def _spellings(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Possible spellings of the values in a text, with their names, longest first; very short values are left out."""
    found = {
        (spelling, name)
        for name, value in environment.items()
        for spelling in (value, value.strip(), json.dumps(value)[1:-1], repr(value)[1:-1])
        if len(spelling) >= MIN_SECRET_LENGTH
    }
    return sorted(found, key=lambda pair: (-len(pair[0]), pair))


def kill(popen: subprocess.Popen[bytes]) -> None:
    """Kill a whole process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)


def _end(popen: subprocess.Popen[bytes]) -> None:
    for pipe in (popen.stdin, popen.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(timeout=GRACE_SECONDS)
    kill(popen)
    popen.wait()
    if popen.stderr is not None:
        popen.stderr.close()
