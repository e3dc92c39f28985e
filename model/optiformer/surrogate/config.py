"""Settings of the surrogate and of its prior, as frozen dataclasses."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from optiformer.gp.kernels import HEADS, HeadKinds
from optiformer.settings import Range, Share, check, require

Size = Annotated[int, Range(1, 1000)]
Sizes = tuple[Size, ...]
Head = Annotated[int, Range(0, len(HEADS) - 1)]
Dropped = Annotated[float, Range(0, below=1)]


@dataclass(frozen=True)
class FunctionPriorConfig:
    """The prior over functions: shares of its families and frequencies of complications.

    Attributes:
        gp: Share of Gaussian processes.
        mlp: Share of random multilayer perceptrons.
        trees: Share of sums of oblivious trees.
        valleys: Share of hyperparameter-shaped valleys.
        symbolic: Share of random expressions.
        dimensions: Numbers of parameters, sampled uniformly.
        unused: Probability that a parameter is irrelevant.
        conditional: Probability that a small discrete parameter has children, in spaces that have one.
        noisy: Probability of observation noise.
        crashes: Probability that a region of the space fails.
        lost: Probability that trials also fail at random.
        plateaus: Probability that much of the space has the worst value, such as a classifier's majority class.
        stepped: Probability that scores are multiples of a step, such as accuracies on few validation rows.
        counts: Probability that a numeric parameter is a log-scaled integer, such as a number of trees.
        diverged: Probability that a few values are far worse than all others.
    """

    gp: Share = 0.56
    mlp: Share = 0.10
    trees: Share = 0.13
    valleys: Share = 0.16
    symbolic: Share = 0.05
    dimensions: Sizes = (1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7, 7, 8, 8, 9, 10, 11, 12, 13, 14, 14, 16, 20)
    unused: Share = 0.25
    conditional: Share = 0.4
    noisy: Share = 0.4
    crashes: Share = 0.06
    lost: Share = 0.0
    plateaus: Share = 0.0
    stepped: Share = 0.0
    counts: Share = 0.0
    diverged: Share = 0.0

    def __post_init__(self) -> None:
        check(self)
        total = self.gp + self.mlp + self.trees + self.valleys + self.symbolic
        require(abs(total - 1) < 1e-9, f"gp, mlp, trees, valleys and symbolic must sum to 1, not {total:g}.")
        require(bool(self.dimensions), "dimensions must be one number or more.")


@dataclass(frozen=True)
class RecordedConfig:
    """Recorded tuning runs mixed into the prior (:mod:`optiformer.surrogate.prior.recorded`).

    Attributes:
        file: Path of the packed surfaces; "" for none.
        share: Fraction of the histories that come from them.
        left_out: Group of learners excluded from training, for networks that are tested on it; "" for none.
    """

    file: str = ""
    share: Share = 0.0
    left_out: str = ""

    def __post_init__(self) -> None:
        check(self)
        require(bool(self.file) == bool(self.share), "recorded needs both a file and a share above 0, or none of them.")


Attention = Literal[
    "softmax",
    "coefficient-dynamics-softplus",
    "test-time-regression-linear",
    "test-time-regression-local",
    "matrix-mixer-low-rank",
]
Norm = Literal["rmsnorm", "layernorm"]
FeedForward = Literal["swiglu", "gelu"]


@dataclass(frozen=True)
class VariantConfig:
    """Architectural changes for experiments; the defaults are the shipped network.

    Attributes:
        attention: Attention mechanism (:mod:`optiformer.surrogate.network.attention`).
        norm: ``rmsnorm`` | ``layernorm``.
        feed_forward: ``swiglu`` | ``gelu``, the latter 1.5 times as wide to have as many weights.
        dropout: Dropout rate of each residual branch in training.
        masking: Fraction of the trials' parameter values that are set to 0 in training.
    """

    attention: Attention = "softmax"
    norm: Norm = "rmsnorm"
    feed_forward: FeedForward = "swiglu"
    dropout: Dropped = 0.0
    masking: Dropped = 0.0

    def __post_init__(self) -> None:
        check(self)

    @property
    def other_layers(self) -> bool:
        """Whether the layers differ from Llama's."""
        return self != VariantConfig(masking=self.masking)

    def refuse_other_arithmetic(self) -> None:
        """Refuse to propose with an architecture that inference does not implement.

        Raises:
            ModelError: Attention, norm or feed-forward part differ from the shipped network's.
        """
        require(
            self == VariantConfig(dropout=self.dropout, masking=self.masking),
            "A network with another attention, norm or feed-forward part (surrogate.variant) can be trained and "
            "compared by `optibench variants` but cannot propose configurations: leave these settings out.",
        )


@dataclass(frozen=True)
class SurrogateConfig:
    """Settings of the surrogate's encoding: one token per trial, one per candidate.

    Attributes:
        slots: Number of parameters per token; a larger space is represented by its most relevant parameters.
        sorted: Whether parameters are ordered by relevance to the score, so that the network is invariant to their
            order; those beyond the slots share the last one, so that a token holds any number of them.
        choices: Size of a categorical's one-hot code; choices beyond it also carry their index as a number.
        frequencies: Octaves of sine and cosine features of a value.
        bins: Number of bins of the bar distribution.
        low: Lower end of the bins, a transformed score.
        high: Upper end.
        knee: ``asinh_scale`` of the score transform: distance from the best value at which it turns from linear to
            logarithmic, in units of the distance from best to median.
        max_trials: Longest context in training; longer histories are subsampled to it.
        short_share: Share of batches whose context length is log-uniform between 2 and 32; for the others it is
            uniform between 16 and ``max_trials``.
        few_lengths: Whether training rounds context lengths to a few values, so that a GPU can record a CUDA graph of
            each.
        queries: Candidates per function in training.
        kernels_after: Layer after which the kernel heads join (:mod:`optiformer.surrogate.network.kernel_heads`); 0
            for none.
        heads: Indices of the heads in :data:`optiformer.gp.kernels.HEADS`.
        refinements: Number of learned updates of lengthscales and noise, each driven by the gradient of the marginal
            likelihood.
        prior: The prior over functions.
        recorded: Recorded tuning runs mixed into it.
        variant: Architectural changes for experiments.
    """

    slots: Size = 20
    sorted: bool = False
    choices: Size = 8
    frequencies: Annotated[int, Range(1, 50)] = 6
    bins: Annotated[int, Range(8, 100_000)] = 256
    low: Annotated[float, Range(-1e6, below=0)] = -5.0
    high: Annotated[float, Range(above=0, most=1e6)] = 6.0
    knee: Annotated[float, Range(above=0, most=1e6)] = 0.05
    max_trials: Annotated[int, Range(16, 100_000)] = 128
    short_share: Share = 0.45
    few_lengths: bool = False
    queries: Annotated[int, Range(1, 100_000)] = 64
    kernels_after: Annotated[int, Range(0, 1000)] = 0
    heads: tuple[Head, ...] = tuple(range(len(HEADS)))
    refinements: Annotated[int, Range(0, 100)] = 4
    prior: FunctionPriorConfig = field(default_factory=FunctionPriorConfig)
    recorded: RecordedConfig = field(default_factory=RecordedConfig)
    variant: VariantConfig = field(default_factory=VariantConfig)

    def __post_init__(self) -> None:
        check(self)
        widest = max(self.prior.dimensions)
        require(
            self.sorted or widest <= self.slots,
            f"the prior has {widest} dimensions, which is more than the {self.slots} slots.",
        )

    @functools.cached_property
    def head_kinds(self) -> HeadKinds:
        """Kernels and warpings of the kernel heads."""
        return HEADS.of(self.heads)

    @property
    def bin_width(self) -> float:
        """Width of a bin, in transformed scores."""
        return (self.high - self.low) / self.bins

    @property
    def columns(self) -> int:
        """Columns of a training batch."""
        return max(self.slots, *self.prior.dimensions)

    @property
    def slot_width(self) -> int:
        """Features per slot: number, waves, one-hot code, and inactive, categorical, grid, cell width."""
        return 1 + 2 * self.frequencies + self.choices + 4

    @property
    def width(self) -> int:
        """Features per token: the slots, then score (1 + 12), failed, candidate, log n, dimensions."""
        return self.slots * self.slot_width + 13 + 4


#: Settings of the network alone: histories in training and validation do not depend on them.
OF_THE_NETWORK = ("slots", "sorted", "choices", "frequencies", "kernels_after", "heads", "refinements", "variant")
#: Settings added later, of the encoding and of the prior; hashes include them only if they are not the default.
HASH_NEUTRAL = ("few_lengths", "sorted", "heads", "refinements", "recorded", "variant")
HASH_NEUTRAL_IN_PRIOR = ("lost", "plateaus", "stepped", "counts", "diverged")


def hash_content(config: SurrogateConfig) -> dict[str, Any]:
    """The settings that a network's hash covers: those added later only if they are not the default."""
    content, before = asdict(config), asdict(SurrogateConfig())
    parts = (content, before, HASH_NEUTRAL), (content["prior"], before["prior"], HASH_NEUTRAL_IN_PRIOR)
    for mine, default, names in parts:
        for name in names:
            if mine[name] == default[name]:
                del mine[name]
    return content
