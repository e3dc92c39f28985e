"""A GP in place of the network: the controls that show what learning is worth.

The search around it, its transform of scores and its treatment of failures and conditions are the network's. Only the
surrogate differs: GPs with MAP hyperparameters, of which expected improvement takes the one with the best leave-one-out
density.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtr

from optiformer.gp.expected_improvement import ExpectedImprovement
from optiformer.gp.kernels import HEADS, Array, Mask, warp
from optiformer.gp.posterior import Coordinates, GPPosterior, Kinds, WarpedHistory
from optiformer.gp.predictor import Predictor
from optiformer.gp.prior import GPPrior, maximum, transferred
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import ScoreTransform, scores
from optiformer.surrogate.history import subsample
from optiformer.surrogate.observed import Observed

GP_EVALUATIONS = 30
"""Approximate number of marginal-likelihood evaluations of a fit."""
#: Maximum number of trials, evenly by rank, to which hyperparameters are fitted.
MAX_FITTED = 64


@dataclass(frozen=True)
class GPSurrogate:
    """GPs as a :class:`optiformer.surrogate.interface.Surrogate`.

    Attributes:
        heads: Which of :data:`optiformer.gp.kernels.HEADS` (kernels with output warpings) there are.
        priors: Prior of each one's hyperparameters; the default if empty.
        fitted_head: The one of ``heads`` that is fitted; the others take its hyperparameters, shifted by the
            differences of the priors, and only the head with the best leave-one-out density of the fitted trials is
            kept. By default each is fitted and kept.
        max_trials: Maximum number of trials they see (:func:`~optiformer.surrogate.history.subsample`).
        encoding: Gives the score transform and the coordinates of categoricals.
    """

    heads: tuple[int, ...] = (1,)
    priors: tuple[GPPrior, ...] = ()
    fitted_head: int | None = None
    max_trials: int = 200
    encoding: SurrogateConfig = field(default_factory=SurrogateConfig)

    @property
    def gp(self) -> GPSurrogate:
        """Itself: the plain GP of a surrogate."""
        return self

    def of_heads(self, kept: tuple[int, ...]) -> GPSurrogate:
        """The same with those of its heads that are kept; with all if none is."""
        found = [index for index, head in enumerate(self.heads) if head in kept] or range(len(self.heads))
        heads, priors = tuple(self.heads[i] for i in found), tuple(self.priors[i] for i in found if self.priors)
        return replace(self, heads=heads, priors=priors)

    def condition(
        self, kinds: Kinds, observed: Observed, *, evaluations: int, transform: ScoreTransform | None = None
    ) -> ConditionedGP:
        """Condition on a history.

        Args:
            kinds: Types of the parameters.
            observed: The history.
            evaluations: Number of evaluations of the marginal likelihood that fit the hyperparameters.
            transform: Transform of the values; by default that of :func:`~optiformer.surrogate.features.scores`.
        """
        if transform is None:
            transform, score = scores(self.encoding, observed)
        else:
            score = transform.apply(observed.value)
        score = score.clip(-self.encoding.high, self.encoding.high)
        rows = subsample(observed.by_preference, observed.failed, self.max_trials)
        rows = rows[~observed.failed[rows]]
        position, active = observed.position[rows], observed.active[rows]
        coordinates = Coordinates(kinds, self.encoding.choices, position, active)
        heads = HEADS.of(self.heads)
        history = WarpedHistory.of(heads, self.encoding.knee, coordinates(position, active), score[rows])
        subset = history.subset(MAX_FITTED)
        priors = self.priors or (GPPrior(),) * len(heads)
        if self.fitted_head is None:
            fitted = maximum(priors, subset, kinds, evaluations=evaluations)
            posterior = history.solve(*fitted)
        else:
            first = self.heads.index(self.fitted_head)
            found = maximum((priors[first],), subset.of_head(first), kinds, evaluations=evaluations)
            fitted = transferred(priors[first], priors, kinds, *found)
            every = subset.solve(*fitted)
            best = int(every.loo[3].mean(1).argmax())
            if subset is history:
                posterior = every.of_head(best)
            else:
                posterior = history.of_head(best).solve(fitted[0][:, [best]], fitted[1][[best]])
        return ConditionedGP(posterior, coordinates, transform, fitted, observed.feasible[rows])


def control(priors: Sequence[GPPrior] = (), kernels: str = "all") -> GPSurrogate:
    """One of the controls.

    Args:
        priors: Learned ones (``gp-prior``), one for each of :data:`optiformer.gp.kernels.HEADS`; the default
            (``gp-map``) if empty.
        kernels: ``one``: Matern 5/2; ``all``: every one of :data:`optiformer.gp.kernels.HEADS`.
    """
    heads = tuple(range(len(HEADS))) if kernels == "all" else (1,)
    return GPSurrogate(heads, tuple(priors[head] for head in heads) if priors else ())


@dataclass(frozen=True, eq=False)
class ConditionedGP:
    """GPs conditioned on one history: a :class:`optiformer.surrogate.interface.ConditionedSurrogate`.

    Attributes:
        gp: Their posterior.
        coordinates: Maps configurations to points.
        score_transform: The score transform of the history.
        hyperparameters: Log lengthscales (S, H) and log noise shares (H,) of all heads.
        feasible: Which of its trials fulfil the constraints, (n,).
    """

    gp: GPPosterior
    coordinates: Coordinates
    score_transform: ScoreTransform
    hyperparameters: tuple[Array, Array]
    feasible: Mask

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The GP with the best leave-one-out density."""
        return Predictor(self.gp)

    @functools.cached_property
    def expected_improvement(self) -> ExpectedImprovement:
        """Expected improvement under the GP with the best leave-one-out density."""
        return ExpectedImprovement(self.coordinates, self.predictor, self.feasible)

    def probability_of_improvement(self, position: Array, active: Mask, *, margin: float, temperature: float) -> Array:
        """Probability that candidates (m, S) improve by a margin in units of the distance from best to median, (m,).

        ``temperature`` divides the standardised distances.
        """
        head, asinh_scale = self.predictor.head, self.score_transform.asinh_scale
        mean, deviation = self.gp.predict(self.coordinates(position, active))
        limit = np.array([-math.asinh(margin / asinh_scale)])
        bound = warp(self.gp.history.heads, asinh_scale, limit)[0, head]
        return np.asarray(ndtr((bound - mean[:, head]) / deviation[:, head] / temperature))

    def prior_correlation(self, position: Array, active: Mask, others: Array, others_active: Mask) -> Array:
        """Prior correlations of the function values at configurations (m, S) and at others (n, S), (m, n)."""
        return self.gp.prior_correlation(self.coordinates(position, active), self.coordinates(others, others_active))

    def prior_correlation_rows(self, position: Array, active: Mask) -> Callable[[int], Array]:
        """A function from a row to the prior correlations of that configuration with all (m, S), (m,)."""
        return self.gp.prior_correlation_rows(self.coordinates(position, active))
