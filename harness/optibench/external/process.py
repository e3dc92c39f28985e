"""A worker process that answers JSON-RPC requests, one line each, within a time limit.

Everything that can go wrong with a foreign program ends in one sentence that quotes what it wrote to standard error:
it cannot be started, it dies, it hangs (its whole process group is killed), it writes something else than replies.
After such a failure the process is gone; what was asked of it cannot be known.
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
PROTOCOL = 1
"""The version of the protocol that is spoken here; docs/how-to/external.md."""
LONGEST_LINE = 64 * 2**20
"""Bytes of a reply that are accepted."""
TAIL = 2000
"""Bytes of standard error that are kept."""
SHOWN = 300
"""Characters of it that an error message ends with: a trial keeps 500 in all."""
SHORTEST_SECRET = 4
"""Characters of a variable's value from which on it is kept out of error messages."""
GRACE_SECONDS = 1.0
"""How long a worker may take to end once its standard input is closed."""


class ProcessError(Exception):
    """The worker failed; it is not running any more."""


class ProcessTimeout(ProcessError, TimeoutError):
    """The worker did not answer in time, and was killed."""


class Refusal(Exception):
    """The worker answered with an error; it goes on. ``code`` is the JSON-RPC error's."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _die_with_parent() -> None:
    """Have the kernel kill the worker when the process that started it is gone, even by kill -9 (Linux)."""
    assert _libc is not None
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


# Looked up before any fork: a child must not load libraries.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Process:
    """One running worker.

    Args:
        name: What error messages call it.
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
                start_new_session=True,  # a group of its own, to be killed as one
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
        """Whether it can be asked; a worker that died unnoticed counts until its next request."""
        return self._failure is None

    def redacted(self, text: str) -> str:
        """A text without the values of the worker's variables: each is replaced by its name."""
        for value, name in self._secrets:
            text = text.replace(value, f"${name}")
        return text

    def _pipes(self) -> list[Any]:
        return [self._popen.stdin, self._popen.stdout, self._popen.stderr]

    def request(self, method: str, params: Mapping[str, Any], seconds: float) -> Any:
        """Send one request and wait for its reply.

        Args:
            method: The method's name.
            params: Its parameters, as JSON can hold them.
            seconds: How long the worker may take.

        Returns:
            The reply's ``result``.

        Raises:
            Refusal: The worker answered with an error.
            ProcessTimeout: It did not answer in time.
            ProcessError: It died, or wrote something else than a reply.
        """
        if self._failure is not None:
            raise ProcessError(f"{self.name} is not running any more, since it failed before: {self._failure}")
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
                f"answered {method!r} with {shown!r} on standard output, which is no JSON-RPC reply to request "
                f"{self._next}; print everything else to standard error"
            )
        if "result" in reply:
            return reply["result"]
        error = reply["error"] if isinstance(reply["error"], dict) else {"message": reply["error"]}
        raise Refusal(self.redacted(str(error.get("message"))), error.get("code", 0))

    def _exchange(self, out: bytes, method: str, deadline: float, seconds: float) -> bytes:
        """Write the request while reading both outputs, until there is a whole line of standard output."""
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
                        self._tail = (self._tail + chunk)[-TAIL:]
                        if not chunk:
                            selector.unregister(stderr)
                    elif not chunk:
                        raise self._fail(f"ended{self._status()} instead of answering {method!r}")
                    else:
                        self._buffer += chunk
                        if len(self._buffer) > LONGEST_LINE:
                            raise self._fail(f"answered {method!r} with a line of more than {LONGEST_LINE} bytes")
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    def _write(self, out: bytes) -> bytes:
        """Write what the pipe takes; returns the rest. A closed pipe is noticed when the reply does not come."""
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
        """Kill the worker and make the error: one line, with the end of its standard error."""
        kill(self._popen)
        assert self._popen.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            self._tail = (self._tail + (self._popen.stderr.read() or b""))[-TAIL:]
        self.close()
        tail = self.redacted(self._tail.decode("utf-8", "replace"))
        words = " | ".join(line.strip() for line in tail.splitlines() if line.strip())
        self._failure = f"{self.name} {what}" + (f"; its standard error ends: {words[-SHOWN:]}" if words else "")
        return (ProcessTimeout if timeout else ProcessError)(self._failure)

    def close(self) -> None:
        """End the worker: close its input, wait a moment, kill what is left of its process group."""
        self._failure = self._failure or "it was closed"
        self._finalizer()


def _spellings(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """How values may stand in a text, the longest first, with their names; very short ones are words like any other."""
    found = {
        (spelling, name)
        for name, value in environment.items()
        for spelling in (value, value.strip(), json.dumps(value)[1:-1], repr(value)[1:-1])
        if len(spelling) >= SHORTEST_SECRET
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
