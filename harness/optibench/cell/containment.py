"""Contains the changes that foreign code makes to its process: optimizer and benchmark each have their own side.

A side stores what its calls change in the process (working directory, environment, standard streams, NumPy's and
PyTorch's defaults, temporary folder). The side's state is restored before each of its calls, and the process's own
state after it. Global random generators are seeded before each call, so that neither the other side's draws nor a
resumed run change what a side draws.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class _State(NamedTuple):
    """The process-wide state that a call can change."""

    folder: str | None
    environment: dict[bytes, bytes]
    streams: tuple[Any, Any, Any]
    numpy_errors: Any
    torch: tuple[Any, ...] | None
    temporary: str | None


def _take() -> _State:
    try:
        folder = os.getcwd()  # noqa: PTH109 (a hundredth of a trial's cost)
    except FileNotFoundError:  # the folder was removed
        folder = None
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return _State(folder, _environment().copy(), streams, np.geterr(), _torch_defaults(), tempfile.tempdir)


def _put(wanted: _State, here: _State) -> None:
    """Change the process from the state ``here`` to the state ``wanted``."""
    if wanted.folder is not None and wanted.folder != here.folder:
        with contextlib.suppress(OSError):
            os.chdir(wanted.folder)
    if wanted.environment != here.environment:
        for name in here.environment.keys() - wanted.environment.keys():
            del os.environb[name]
        os.environb.update(wanted.environment)
    sys.stdin, sys.stdout, sys.stderr = wanted.streams
    if wanted.numpy_errors != here.numpy_errors:
        np.seterr(**wanted.numpy_errors)
    if here.torch is not None and wanted.torch != here.torch:
        _set_torch_defaults(wanted.torch)
    tempfile.tempdir = wanted.temporary


def _environment() -> dict[bytes, bytes]:
    """The stored form of the environment: copying :data:`os.environ` itself takes twenty times as long."""
    return os.environ._data  # type: ignore[attr-defined, no-any-return]


def _torch_defaults() -> tuple[Any, ...] | None:
    """PyTorch's process-wide settings; ``None`` while it is not imported."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_num_threads"):  # half imported
        return None
    deterministic = torch.are_deterministic_algorithms_enabled()
    return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), deterministic


def _set_torch_defaults(values: tuple[Any, ...] | None) -> None:
    """Set what :func:`_torch_defaults` returned; ``None``: the settings of a fresh import."""
    torch: Any = sys.modules["torch"]
    dtype, grad, threads, deterministic = values or (torch.float32, True, torch.get_num_threads(), False)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and, if it is imported, PyTorch's global generator."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (foreign code may draw from the global one)
    torch = sys.modules.get("torch")
    generator = getattr(getattr(torch, "random", None), "default_generator", None)
    if generator is not None:
        generator.manual_seed(seed)


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Restore the states of the global random generators at the end."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.random.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(states[2])


class Side:
    """One side of the boundary: the optimizer of a cell, or its benchmark.

    Args:
        folder: Its temporary folder, created again if a call removes it; ``None``: the process's own.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._state: _State | None = None

    @contextlib.contextmanager
    def call(self, seed: int) -> Iterator[None]:
        """Wrap one call into foreign code.

        Args:
            seed: The seed of the global generators, in [0, 2**32).
        """
        outer = _take()
        if self._folder is not None and not os.path.isdir(self._folder):  # noqa: PTH112
            self._folder.mkdir(parents=True)
        if self._state is not None:
            _put(self._state, outer)
        elif self._folder is not None:
            tempfile.tempdir = str(self._folder)
            os.environ["TMPDIR"] = tempfile.tempdir
        seed_generators(seed)
        try:
            yield
        finally:
            self._state = _take()
            _put(outer, self._state)
