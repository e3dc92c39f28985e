"""Settings of the trial-set encoding and of its prior, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from model.errors import ModelError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message)


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
    """

    gp: float = 0.56
    mlp: float = 0.10
    trees: float = 0.13
    valleys: float = 0.16
    symbolic: float = 0.05
    dimensions: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7, 7, 8, 8, 9, 10, 11, 12, 13, 14, 14, 16, 20)
    unused: float = 0.25
    conditional: float = 0.4
    noisy: float = 0.4
    crashes: float = 0.06

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        shares = self.gp, self.mlp, self.trees, self.valleys, self.symbolic
        _require(
            min(shares) >= 0 and abs(sum(shares) - 1) < 1e-9,
            "MixtureConfig: gp, mlp, trees, valleys and symbolic are shares and must sum to 1.",
        )
        _require(len(self.dimensions) > 0 and min(self.dimensions) >= 1, "MixtureConfig: dimensions must be 1 or more.")
        for name in ("unused", "conditional", "noisy", "crashes"):
            _require(0 <= getattr(self, name) <= 1, f"MixtureConfig: {name} is a probability.")


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
        attention: How a position mixes what it sees (:mod:`model.trial_attention`).
        norm: ``rmsnorm`` | ``layernorm``.
        feed_forward: ``swiglu`` | ``gelu``, half as wide again, so that it has as many weights.
        dropout: In training, the share of what each part adds to the residual stream that is set to 0.
        masking: In training, the share of the trials' parameter values that the network is not shown.
    """

    attention: Attention = "softmax"
    norm: Norm = "rmsnorm"
    feed_forward: FeedForward = "swiglu"
    dropout: float = 0.0
    masking: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (("attention", Attention), ("norm", Norm), ("feed_forward", FeedForward)):
            known = get_args(choices)
            _require(getattr(self, name) in known, f"VariantConfig: {name} is one of {', '.join(known)}.")
        _require(0 <= self.dropout < 1 and 0 <= self.masking < 1, "VariantConfig: dropout and masking are in [0, 1).")

    @property
    def other_layers(self) -> bool:
        """Whether the layers are not Llama's own."""
        return self != VariantConfig(masking=self.masking)

    def refuse_other_arithmetic(self) -> None:
        """Refuse to propose with a network that computes something else than the shipped one does.

        Raises:
            ModelError: It is one.
        """
        _require(
            self == VariantConfig(dropout=self.dropout, masking=self.masking),
            "A network with another attention, norm or feed-forward part (trialset.variant) can be trained and "
            "compared by `optibench variants` but cannot propose configurations: leave these settings out.",
        )


@dataclass(frozen=True)
class TrialSetConfig:
    """The trial-set encoding: one position per trial, one per candidate.

    Attributes:
        slots: Parameters that a position holds; a space with more is served by its most telling ones.
        choices: Width of a categorical's one-hot code; choices beyond it also carry their index as a number.
        frequencies: Octaves of sine and cosine features of a value.
        bins: Bins of the predicted score.
        low: Left end of the squashed scores' range.
        high: Right end.
        knee: Where the squashing turns from linear to logarithmic, in gaps between best and median.
        max_trials: Longest context in training; longer histories are thinned to it.
        short_share: Share of batches whose context's length is log-uniform between 2 and 32; the others' is uniform
            between 16 and ``max_trials``.
        queries: Candidates a function in training.
        kernels_after: After how many layers the kernel heads join (see :mod:`model.kernel_heads`); 0: there are none.
        prior: The functions.
        variant: What of the network is another than the shipped one's.
    """

    slots: int = 20
    choices: int = 8
    frequencies: int = 6
    bins: int = 256
    low: float = -5.0
    high: float = 6.0
    knee: float = 0.05
    max_trials: int = 128
    short_share: float = 0.45
    queries: int = 64
    kernels_after: int = 0
    prior: MixtureConfig = field(default_factory=MixtureConfig)
    variant: VariantConfig = field(default_factory=VariantConfig)

    def __post_init__(self) -> None:
        _require(
            min(self.slots, self.choices, self.frequencies, self.queries) >= 1, "TrialSetConfig: sizes must be 1+."
        )
        _require(self.bins >= 8 and self.low < 0 < self.high, "TrialSetConfig: 8 bins at least, around 0.")
        _require(self.knee > 0 and self.max_trials >= 16, "TrialSetConfig: knee > 0 and max_trials >= 16.")
        _require(self.kernels_after >= 0, "TrialSetConfig: kernels_after counts layers, 0 or more.")
        _require(0 <= self.short_share <= 1, "TrialSetConfig: short_share is a share between 0 and 1.")
        _require(
            max(self.prior.dimensions) <= self.slots,
            "TrialSetConfig: the prior has more dimensions than there are slots.",
        )

    @property
    def slot_width(self) -> int:
        """Features of one parameter's value: number, waves, one-hot, and inactive, categorical, grid, cell width."""
        return 1 + 2 * self.frequencies + self.choices + 4

    @property
    def width(self) -> int:
        """Features of a position: the slots, then score (1 + 12), failed, candidate, log n, dimensions."""
        return self.slots * self.slot_width + 13 + 4


def identity(config: TrialSetConfig) -> dict[str, Any]:
    """The settings that hashes of a network are made of: a variant only if there is one, as before there were any."""
    content = asdict(config)
    if config.variant == VariantConfig():
        del content["variant"]
    return content
