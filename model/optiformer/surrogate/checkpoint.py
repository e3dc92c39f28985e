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
from optiformer.gp.prior import PRIORS, GPPrior
from optiformer.gp.prior import read as read_priors
from optiformer.network_config import NetworkConfig
from optiformer.settings import build
from optiformer.surrogate.config import SurrogateConfig, hash_content

if TYPE_CHECKING:
    import torch

NAME = "surrogate"


@dataclass(frozen=True, eq=False)
class SurrogateCheckpoint:
    """A trained surrogate with what is needed to use it.

    Attributes:
        weights: float32 arrays by their names in
            :class:`~optiformer.surrogate.network.network.SurrogateNetwork`.
        encoding: Settings of the encoding.
        config: Shape of the backbone.
        info: Steps, losses, the run's configuration.
        priors: Learned from its training data, of the plain GP beside the network; the default if empty.
    """

    weights: Weights
    encoding: SurrogateConfig
    config: NetworkConfig
    info: dict[str, Any]
    priors: tuple[GPPrior, ...] = ()

    def digest(self) -> str:
        """A hash of everything that determines the predictions."""
        digest = hashlib.sha256(json.dumps([hash_content(self.encoding), asdict(self.config)], sort_keys=True).encode())
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
        folder: Destination; created if missing.
        weights: The network's state dictionary, or a checkpoint's arrays.
        encoding: Settings of the encoding.
        config: Shape of the backbone.
        info: Anything that JSON can hold.
        bf16: Whether to halve the file by rounding to bf16.
    """
    content = {"encoding": NAME, "surrogate": asdict(encoding), "network": asdict(config), "info": info}
    return save_checkpoint(folder, weights, content, bf16=bf16)


def load(folder: str | Path) -> SurrogateCheckpoint:
    """Load and verify a checkpoint; one without learned priors takes those of the shipped one.

    Raises:
        ModelError: A file is missing or corrupted, or the checkpoint has a different encoding.
    """
    folder = Path(folder)
    content = read_content(folder)
    if content["encoding"] != NAME:
        raise ModelError(
            f"{folder} is a checkpoint of the encoding {content['encoding']!r}; this needs one of {NAME!r}."
        )
    with reading(folder):
        encoding = build(SurrogateConfig, content["surrogate"], f"{folder / CONFIG}: surrogate")
        config = build(NetworkConfig, content["network"], f"{folder / CONFIG}: network")
        digest, info = content["weights_sha256"], content["info"]
    priors = read_priors(_priors(folder).parent)
    return SurrogateCheckpoint(read_weights(folder, digest), encoding, config, info, priors)


def fingerprint(folder: str | Path) -> str:
    """A hash of a checkpoint's configuration, which has the checksum of its weights, and of its priors."""
    folder = Path(folder)
    return hashlib.sha256((folder / CONFIG).read_bytes() + _priors(folder).read_bytes()).hexdigest()[:16]


def _priors(folder: Path) -> Path:
    """The file of a checkpoint's learned priors: the shipped one's if it has none."""
    return found if (found := folder / PRIORS).exists() else default_checkpoint() / PRIORS


def arrays(state: Mapping[str, torch.Tensor]) -> Weights:
    """A network's state dictionary as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


def default_checkpoint() -> Path:
    """Folder of the surrogate checkpoint shipped with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    return shipped("optiformer")
