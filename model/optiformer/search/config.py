"""Settings of the search, and their presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from optiformer.errors import ModelError
from optiformer.settings import Positive, Range, Share, check

PI, GP_EI = ACQUISITIONS = ("pi", "gp-ei")


@dataclass(frozen=True)
class ProposerConfig:
    """Settings of the search.

    Attributes:
        uniform: Number of candidates from a Sobol' sequence over the whole space.
        local: Number of candidates around, between and beyond the better trials.
        refinements: Rounds of additional candidates around the best ones, each at a quarter of the last scale.
        refined: Candidates per refinement round.
        evaluations: Number of marginal-likelihood evaluations that fit the plain GP to the history
            (:mod:`optiformer.gp.fit`).
        ei_evaluations: Number of evaluations of ``gp-ei`` and its gradient when it is maximized over the numeric
            parameters, starting from the best candidates.
        acquisition: ``pi``, the probability of improvement under the network's prediction, or ``gp-ei``, the expected
            improvement under a plain GP (:mod:`optiformer.gp.expected_improvement`). Several, joined by ``+``,
            alternate from trial to trial.
        min_gp_r2: Minimum leave-one-out R^2 of the plain GP for which it is trusted. Where it is, it guides the search
            and the network scores the best candidates only, and ``gp-ei`` alternates with others. Where it is not, the
            network guides the search, and ``gp-ei`` is left out unless a categorical decides which parameters are
            active. At least :data:`optiformer.search.proposer.STEPPED_R2` where scores repeat.
        screened: Maximum number of candidates that the network scores where the plain GP is trusted.
        n_gp_only: Number of first trials chosen by ``gp-ei`` alone, if it is among the acquisitions and scores do not
            repeat: after few trials ``pi`` stays too close to the incumbent.
        batch_fraction: Proposals per encoding of the history, as a fraction of the number of trials: at .06 a history
            of 100 trials is encoded at every sixth ask. The queue is discarded if the history is not a continuation of
            the one it was made from.
        margin: Improvement that ``pi`` requires, in units of the distance from best to median.
        temperature: Divides the logits; above 1 explores more.
        n_startup: Number of successful trials before the surrogate is used. Until then proposals are the middle of the
            (logarithmic) ranges with every first choice, then a scrambled Sobol' sequence.
    """

    uniform: Annotated[int, Range(1, 10**6)] = 64
    local: Annotated[int, Range(1, 10**6)] = 128
    refinements: Annotated[int, Range(0, 100)] = 1
    refined: Annotated[int, Range(1, 10**6)] = 48
    evaluations: Annotated[int, Range(0, 1000)] = 8
    ei_evaluations: Annotated[int, Range(0, 10_000)] = 8
    acquisition: str = "pi+gp-ei"
    min_gp_r2: Annotated[float, Range(most=1)] = 0.8
    screened: Annotated[int, Range(1, 10**6)] = 24
    n_gp_only: Annotated[int, Range(0, 10**6)] = 15
    batch_fraction: Share = 0.06
    margin: Annotated[float, Range(0)] = 0.01
    temperature: Positive = 1.0
    n_startup: Annotated[int, Range(0, 10**6)] = 5

    def __post_init__(self) -> None:
        check(self)
        for name in self.acquisitions:
            if name not in ACQUISITIONS:
                raise ModelError(f"Unknown acquisition {name!r}; there is {', '.join(ACQUISITIONS)}.")

    @property
    def acquisitions(self) -> tuple[str, ...]:
        """Names of the acquisition functions, which alternate."""
        return tuple(self.acquisition.split("+"))


PRESETS = {
    "fast": ProposerConfig(uniform=32, local=64, batch_fraction=0.1, acquisition="pi"),
    "default": ProposerConfig(),
    "thorough": ProposerConfig(
        uniform=256, local=256, refinements=3, refined=96, screened=128, batch_fraction=0.0, evaluations=16
    ),
}


def with_settings(preset: str, **changes: Any) -> ProposerConfig:
    """A preset with changes.

    Raises:
        ModelError: There is no such preset, or a setting is out of its range.
    """
    if preset not in PRESETS:
        raise ModelError(f"Unknown preset {preset!r}; there is {', '.join(PRESETS)}.")
    return replace(PRESETS[preset], **changes)
