"""Every setting of a training run as frozen dataclasses, read from YAML and saved as JSON beside the weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from model.errors import ModelError
from model.functions.prior import PriorConfig
from model.tokenizer import Vocabulary
from model.trial_config import TrialSetConfig, identity

T = TypeVar("T")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message)


@dataclass(frozen=True)
class TeacherShare:
    """One teacher's part of the data.

    Attributes:
        name: ``tpe`` | ``random`` | ``cmaes``.
        share: Its share of the trajectories.
        n_trials: The length of its trajectories.
    """

    name: Literal["tpe", "random", "cmaes"]
    share: float
    n_trials: int = 32

    def __post_init__(self) -> None:
        _require(self.name in ("tpe", "random", "cmaes"), f"Unknown teacher {self.name!r}: tpe, random or cmaes.")
        _require(self.share >= 0 and self.n_trials >= 2, f"Teacher {self.name!r}: give a share >= 0 and >= 2 trials.")


@dataclass(frozen=True)
class DataConfig:
    """The trajectories: how many, of which teachers, on which functions.

    Attributes:
        n_trajectories: How many in all, each on its own function.
        shard_size: Trajectories a file.
        seed: Drives everything random; shard ``i`` depends on the seed and ``i`` alone.
        teachers: Who makes them.
        prior: Which functions they are made on.
    """

    n_trajectories: int = 20_000
    shard_size: int = 250
    seed: int = 0
    teachers: tuple[TeacherShare, ...] = (TeacherShare("tpe", 1.0),)
    prior: PriorConfig = field(default_factory=PriorConfig)

    def __post_init__(self) -> None:
        _require(self.n_trajectories >= 1 and self.shard_size >= 1, "DataConfig: sizes must be at least 1.")
        _require(sum(t.share for t in self.teachers) > 0, "DataConfig: the teachers' shares must sum to more than 0.")


@dataclass(frozen=True)
class AugmentConfig:
    """How a trajectory becomes a training sequence.

    Attributes:
        max_trials: The longest history.
        max_tokens: The longest sequence; histories of many parameters are shortened to it.
        sorted_share: Share of histories ordered from the worst trial to the best one, as at inference; the others are
            shuffled (half) or in their own order (half).
        keep_best: When a trajectory is shortened, the largest share of the trials kept that are its best ones.
        value_noise: Standard deviation of Gaussian noise on continuous positions.
        noise_share: Share of sequences that get it.
        failed_share: Share of sequences in which some trials are made to fail.
        permute: Whether parameters take a random order and random names.
        regret_token: Whether the TARGET_REGRET token tells the hindsight regret (otherwise it is always level 0).
        regret_levels: Normalised regrets below which a sequence's last trial is level 0, level 1; level 2 above.
        improvement_weight: Loss weight of the trials that are not among the better half of a sorted history.
        score_weight: Loss weight of score tokens.
        frame_weight: Loss weight of the other tokens (names, separators, INACTIVE, EOS), which inference never asks
            for; with 1 for all four weights the loss is the plain next-token cross-entropy.
    """

    max_trials: int = 20
    max_tokens: int = 640
    sorted_share: float = 0.8
    keep_best: float = 0.6
    value_noise: float = 0.003
    noise_share: float = 0.5
    failed_share: float = 0.1
    permute: bool = True
    regret_token: bool = True
    regret_levels: tuple[float, float] = (0.05, 0.25)
    improvement_weight: float = 0.3
    score_weight: float = 0.2
    frame_weight: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "regret_levels", tuple(self.regret_levels))
        _require(self.max_trials >= 2 and self.max_tokens >= 64, "AugmentConfig: 2 trials and 64 tokens at least.")
        for name in ("sorted_share", "keep_best", "noise_share", "failed_share"):
            _require(0 <= getattr(self, name) <= 1, f"AugmentConfig: {name} is a share between 0 and 1.")
        low, high = self.regret_levels
        _require(0 < low < high, "AugmentConfig: regret_levels must be two increasing regrets above 0.")


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of the Llama backbone.

    Attributes:
        hidden_size: Width.
        n_layers: Depth.
        n_heads: Attention heads.
        intermediate_size: Width of the feed-forward part.
        tie_query_key: Start with W_k = W_q in every head, so that attention starts as a similarity.
        copying_start: Start with smooth number embeddings and three heads set to copy; see :mod:`model.initialization`.
        tie_embeddings: Whether input and output embeddings are one table.
    """

    hidden_size: int = 256
    n_layers: int = 6
    n_heads: int = 8
    intermediate_size: int = 1024
    tie_query_key: bool = False
    copying_start: bool = False
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        _require(
            min(self.hidden_size, self.n_layers, self.n_heads, self.intermediate_size) >= 1
            and self.hidden_size % (2 * self.n_heads) == 0,
            "NetworkConfig: sizes must be positive and the width an even multiple of the number of heads.",
        )


PRESETS: dict[str, NetworkConfig] = {
    "nano": NetworkConfig(256, 6, 8, 1024),
    "small": NetworkConfig(384, 8, 12, 1536),
    "base": NetworkConfig(512, 12, 16, 2048),
    "large": NetworkConfig(768, 16, 16, 3072),
    # Not in the seed's table: what two CPU cores can train in about an hour.
    "pico": NetworkConfig(128, 4, 4, 384, tie_query_key=True, copying_start=True, tie_embeddings=True),
}


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
        learning_rate: The peak.
        warmup: Share of the run over which the learning rate rises.
        final_rate: The cosine's end, as a share of the peak.
        schedule: ``cosine``: a linear warmup, then a cosine. ``onecycle``: both ways by cosines, from a twenty-fifth of
            the peak and down to nothing, while AdamW's first decay goes from .95 to .85 and back (``warmup`` is the
            rise's share, ``final_rate`` unused); see L. N. Smith and N. Topin, arXiv 1708.07120.
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

    steps: int = 2000
    minutes: float = 0.0
    batch_tokens: int = 8192
    accumulation: int = 1
    learning_rate: float = 1e-3
    warmup: float = 0.05
    final_rate: float = 0.05
    schedule: Literal["cosine", "onecycle"] = "cosine"
    weight_decay: float = 0.1
    decay_groups: bool = True
    beta2: float = 0.98
    clip: float = 1.0
    precision: Precision = "auto"
    ema: float = 0.995
    validate_every: int = 200
    validation_batches: int = 8
    patience: int = 0
    checkpoint_minutes: float = 5.0
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        _require(self.steps >= 1 and self.accumulation >= 1, "TrainConfig: steps and accumulation must be at least 1.")
        _require(0 <= self.ema < 1, "TrainConfig: ema is a decay in [0, 1).")
        _require(self.validate_every >= 1, "TrainConfig: validate_every must be at least 1.")
        _require(self.learning_rate > 0 and self.clip > 0, "TrainConfig: learning_rate and clip must be above 0.")
        known = typing.get_args(Precision)
        _require(self.precision in known, "TrainConfig: precision is auto, fp32, bf16 or fp16.")
        _require(self.device in ("auto", "cpu", "cuda"), "TrainConfig: device is auto, cpu or cuda.")
        _require(self.schedule in ("cosine", "onecycle"), "TrainConfig: schedule is cosine or onecycle.")
        _require(
            self.schedule == "cosine" or 0 < self.warmup < 1, "TrainConfig: onecycle needs a warmup between 0 and 1."
        )


#: Settings of :class:`TrainConfig` that came later, with the values that change nothing.
ADDED = {"schedule": "cosine", "decay_groups": True}
#: How hashes name a precision: `auto` as the default was named before it followed the hardware.
PRECISIONS = {"auto": "bf16", "bf16": "bf16 always"}


@dataclass(frozen=True)
class SamplingConfig:
    """How the policy samples.

    Attributes:
        temperature: Divides the logits; 0 is greedy.
        top_k: Keep the k likeliest tokens of a value; 0 for all.
        top_p: Keep the smallest set of tokens with this probability; 1 for all.
        exploration: How many parameters of a configuration are drawn uniformly on average; as a mutation rate does, it
            keeps a policy that copies its best trials from repeating one level of a parameter for ever. At most a
            tenth of each parameter's probability.
        candidates: Draw this many configurations and propose the likeliest one (all parameters together).
        margin: How far below the best score the target lies, in gaps between best and median.
        context_trials: At most this many past trials are shown: most of them the best, the others spread by rank.
        max_tokens: Nor more than fit into this many tokens, the next trial's included.
        n_startup: Trials before the network is asked; until then proposals are uniform.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    exploration: float = 0.0
    candidates: int = 1
    margin: float = 0.05
    context_trials: int = 19
    max_tokens: int = 640
    n_startup: int = 4

    def __post_init__(self) -> None:
        _require(math.isfinite(self.temperature) and self.temperature >= 0, "SamplingConfig: temperature must be >= 0.")
        _require(0 < self.top_p <= 1 and self.top_k >= 0, "SamplingConfig: top_p is in (0, 1] and top_k is >= 0.")
        _require(self.candidates >= 1, "SamplingConfig: candidates must be at least 1.")
        _require(self.exploration >= 0, "SamplingConfig: exploration is a number of parameters, at least 0.")
        _require(self.margin >= 0 and self.context_trials >= 1, "SamplingConfig: margin >= 0 and context_trials >= 1.")


@dataclass(frozen=True)
class RunConfig:
    """A whole run: what ``optibench train CONFIG.yaml`` reads.

    Attributes:
        name: Names the run in logs and on the model card.
        encoding: Which encoding of histories: ``seq`` is the named-token sequence, ``trialset`` the set of trials.
        trialset: The trial-set encoding and its prior (``vocabulary``, ``data``, ``augment`` and ``sampling`` are the
            sequence's).
    """

    name: str
    encoding: str = "seq"
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trialset: TrialSetConfig = field(default_factory=TrialSetConfig)
    network: NetworkConfig = field(default_factory=lambda: PRESETS["pico"])
    train: TrainConfig = field(default_factory=TrainConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)

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
        """Read a YAML or JSON file, or one of ``model/configs/`` by name; ``network`` may be a preset's name.

        Raises:
            ModelError: The file is missing, is not YAML, or has an unknown or ill-typed setting.
        """
        import yaml

        path = _find(Path(path))
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"The configuration {path} cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no text, or a date that is none
            raise ModelError(f"The configuration {path} is not YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(content, dict):
            raise ModelError(
                f"The configuration {path} must be a mapping of settings; see model/configs/ for examples."
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
    shipped = {found.stem: found for found in sorted((Path(__file__).parent / "configs").glob("**/*.yaml"))}
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    if path.name not in shipped:
        raise ModelError(f"There is no configuration {path.name!r}: give a YAML file or one of {', '.join(shipped)}.")
    return shipped[path.name]


def build(cls: type[T], content: Any, where: str) -> T:
    """Make a dataclass from nested plain data, checking names and types.

    Raises:
        ModelError: A setting is unknown or has the wrong type; the message says where.
    """
    if not isinstance(content, Mapping):
        raise ModelError(f"{where} must be a mapping of settings, not {content!r}.")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(content) - known)
    if unknown:
        raise ModelError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    try:
        return cls(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in content.items()})
    except TypeError as error:
        raise ModelError(f"{where}: {error}.") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ModelError(f"{where} must be a list, not {value!r}.")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is Literal or origin is types.UnionType:
        return value
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            raise ModelError(f"{where} must be a number, not {value!r}.") from None
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ModelError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return float(value) if hint is float else value
