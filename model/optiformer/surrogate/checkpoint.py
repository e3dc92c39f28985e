"""Checkpoints of the surrogate: safetensors and JSON with checksums, never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.files import CONFIG, WEIGHTS, sha256, shipped, write_atomically
from optiformer.network_config import NetworkConfig
from optiformer.settings import build
from optiformer.surrogate.config import SurrogateConfig, identity

if TYPE_CHECKING:
    import torch

NAME = "trialset"
#: Of the files; all are single precision once they are read.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class SurrogateCheckpoint:
    """A trained surrogate with what is needed to use it.

    Attributes:
        weights: Arrays by their names in :class:`~optiformer.surrogate.network.network.SurrogateNetwork`, single
            precision.
        encoding: The encoding.
        config: The backbone's shape.
        info: Steps, losses, the run's configuration.
    """

    weights: Weights
    encoding: SurrogateConfig
    config: NetworkConfig
    info: dict[str, Any]

    def digest(self) -> str:
        """A hash of everything that determines what it predicts."""
        digest = hashlib.sha256(json.dumps([identity(self.encoding), asdict(self.config)], sort_keys=True).encode())
        for name in sorted(self.weights):
            digest.update(name.encode() + self.weights[name].tobytes())
        return digest.hexdigest()[:16]


def save(
    folder: str | Path,
    weights: Mapping[str, torch.Tensor] | Weights,
    encoding: SurrogateConfig,
    config: NetworkConfig,
    *,
    info: dict[str, Any],
    bf16: bool = False,
) -> Path:
    """Write a checkpoint.

    Args:
        folder: Where; created if missing.
        weights: The network's state dictionary, or a checkpoint's arrays.
        encoding: The encoding.
        config: The backbone's shape.
        info: Anything that JSON can hold.
        bf16: Whether to halve the file by rounding to bf16.
    """
    import torch
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = torch.bfloat16 if bf16 else torch.float32
    kept = {name: torch.as_tensor(tensor).detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(kept, path, metadata={"format": "pt"}))
    content = {
        "encoding": NAME,
        "trialset": asdict(encoding),
        "network": asdict(config),
        "weights_sha256": sha256(folder / WEIGHTS),
        "info": info,
    }
    write_atomically(folder / CONFIG, lambda path: path.write_text(json.dumps(content, indent=1) + "\n"))
    return folder


def load(folder: str | Path) -> SurrogateCheckpoint:
    """Load a checkpoint after checking it.

    Raises:
        ModelError: A file is missing or corrupted, or the checkpoint is of another encoding.
    """
    from safetensors import SafetensorError

    folder = Path(folder)
    try:
        content = json.loads((folder / CONFIG).read_text())
        kind, digest, info = content["encoding"], content["weights_sha256"], content["info"]
        if kind != NAME:
            raise ModelError(f"{folder} is a checkpoint of the encoding {kind!r}; this needs one of {NAME!r}.")
        encoding = build(SurrogateConfig, content["trialset"], f"{folder / CONFIG}: trialset")
        config = build(NetworkConfig, content["network"], f"{folder / CONFIG}: network")
        found = sha256(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is no complete checkpoint ({error}); it needs {WEIGHTS} and {CONFIG}.") from error
    if found != digest:
        raise ModelError(f"The weights {folder / WEIGHTS} are corrupted (their checksum is wrong); copy them again.")
    try:
        weights = _read(folder / WEIGHTS)
    except SafetensorError as error:
        raise ModelError(
            f"The weights {folder / WEIGHTS} are no safetensors file ({error}); copy them again."
        ) from error
    return SurrogateCheckpoint(weights, encoding, config, info)


def _read(path: Path) -> Weights:
    """The arrays of a safetensors file, bf16 widened: NumPy has no such type."""
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


def arrays(state: Mapping[str, torch.Tensor]) -> Weights:
    """A network's state dictionary as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


def default_checkpoint() -> Path:
    """The surrogate's checkpoint that comes with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    return shipped("optiformer")
