"""Checkpoint format of both networks: safetensors and JSON with checksums, never pickles.

A folder holds the weights and ``config.json`` with the kind of network (``encoding``), its shape, the training settings
and the checksum of the weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "model.safetensors", "config.json"
#: NumPy types by safetensors name; all are converted to float32.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
#: What earlier versions call the surrogate, in checkpoints and in configurations.
FORMER_NAME = "trialset"
Weights = dict[str, NDArray[np.float32]]


def shipped(name: str) -> Path:
    """Folder of a checkpoint shipped with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    folder = Path(__file__).parent / "checkpoints" / name
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"The checkpoint {folder} is missing; reinstall the package or train one and name its folder.")
    return folder


def save_checkpoint(
    folder: str | Path, weights: Mapping[str, torch.Tensor] | Weights, content: Mapping[str, Any], *, bf16: bool
) -> Path:
    """Write a checkpoint.

    Args:
        folder: Destination; created if missing.
        weights: Tensors by name.
        content: Content of ``config.json`` without the checksum.
        bf16: Whether to halve the file by rounding to bf16.
    """
    import torch
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = torch.bfloat16 if bf16 else torch.float32
    kept = {name: torch.as_tensor(tensor).detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(kept, path, metadata={"format": "pt"}))
    text = json.dumps({**content, "weights_sha256": sha256(folder / WEIGHTS)}, indent=1) + "\n"
    write_atomically(folder / CONFIG, lambda path: path.write_text(text))
    return folder


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn errors while reading a checkpoint into a ``ModelError``.

    Raises:
        ModelError: A file is missing or invalid.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is no complete checkpoint ({error}); it needs {WEIGHTS} and {CONFIG}.") from error


def read_content(folder: Path) -> dict[str, Any]:
    """Content of a checkpoint's ``config.json``, with the surrogate's present name.

    Raises:
        ModelError: The file is missing or not JSON.
    """
    with reading(folder):
        content = json.loads((folder / CONFIG).read_text())
        content = _renamed({**content, "encoding": str(content["encoding"])})
        if isinstance(info := content.get("info"), dict) and isinstance(info.get("run"), dict):
            content["info"] = {**info, "run": _renamed(info["run"])}
        return content


def _renamed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the surrogate's present name, as a key and as the encoding."""
    found = {"surrogate" if key == FORMER_NAME else key: value for key, value in content.items()}
    return found | ({"encoding": "surrogate"} if found.get("encoding") == FORMER_NAME else {})


def read_weights(folder: Path, digest: str) -> Weights:
    """A checkpoint's weights.

    Raises:
        ModelError: The file is missing, does not match the checksum ``digest``, or is not safetensors.
    """
    from safetensors import SafetensorError

    path = folder / WEIGHTS
    with reading(folder):
        found = sha256(path)
    if found != digest:
        raise ModelError(f"The weights {path} are corrupted (their checksum is wrong); copy them again.")
    try:
        return _read(path)
    except SafetensorError as error:
        raise ModelError(f"The weights {path} are no safetensors file ({error}); copy them again.") from error


def _read(path: Path) -> Weights:
    """Arrays of a safetensors file, with bf16 widened to float32."""
    import safetensors

    found = {}
    for name, tensor in safetensors.deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
        if tensor["dtype"] == "BF16":  # the upper half of a single
            flat = (np.frombuffer(tensor["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
        elif tensor["dtype"] in DTYPES:
            flat = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).astype(np.float32)
        else:
            raise ModelError(
                f"The weights {path} are of type {tensor['dtype']}; they must be BF16, {' or '.join(DTYPES)}."
            )
        found[name] = flat.reshape(tensor["shape"])
    return found


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file atomically, by renaming a temporary file in the same folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)  # noqa: PTH105
    finally:
        temporary.unlink(missing_ok=True)
