"""Checkpoints of the surrogate (:mod:`optiformer.files` has the format)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError
from optiformer.files import CONFIG, Weights, read_content, read_weights, reading, save_checkpoint, shipped
from optiformer.network_config import NetworkConfig
from optiformer.settings import build
from optiformer.surrogate.config import SurrogateConfig, identity

if TYPE_CHECKING:
    import torch

NAME = "trialset"


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
    content = {"encoding": NAME, "trialset": asdict(encoding), "network": asdict(config), "info": info}
    return save_checkpoint(folder, weights, content, bf16=bf16)


def load(folder: str | Path) -> SurrogateCheckpoint:
    """Load a checkpoint after checking it.

    Raises:
        ModelError: A file is missing or corrupted, or the checkpoint is of another encoding.
    """
    folder = Path(folder)
    content = read_content(folder)
    if content["encoding"] != NAME:
        raise ModelError(
            f"{folder} is a checkpoint of the encoding {content['encoding']!r}; this needs one of {NAME!r}."
        )
    with reading(folder):
        encoding = build(SurrogateConfig, content["trialset"], f"{folder / CONFIG}: trialset")
        config = build(NetworkConfig, content["network"], f"{folder / CONFIG}: network")
        digest, info = content["weights_sha256"], content["info"]
    return SurrogateCheckpoint(read_weights(folder, digest), encoding, config, info)


def arrays(state: Mapping[str, torch.Tensor]) -> Weights:
    """A network's state dictionary as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


def default_checkpoint() -> Path:
    """The surrogate's checkpoint that comes with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    return shipped("optiformer")
