"""Every setting of a training run as frozen dataclasses, read from YAML and saved as JSON beside the weights."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from optiformer.errors import ModelError
from optiformer.network_config import PRESETS, NetworkConfig
from optiformer.sequence.config import AugmentConfig, DataConfig, SamplingConfig
from optiformer.sequence.tokenizer import Vocabulary
from optiformer.settings import Positive, Range, Seed, Share, build, check, require
from optiformer.surrogate.config import SurrogateConfig, identity

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainConfig:
    """The optimization.

    Attributes:
        steps: Optimizer steps planned; the learning rate's cosine ends there.
        minutes: Stop after this much training time in all, resumed parts included; the learning rate then follows the
            share of time used. 0 for no limit.
        batch_tokens: Tokens a micro-batch, padding included.
        accumulation: Micro-batches a step.
        draw_ahead: Batches of the set encoding that are drawn together, with contexts of one length.
        learning_rate: The peak.
        warmup: Share of the run over which the learning rate rises.
        final_rate: Where the rate ends, as a share of the peak.
        schedule: ``cosine``: a linear warmup, then a cosine. ``constant``: a linear warmup, the peak, and a linear fall
            over the last ``cooldown``; without one, other runs can go on from any snapshot. ``onecycle``: both ways by
            cosines, from a twenty-fifth of the peak and down to nothing, while AdamW's first decay goes from .95 to .85
            and back (``warmup`` is the rise's share, ``final_rate`` unused); see L. N. Smith and N. Topin, arXiv
            1708.07120.
        cooldown: The last share of the run, over which the rate of ``constant`` falls.
        start: The folder of a checkpoint whose weights the run starts from; "" for fresh ones.
        snapshots: Steps between checkpoints for use that are kept beside the best one; 0 for none.
        weight_decay: On matrices; norms and biases get none.
        decay_groups: ``False`` decays norms and biases as well.
        beta2: AdamW's second decay.
        clip: Largest gradient norm.
        precision: ``auto``: bf16 where the device multiplies it in hardware, else fp32 | ``fp32`` | ``bf16`` | ``fp16``
            (with a loss scaler; CUDA only).
        ema: Decay of the averaged weights, which are the ones validated and shipped; 0 for none.
        validate_every: Steps between validations.
        validation_batches: Micro-batches a validation.
        patience: Validations without a better loss before stopping early; 0 for never.
        checkpoint_minutes: Minutes between checkpoints.
        seed: Drives initialisation, augmentation and order.
        device: ``auto`` | ``cpu`` | ``cuda``.
        threads: Torch threads on the CPU; 0 for torch's own number, at most the cores that the process may use.
    """

    steps: Annotated[int, Range(1, 10**9)] = 2000
    minutes: Annotated[float, Range(0)] = 0.0
    batch_tokens: Annotated[int, Range(1, 10**8)] = 8192
    accumulation: Annotated[int, Range(1, 10**6)] = 1
    draw_ahead: Annotated[int, Range(1, 1000)] = 1
    learning_rate: Positive = 1e-3
    warmup: Share = 0.05
    final_rate: Share = 0.05
    schedule: Literal["cosine", "constant", "onecycle"] = "cosine"
    cooldown: Share = 0.0
    start: str = ""
    snapshots: Annotated[int, Range(0, 10**9)] = 0
    weight_decay: Annotated[float, Range(0, 1000)] = 0.1
    decay_groups: bool = True
    beta2: Annotated[float, Range(0, below=1)] = 0.98
    clip: Positive = 1.0
    precision: Precision = "auto"
    ema: Annotated[float, Range(0, below=1)] = 0.995
    validate_every: Annotated[int, Range(1, 10**9)] = 200
    validation_batches: Annotated[int, Range(1, 10**6)] = 8
    patience: Annotated[int, Range(0, 10**9)] = 0
    checkpoint_minutes: Annotated[float, Range(0)] = 5.0
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Range(0, 1024)] = 0

    def __post_init__(self) -> None:
        check(self)
        require(
            self.schedule != "onecycle" or 0 < self.warmup < 1,
            f"the schedule onecycle needs a warmup above 0 and below 1, not {self.warmup}.",
        )


#: Settings of :class:`TrainConfig` that came later, with the values that change nothing.
ADDED = {"schedule": "cosine", "decay_groups": True, "draw_ahead": 1, "cooldown": 0.0, "start": "", "snapshots": 0}
#: How hashes name a precision: `auto` as the default was named before it followed the hardware.
PRECISIONS = {"auto": "bf16", "bf16": "bf16 always"}


@dataclass(frozen=True)
class RunConfig:
    """A whole run: what ``optibench train CONFIG.yaml`` reads.

    Attributes:
        name: Names the run in logs and on the model card.
        encoding: Which encoding of histories: ``seq`` is the named-token sequence, ``trialset`` the set of trials.
        trialset: The set encoding and its prior (``vocabulary``, ``data``, ``augment`` and ``sampling`` are the
            sequence's).
    """

    name: str
    encoding: Literal["seq", "trialset"] = "seq"
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trialset: SurrogateConfig = field(default_factory=SurrogateConfig)
    network: NetworkConfig = field(default_factory=lambda: PRESETS["pico"])
    train: TrainConfig = field(default_factory=TrainConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        check(self)
        if self.encoding == "trialset":
            after, layers = self.trialset.kernels_after, self.network.n_layers
            require(after < layers, f"trialset.kernels_after must be below network.n_layers, not {after} of {layers}.")
            return
        widest, names = max(self.data.prior.dimensions), len(self.vocabulary.names)
        require(widest <= names, f"data.prior has {widest} dimensions, for which {names} vocabulary.names are too few.")
        fewest = 3 + 2 * (2 * widest + 3)
        require(
            self.augment.max_tokens >= fewest,
            f"augment.max_tokens must be at least {fewest}, or 2 trials of {widest} dimensions are too long.",
        )

    def refuse_other_encoding(self, encoding: str) -> None:
        """Refuse to be trained for an optimizer of another encoding.

        Raises:
            ModelError: It is of another one.
        """
        require(
            self.encoding == encoding,
            f"The configuration {self.name!r} trains the encoding {self.encoding}; give one that trains {encoding}.",
        )

    def digest(self) -> str:
        """A hash of everything that determines the trained weights (sampling and machine do not)."""
        content = asdict(self) | {"trialset": identity(self.trialset)}
        del content["sampling"], content["name"]
        for part in ("trialset",) if self.encoding == "seq" else ("vocabulary", "data", "augment"):
            del content[part]
        for setting in ("device", "threads", "checkpoint_minutes"):
            del content["train"][setting]
        content["train"]["precision"] = PRECISIONS.get(self.train.precision, self.train.precision)
        for setting, default in ADDED.items():  # hashes are as they were before these could be set
            if content["train"][setting] == default:
                del content["train"][setting]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Read a YAML or JSON file, or one of ``model/optiformer/configs/`` by name; ``network`` may be a preset's
        name.

        Raises:
            ModelError: The file is missing, is not YAML, or has an unknown or ill-typed setting.
        """
        import yaml

        path = _find(Path(os.path.expanduser(path)))  # noqa: PTH111  # Path's raises for an unknown user
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"The configuration {path} cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no text, or a date that is none
            raise ModelError(f"The configuration {path} is not YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(content, dict):
            raise ModelError(
                f"The configuration {path} must be a mapping of settings; see model/optiformer/configs/ for examples."
            )
        network = content.get("network")
        if isinstance(network, str):
            if network not in PRESETS:
                raise ModelError(f"{path}: unknown network preset {network!r}; choose one of {', '.join(PRESETS)}.")
            content["network"] = asdict(PRESETS[network])
        content.setdefault("name", path.stem)
        return build(cls, content, str(path))


def _find(path: Path) -> Path:
    """The file itself, or the one that comes with the package under that name."""
    shipped = {found.stem: found for found in sorted((Path(__file__).parents[1] / "configs").glob("**/*.yaml"))}
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    if path.name not in shipped:
        close = difflib.get_close_matches(path.name, shipped, cutoff=0.4) or ["optiformer", "optiformer-seq"]
        raise ModelError(
            f"There is no configuration {path.name!r}: give a YAML file, "
            f"or one of model/optiformer/configs/ such as {close[0]}."
        )
    return shipped[path.name]
