"""Settings of the sequence model: its data, how sequences are made of them, how it is sampled from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from optiformer.sequence.prior.problems import PriorConfig
from optiformer.settings import Positive, Range, Seed, Share, check, require

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
