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
class MixtureConfig:
    """The prior over functions: shares of its families and how often each complication occurs.

    Attributes:
        gp: Share of Gaussian processes.
        mlp: Share of random multilayer perceptrons.
        trees: Share of sums of oblivious trees.
        valleys: Share of hyperparameter-shaped valleys.
        symbolic: Share of random expressions.
        dimensions: Numbers of parameters to draw from.
        unused: Probability that a parameter does not matter.
        conditional: Probability that a space with a small discrete parameter has children of it.
        noisy: Probability of observation noise.
        crashes: Probability that a region of the space fails.
        lost: Probability that trials also fail at random.
        plateaus: Probability that much of the space is at its worst level, as a classifier's majority class is.
        stepped: Probability that scores come in steps, as shares of a few validation rows do.
        counts: Probability that a number is a whole one on a logarithmic scale, as a number of trees is.
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
    """Real tunings among the functions (:mod:`optiformer.surrogate.prior.recorded`).

    Attributes:
        file: Where they are; "" for none.
        share: Share of the histories that are theirs.
        left_out: A group of learners that is left out, for networks that are tested on it; "" for none.
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
    """What of the network is another than the shipped one's; the defaults are the shipped network.

    Attributes:
        attention: How a position mixes what it sees (:mod:`optiformer.surrogate.network.attention`).
        norm: ``rmsnorm`` | ``layernorm``.
        feed_forward: ``swiglu`` | ``gelu``, half as wide again, so that it has as many weights.
        dropout: In training, the share of what each part adds to the residual stream that is set to 0.
        masking: In training, the share of the trials' parameter values that the network is not shown.
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
        """Whether the layers are not Llama's own."""
        return self != VariantConfig(masking=self.masking)

    def refuse_other_arithmetic(self) -> None:
        """Refuse to propose with a network that computes something else than the shipped one does.

        Raises:
            ModelError: It is one.
        """
        require(
            self == VariantConfig(dropout=self.dropout, masking=self.masking),
            "A network with another attention, norm or feed-forward part (trialset.variant) can be trained and "
            "compared by `optibench variants` but cannot propose configurations: leave these settings out.",
        )


@dataclass(frozen=True)
class SurrogateConfig:
    """The surrogate's encoding: one position per trial, one per candidate.

    Attributes:
        slots: Parameters that a position holds; a space with more is served by its most telling ones.
        sorted: Whether the parameters that tell most of the scores come first, so that their order means nothing; those
            that are left share the last slot, so that a position holds any number of them.
        choices: Size of a categorical's one-hot code; choices beyond it also carry their index as a number.
        frequencies: Octaves of sine and cosine features of a value.
        bins: Bins of the predicted score.
        low: Left end of the squashed scores' range.
        high: Right end.
        knee: Where the squashing turns from linear to logarithmic, in gaps between best and median.
        max_trials: Longest context in training; longer histories are thinned to it.
        short_share: Share of batches whose context's length is log-uniform between 2 and 32; the others' is uniform
            between 16 and ``max_trials``.
        few_lengths: Whether contexts have one of a few lengths in training, so that a GPU records each one's kernels.
        queries: Candidates a function in training.
        kernels_after: After how many layers the kernel heads join (see
            :mod:`optiformer.surrogate.network.kernel_heads`); 0: there are none.
        heads: Which of :data:`optiformer.gp.kernels.HEADS` they are.
        refinements: Learned corrections of the lengthscales and the noise, each from the marginal likelihood's gradient
            there.
        prior: The functions.
        recorded: Real tunings among them.
        variant: What of the network is another than the shipped one's.
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
    prior: MixtureConfig = field(default_factory=MixtureConfig)
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
        """What the kernel heads are."""
        return HEADS.of(self.heads)

    @property
    def columns(self) -> int:
        """Parameters that a batch has room for."""
        return max(self.slots, *self.prior.dimensions)

    @property
    def slot_width(self) -> int:
        """Features of one parameter's value: number, waves, one-hot, and inactive, categorical, grid, cell width."""
        return 1 + 2 * self.frequencies + self.choices + 4

    @property
    def width(self) -> int:
        """Features of a position: the slots, then score (1 + 12), failed, candidate, log n, dimensions."""
        return self.slots * self.slot_width + 13 + 4


#: Settings that came later, of the encoding and of the prior; hashes name them where they are not as before.
ADDED = ("few_lengths", "sorted", "heads", "refinements", "recorded", "variant")
ADDED_TO_PRIOR = ("lost", "plateaus", "stepped", "counts", "diverged")


def identity(config: SurrogateConfig) -> dict[str, Any]:
    """The settings that hashes of a network are made of: what came later only if it is used."""
    content, before = asdict(config), asdict(SurrogateConfig())
    parts = (content, before, ADDED), (content["prior"], before["prior"], ADDED_TO_PRIOR)
    for mine, default, names in parts:
        for name in names:
            if mine[name] == default[name]:
                del mine[name]
    return content
