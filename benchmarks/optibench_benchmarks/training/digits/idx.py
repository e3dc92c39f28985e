"""MNIST's file format: IDX, as described by LeCun et al. beside the data."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError

_KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> NDArray[Any]:
    """Read one IDX file, gzipped or not.

    Returns:
        The array in the file's own shape and kind of numbers (images: ``(n, 28, 28)`` of ``uint8``).

    Raises:
        BenchmarkError: The file cannot be read, is no IDX file, or is shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        if zero != 0 or kind not in _KINDS:
            raise ValueError("its first bytes are not those of the format")
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        # frombuffer refuses a rest that is no whole number of items; reshape one of another count
        return np.frombuffer(content, dtype=_KINDS[kind], offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise BenchmarkError(
            f"{path} is not a whole IDX file ({error}); get it again with `optibench data fetch mnist mnist/train`."
        ) from None
