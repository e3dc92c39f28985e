"""The sequence network: a Llama backbone, and its checkpoints."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optiformer.errors import ModelError
from optiformer.files import CONFIG, read_content, read_weights, reading, save_checkpoint, shipped, write_atomically
from optiformer.network_config import NetworkConfig
from optiformer.sequence.config import SamplingConfig
from optiformer.sequence.initialization import start_copying
from optiformer.sequence.llama import MAX_POSITIONS, ROPE_THETA
from optiformer.sequence.tokenizer import Vocabulary
from optiformer.settings import build

if TYPE_CHECKING:
    import torch

    from optiformer.sequence.decoder import Decoder

VOCABULARY = "vocabulary.json"
#: Sampling settings that earlier versions had, with the value of all checkpoints; part of their hashes.
FORMER = {"candidates": 1}


def build_network(config: NetworkConfig, vocabulary: Vocabulary, *, seed: int | None = None) -> Any:
    """A ``LlamaForCausalLM`` with initial weights.

    Args:
        config: Shape and initialization.
        vocabulary: Determines the number of embeddings and the padding token.
        seed: Seed of the initial weights; ``None`` uses torch's global random state.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if seed is not None:
        torch.manual_seed(seed)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            **config.llama(),
            max_position_embeddings=MAX_POSITIONS,
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            pad_token_id=vocabulary.special("PAD"),
            bos_token_id=vocabulary.special("BOS"),
            eos_token_id=vocabulary.special("EOS"),
            tie_word_embeddings=config.tie_embeddings,
        )
    )
    network.set_attn_implementation("sdpa")
    with torch.no_grad():
        if config.tie_query_key:
            for layer in network.model.layers:
                layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
    if config.copying_start:
        start_copying(network, vocabulary)
    return network


def count_parameters(network: Any) -> int:
    """Trainable parameters, shared ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


def _plain(config: NetworkConfig, *, tie: bool) -> NetworkConfig:
    """The same shape without initializations that need real tensors."""
    return NetworkConfig(
        config.hidden_size, config.n_layers, config.n_heads, config.intermediate_size, tie_embeddings=tie
    )


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network with what is needed to use it.

    Attributes:
        weights: float32 tensors by their names in ``LlamaForCausalLM``, without a tied output table.
        config: Shape of the network.
        vocabulary: Its vocabulary.
        sampling: Default sampling settings.
        encoding: Name of the encoding.
        info: Steps, losses, the run's configuration.
    """

    weights: dict[str, torch.Tensor]
    config: NetworkConfig
    vocabulary: Vocabulary
    sampling: SamplingConfig
    encoding: str
    info: dict[str, Any]

    def digest(self) -> str:
        """A hash of everything that determines the proposals."""
        settings = [asdict(self.config), asdict(self.sampling) | FORMER]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        digest.update(self.vocabulary.digest().encode())
        for name in sorted(self.weights):
            digest.update(name.encode() + self.weights[name].cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def network(self) -> Any:
        """The ``LlamaForCausalLM`` in evaluation mode (imports transformers, which inference does not need)."""
        import torch

        with torch.random.fork_rng(devices=[]):  # its initial weights are thrown away; leave the caller's stream alone
            network = build_network(_plain(self.config, tie=self.config.tie_embeddings), self.vocabulary)
        network.load_state_dict(self.weights, strict=False)
        network.tie_weights()
        return network.to(next(iter(self.weights.values())).device).eval()

    @functools.cached_property
    def decoder(self) -> Decoder:
        """The network as an incremental decoder."""
        from optiformer.sequence.decoder import Decoder

        return Decoder(self.config, self.weights)


def expected_shapes(config: NetworkConfig, vocabulary: Vocabulary) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a checkpoint."""
    width, inner, table = config.hidden_size, config.intermediate_size, (len(vocabulary), config.hidden_size)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": table, "model.norm.weight": (width,)}
    if not config.tie_embeddings:
        shapes["lm_head.weight"] = table
    for index in range(config.n_layers):
        layer = f"model.layers.{index}."
        for name in "qkvo":
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (width, width)
        shapes |= {f"{layer}mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
        shapes[f"{layer}mlp.down_proj.weight"] = (width, inner)
        shapes |= {f"{layer}{name}_layernorm.weight": (width,) for name in ("input", "post_attention")}
    return shapes


def save(
    folder: str | Path,
    weights: dict[str, torch.Tensor],
    config: NetworkConfig,
    vocabulary: Vocabulary,
    *,
    sampling: SamplingConfig,
    encoding: str,
    info: dict[str, Any],
    bf16: bool = False,
) -> Path:
    """Write a checkpoint: weights (safetensors), configuration and vocabulary (JSON).

    Args:
        folder: Destination; created if missing.
        weights: State dictionary; tied tables appear once.
        config: Shape of the network.
        vocabulary: Its vocabulary.
        sampling: Default sampling settings.
        encoding: Name of the encoding.
        info: Anything that JSON can hold.
        bf16: Whether to halve the file by rounding to bf16.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: t for name, t in weights.items() if not (config.tie_embeddings and name == "lm_head.weight")}
    write_atomically(folder / VOCABULARY, vocabulary.save)
    content = {
        "encoding": encoding,
        "network": asdict(config),
        "sampling": asdict(sampling),
        "vocabulary_sha256": vocabulary.digest(),
        "info": info,
    }
    return save_checkpoint(folder, kept, content, bf16=bf16)


def load(folder: str | Path, *, device: str = "cpu", vocabulary: Vocabulary | None = None) -> Checkpoint:
    """Load and verify a checkpoint.

    Args:
        folder: A folder written by :func:`save`.
        device: Device of the weights.
        vocabulary: The required vocabulary, if any.

    Raises:
        ModelError: A file is missing or corrupted, the vocabulary differs from that of the training, or there is no
            such device.
    """
    import torch

    folder = Path(folder)
    content = read_content(folder)
    with reading(folder):
        digest, encoding, info = content["weights_sha256"], content["encoding"], content["info"]
        config = build(NetworkConfig, content["network"], f"{folder / CONFIG}: network")
        own = {name: value for name, value in content["sampling"].items() if name not in FORMER}
        sampling = build(SamplingConfig, own, f"{folder / CONFIG}: sampling")
        trained_with = content["vocabulary_sha256"]
    saved = Vocabulary.load(folder / VOCABULARY)
    if saved.digest() != trained_with or (vocabulary is not None and vocabulary.digest() != trained_with):
        raise ModelError(f"The checkpoint {folder} was trained with another vocabulary; use the one saved with it.")
    arrays = read_weights(folder, digest)
    try:
        weights = {name: torch.as_tensor(array, device=device) for name, array in arrays.items()}
    except (AssertionError, RuntimeError) as error:  # of torch, which has no such device
        raise ModelError(f"The device {device!r} cannot be used; name another one, such as 'cpu'.") from error
    shapes, expected = {name: tuple(t.shape) for name, t in weights.items()}, expected_shapes(config, saved)
    if shapes != expected:
        odd = sorted(name for name in shapes | expected if shapes.get(name) != expected.get(name))[0]
        raise ModelError(
            f"The weights in {folder} do not fit its configuration: {odd} is {shapes.get(odd, 'missing')}."
        )
    return Checkpoint(weights, config, saved, sampling, encoding, info)


def default_checkpoint() -> Path:
    """Folder of the sequence checkpoint shipped with the package.

    Raises:
        ModelError: The package was installed without it.
    """
    return shipped("optiformer-seq")
