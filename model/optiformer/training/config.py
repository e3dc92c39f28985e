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
from optiformer.sequence.prior.problems import PriorConfig
from optiformer.sequence.tokenizer import Vocabulary
from optiformer.settings import Positive, Range, Seed, Share, build, check, require
from optiformer.surrogate.config import TrialSetConfig, identity

MAX_TEMPERATURE = 1e6
Weight = Annotated[float, Range(0, 1000)]


@dataclass(frozen=True)
class TeacherShare:
    """One teacher's part of the data.

    Attributes:
        name: ``tpe`` | ``random`` | ``cmaes``.
        share: Its share of the trajectories.
        n_trials: The length of its trajectories.
    """

    name: Literal["tpe", "random", "cmaes"]
    share: Annotated[float, Range(0, 1e6)]
    n_trials: Annotated[int, Range(2, 100_000)] = 32

    def __post_init__(self) -> None:
        check(self)


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

    n_trajectories: Annotated[int, Range(1, 10**9)] = 20_000
    shard_size: Annotated[int, Range(1, 10**6)] = 250
    seed: Seed = 0
    teachers: tuple[TeacherShare, ...] = (TeacherShare("tpe", 1.0),)
    prior: PriorConfig = field(default_factory=PriorConfig)

    def __post_init__(self) -> None:
        check(self)
        require(sum(t.share for t in self.teachers) > 0, "the teachers' shares must sum to more than 0.")


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

    max_trials: Annotated[int, Range(2, 100_000)] = 20
    max_tokens: Annotated[int, Range(64, 10**6)] = 640
    sorted_share: Share = 0.8
    keep_best: Share = 0.6
    value_noise: Share = 0.003
    noise_share: Share = 0.5
    failed_share: Share = 0.1
    permute: bool = True
    regret_token: bool = True
    regret_levels: tuple[Positive, Positive] = (0.05, 0.25)
    improvement_weight: Weight = 0.3
    score_weight: Weight = 0.2
    frame_weight: Weight = 0.0

    def __post_init__(self) -> None:
        check(self)
        low, high = self.regret_levels
        require(low < high, f"regret_levels must be two increasing regrets, not {low} and {high}.")


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of the Llama backbone.

    Attributes:
        hidden_size: Width.
        n_layers: Depth.
        n_heads: Attention heads.
        intermediate_size: Width of the feed-forward part.
        tie_query_key: Start with W_k = W_q in every head, so that attention starts as a similarity.
        copying_start: Start with smooth number embeddings and three heads set to copy; see
            :mod:`optiformer.sequence.initialization`.
        tie_embeddings: Whether input and output embeddings are one table.
    """

    hidden_size: Annotated[int, Range(2, 2**16)] = 256
    n_layers: Annotated[int, Range(1, 1000)] = 6
    n_heads: Annotated[int, Range(1, 1024)] = 8
    intermediate_size: Annotated[int, Range(1, 2**20)] = 1024
    tie_query_key: bool = False
    copying_start: bool = False
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        check(self)
        require(
            self.hidden_size % (2 * self.n_heads) == 0,
            f"hidden_size must be an even multiple of n_heads, not {self.hidden_size} for {self.n_heads}.",
        )
        enough = self.n_layers >= 2 and self.n_heads >= 4 and self.hidden_size >= 16 * self.n_heads
        require(enough or not self.copying_start, "copying_start needs at least 2 layers and 4 heads of width 16.")


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
        draw_ahead: Batches of the trial-set encoding that are drawn together, with contexts of one length.
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

    steps: Annotated[int, Range(1, 10**9)] = 2000
    minutes: Annotated[float, Range(0)] = 0.0
    batch_tokens: Annotated[int, Range(1, 10**8)] = 8192
    accumulation: Annotated[int, Range(1, 10**6)] = 1
    draw_ahead: Annotated[int, Range(1, 1000)] = 1
    learning_rate: Positive = 1e-3
    warmup: Share = 0.05
    final_rate: Share = 0.05
    schedule: Literal["cosine", "onecycle"] = "cosine"
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
            self.schedule == "cosine" or 0 < self.warmup < 1,
            f"the schedule onecycle needs a warmup above 0 and below 1, not {self.warmup}.",
        )


#: Settings of :class:`TrainConfig` that came later, with the values that change nothing.
ADDED = {"schedule": "cosine", "decay_groups": True, "draw_ahead": 1}
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

    temperature: Annotated[float, Range(0, MAX_TEMPERATURE)] = 1.0
    top_k: Annotated[int, Range(0, 10**6)] = 0
    top_p: Annotated[float, Range(above=0, most=1)] = 1.0
    exploration: Annotated[float, Range(0)] = 0.0
    candidates: Annotated[int, Range(1, 10_000)] = 1
    margin: Annotated[float, Range(0)] = 0.05
    context_trials: Annotated[int, Range(1, 100_000)] = 19
    max_tokens: Annotated[int, Range(64, 10**6)] = 640
    n_startup: Annotated[int, Range(0, 10**6)] = 4

    def __post_init__(self) -> None:
        check(self)


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
    encoding: Literal["seq", "trialset"] = "seq"
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    trialset: TrialSetConfig = field(default_factory=TrialSetConfig)
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
