"""Settings of the sequence network: data, augmentation and sampling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from optiformer.sequence.prior.problems import PriorConfig
from optiformer.settings import Positive, Range, Seed, Share, check, require

MAX_TEMPERATURE = 1e6
Weight = Annotated[float, Range(0, 1000)]


@dataclass(frozen=True)
class TeacherShare:
    """One teacher's share of the data.

    Attributes:
        name: ``tpe`` | ``random`` | ``cmaes``.
        share: Relative share of the trajectories.
        n_trials: Length of its trajectories.
    """

    name: Literal["tpe", "random", "cmaes"]
    share: Annotated[float, Range(0, 1e6)]
    n_trials: Annotated[int, Range(2, 100_000)] = 32

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DataConfig:
    """Settings of the trajectories.

    Attributes:
        n_trajectories: Total number of trajectories, each on its own function.
        shard_size: Trajectories per file.
        seed: Seed; shard ``i`` depends on the seed and ``i`` only.
        teachers: The optimizers that make them.
        prior: The prior over functions.
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
    """Augmentation: how trajectories become training sequences.

    Attributes:
        max_trials: Maximum number of trials.
        max_tokens: Maximum length of a sequence; histories of many parameters are shortened to it.
        sorted_share: Fraction of histories ordered from worst to best as at inference; half of the others are shuffled,
            half in their original order.
        keep_best: Maximum fraction of a shortened trajectory that are its best trials.
        value_noise: Standard deviation of Gaussian noise on continuous positions.
        noise_share: Fraction of sequences with noise.
        failed_share: Fraction of sequences in which some trials fail.
        permute: Whether parameters get a random order and random names.
        regret_token: Whether the TARGET_REGRET token encodes the hindsight regret (otherwise it is always level 0).
        regret_levels: Normalised regrets below which a sequence's last trial is level 0, level 1; level 2 above.
        improvement_weight: Loss weight of trials outside the better half of a sorted history.
        score_weight: Loss weight of score tokens.
        frame_weight: Loss weight of the other tokens (names, separators, INACTIVE, EOS), which inference never samples;
            with all four weights at 1 the loss is the next-token cross-entropy.
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
class SamplingConfig:
    """Settings of sampling.

    Attributes:
        temperature: Divides the logits; 0 is greedy.
        top_k: Keep the k likeliest tokens of a value; 0 for all.
        top_p: Keep the smallest set of tokens with this probability; 1 for all.
        exploration: Mean number of parameters per configuration that are sampled uniformly. Like a mutation rate, it
            prevents a policy that copies its best trials from repeating a level forever. At most a tenth of each
            parameter's probability.
        margin: Distance of the target below the best score, in units of the distance from best to median.
        context_trials: Maximum number of past trials in the context: mostly the best, the others evenly by rank.
        max_tokens: Maximum number of tokens of the context and the next trial.
        n_startup: Number of trials before the network is used; until then proposals are uniform.
    """

    temperature: Annotated[float, Range(0, MAX_TEMPERATURE)] = 1.0
    top_k: Annotated[int, Range(0, 10**6)] = 0
    top_p: Annotated[float, Range(above=0, most=1)] = 1.0
    exploration: Annotated[float, Range(0)] = 0.0
    margin: Annotated[float, Range(0)] = 0.05
    context_trials: Annotated[int, Range(1, 100_000)] = 19
    max_tokens: Annotated[int, Range(64, 10**6)] = 640
    n_startup: Annotated[int, Range(0, 10**6)] = 4

    def __post_init__(self) -> None:
        check(self)
