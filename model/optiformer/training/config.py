"""Settings of a training run as frozen dataclasses, read from YAML and saved as JSON beside the weights."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from optiformer.errors import ModelError
from optiformer.files import FORMER_NAME
from optiformer.network_config import PRESETS, NetworkConfig
from optiformer.sequence.config import AugmentConfig, DataConfig, SamplingConfig
from optiformer.sequence.tokenizer import Vocabulary
from optiformer.settings import Positive, Range, Seed, Share, build, check, require
from optiformer.surrogate.config import SurrogateConfig, hash_content

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the optimization.

    Attributes:
        steps: Optimizer steps planned; the learning rate's cosine ends there.
        minutes: Limit on the total training time, including resumed parts; the learning rate then follows the time
            used. 0 for no limit.
        batch_tokens: Tokens per micro-batch, including padding.
        accumulation: Micro-batches per step.
        draw_ahead: Number of surrogate batches sampled together, with the same context length.
        learning_rate: Peak learning rate.
        warmup: Fraction of the run over which the learning rate rises.
        final_rate: Final learning rate as a fraction of the peak.
        schedule: ``cosine``: a linear warmup, then a cosine. ``constant``: a linear warmup, the peak, and a linear
            decay over the last ``cooldown``; with no cooldown, other runs can continue from any snapshot.
            ``onecycle``: half cosines from 1/25 of the peak to the peak and to nearly 0, while AdamW's first decay goes
            from .95 to .85 and back (``warmup`` is the fraction of the rise, ``final_rate`` is unused); see L. N. Smith
            and N. Topin, arXiv 1708.07120.
        cooldown: Final fraction of the run over which the rate of ``constant`` decays.
        start: Folder of a checkpoint to start from; "" for random weights.
        snapshots: Steps between inference checkpoints kept beside the best one; 0 for none.
        weight_decay: Weight decay of matrices.
        decay_groups: ``False`` also decays norms and biases.
        beta2: AdamW's second decay.
        clip: Maximum gradient norm.
        precision: ``auto``: bf16 if the device supports it in hardware, else fp32 | ``fp32`` | ``bf16`` | ``fp16``
            (with a loss scaler; CUDA only).
        ema: Decay of the moving average of the weights, which is validated and exported; 0 for none.
        validate_every: Steps between validations.
        validation_batches: Micro-batches per validation.
        patience: Validations without improvement before early stopping; 0 for never.
        checkpoint_minutes: Minutes between checkpoints.
        seed: Seed of initialization, augmentation and order.
        device: ``auto`` | ``cpu`` | ``cuda``.
        threads: Torch threads on the CPU; 0 for torch's default, at most the cores available to the process.
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


#: Settings of :class:`TrainConfig` added later, with their neutral values.
HASH_NEUTRAL = {
    "schedule": "cosine",
    "decay_groups": True,
    "draw_ahead": 1,
    "cooldown": 0.0,
    "start": "",
    "snapshots": 0,
}
#: Names of precisions in hashes; `auto` has the name of the former default.
PRECISIONS = {"auto": "bf16", "bf16": "bf16 always"}


@dataclass(frozen=True)
class RunConfig:
    """Settings of a whole run, as read by ``optibench train CONFIG.yaml``.

    Attributes:
        name: Name of the run in logs and on the model card.
        encoding: ``seq`` for the sequence network, ``surrogate`` for the surrogate.
        surrogate: Settings of the surrogate and its prior (``vocabulary``, ``data``, ``augment`` and ``sampling`` are
            those of the sequence network).
    """

    name: str
    encoding: Literal["seq", "surrogate"] = "seq"
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    network: NetworkConfig = field(default_factory=lambda: PRESETS["pico"])
    train: TrainConfig = field(default_factory=TrainConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

    def __post_init__(self) -> None:
        check(self)
        if self.encoding == "surrogate":
            after, layers = self.surrogate.kernels_after, self.network.n_layers
            require(after < layers, f"surrogate.kernels_after must be below network.n_layers, not {after} of {layers}.")
            return
        widest, names = max(self.data.prior.dimensions), len(self.vocabulary.names)
        require(widest <= names, f"data.prior has {widest} dimensions, for which {names} vocabulary.names are too few.")
        fewest = 3 + 2 * (2 * widest + 3)
        require(
            self.augment.max_tokens >= fewest,
            f"augment.max_tokens must be at least {fewest}, or 2 trials of {widest} dimensions are too long.",
        )

    def refuse_other_encoding(self, encoding: str) -> None:
        """Check that the run trains a given encoding.

        Raises:
            ModelError: It trains a different one.
        """
        require(
            self.encoding == encoding,
            f"The configuration {self.name!r} trains the encoding {self.encoding}; give one that trains {encoding}.",
        )

    def digest(self) -> str:
        """A hash of everything that determines the trained weights (sampling and machine do not)."""
        content = asdict(self)
        del content["sampling"], content["name"], content["surrogate"]
        if self.encoding == "surrogate":  # under its former name, which keeps the hashes of earlier versions
            content |= {"encoding": FORMER_NAME, FORMER_NAME: hash_content(self.surrogate)}
            del content["vocabulary"], content["data"], content["augment"]
        for setting in ("device", "threads", "checkpoint_minutes"):
            del content["train"][setting]
        content["train"]["precision"] = PRECISIONS.get(self.train.precision, self.train.precision)
        for setting, default in HASH_NEUTRAL.items():  # keeps the hashes of earlier versions
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
        return cls.of(content, str(path))

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str) -> RunConfig:
        """Build it from plain data; ``where`` they stand is for error messages.

        Raises:
            ModelError: A setting is unknown or ill-typed.
        """
        former = FORMER_NAME in content or content.get("encoding") == FORMER_NAME
        require(
            not former, f"{where}: the encoding and the key {FORMER_NAME!r} are now called 'surrogate'; rename both."
        )
        return build(cls, content, where)


def _find(path: Path) -> Path:
    """The file itself, or the configuration of that name shipped with the package."""
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
