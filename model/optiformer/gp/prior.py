"""Priors over GP lengthscales and noise, and empirical Bayes estimates of them.

A prior has a normal of the log lengthscale for each kind of parameter, by default centred at ``0.5 sqrt(d)`` for d
parameters, and a normal of the log noise share. :func:`learned` fits it to many histories as HyperBO does (Wang et al.,
arXiv 2109.08215), by expectation maximization with point (MAP) estimates in the E step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optiformer.errors import ModelError
from optiformer.gp.fit import fit
from optiformer.gp.kernels import HEADS, Array
from optiformer.gp.posterior import GPPosterior, Kinds, WarpedHistory

#: File in a checkpoint's folder with the priors learned from its training data.
PRIORS = "learned_priors.json"
#: Kinds of parameters: continuous, ordered with few values, categorical.
N_KINDS = 3
#: Minimum standard deviations: MAP estimates vary less than the quantities they estimate.
MIN_SPREAD = 0.3


@dataclass(frozen=True)
class GPPrior:
    """Normal priors of the hyperparameters.

    Attributes:
        log_lengthscale: Means by kind of parameter for d = 1; ``log(d) / 2`` is added for d parameters.
        spread: Standard deviations by kind of parameter.
        log_noise: Mean of the log noise share.
        noise_spread: Its standard deviation.
    """

    log_lengthscale: tuple[float, ...] = (math.log(0.5),) * N_KINDS
    spread: tuple[float, ...] = (1.0,) * N_KINDS
    log_noise: float = math.log(0.01)
    noise_spread: float = 2.0

    def solve(self, history: WarpedHistory, kinds: Kinds, *, evaluations: int = 30) -> GPPosterior:
        """Posterior of the heads at the MAP hyperparameters."""
        return history.solve(*self.maximum(history, kinds, evaluations=evaluations))

    def maximum(self, history: WarpedHistory, kinds: Kinds, *, evaluations: int = 30) -> tuple[Array, Array]:
        """Approximate MAP log lengthscales (S, H) and log noise shares (H,)."""
        return maximum((self,) * len(history.heads), history, kinds, evaluations=evaluations)


def read(folder: Path) -> tuple[GPPrior, ...]:
    """The priors learned from a checkpoint's training data, one for each of :data:`optiformer.gp.kernels.HEADS`.

    Raises:
        ModelError: The folder has no such file, or it is damaged.
    """
    path = folder / PRIORS
    try:
        priors = json.loads(path.read_text(encoding="utf-8"))["priors"]
        tuples = ("log_lengthscale", "spread")
        found = tuple(GPPrior(**prior | {name: tuple(prior[name]) for name in tuples}) for prior in priors)
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} has no {PRIORS}; fit them with `python -m optiformer.evaluation.learned_priors {folder}`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The learned priors {path} are damaged ({error}); copy or fit them again.") from error
    if len(found) != len(HEADS):
        raise ModelError(f"The learned priors {path} are {len(found)}, not {len(HEADS)}; copy or fit them again.")
    return found


def maximum(
    priors: Sequence[GPPrior], history: WarpedHistory, kinds: Kinds, *, evaluations: int = 30
) -> tuple[Array, Array]:
    """Approximate MAP log lengthscales (S, H) and log noise shares (H,) under a prior of each head."""
    which = kind_of(kinds)
    middle = np.array([prior.log_lengthscale for prior in priors])[:, which].T + 0.5 * math.log(max(len(kinds), 1))
    spread = np.array([prior.spread for prior in priors])[:, which].T
    noise = np.array([(prior.log_noise, prior.noise_spread) for prior in priors])
    return fit(history, middle, noise[:, 0], evaluations, spread=spread, noise_spread=noise[:, 1])


def transferred(
    prior: GPPrior, others: Sequence[GPPrior], kinds: Kinds, log_lengthscale: Array, log_noise: Array
) -> tuple[Array, Array]:
    """Hyperparameters of other heads, as far from their priors as one head's, (S, 1) and (1,), from its own."""
    means = np.array([other.log_lengthscale for other in others]) - prior.log_lengthscale
    noises = np.array([other.log_noise for other in others]) - prior.log_noise
    return log_lengthscale + means[:, kind_of(kinds)].T, log_noise + noises


def kind_of(kinds: Kinds) -> Array:
    """Each parameter's kind, (S,): 0 continuous, 1 ordered with few values, 2 categorical."""
    return np.where(kinds.categorical, 2, (kinds.levels > 0).astype(int))


def learned(histories: Iterable[tuple[WarpedHistory, Kinds]], *, rounds: int = 4) -> GPPrior:
    """The prior that approximately maximizes the likelihood of many histories."""
    prior, known = GPPrior(), list(histories)
    for _ in range(rounds):
        lengthscales: list[list[float]] = [[] for _ in range(N_KINDS)]
        noises: list[float] = []
        for history, kinds in known:
            log_lengthscale, log_noise = prior.maximum(history, kinds)
            for kind, each in zip(kind_of(kinds), log_lengthscale, strict=True):
                lengthscales[kind].extend(each - 0.5 * math.log(len(kinds)))
            noises.extend(log_noise)
        kept = zip(lengthscales, prior.log_lengthscale, prior.spread, strict=True)
        normals = [(float(np.mean(v)), float(np.std(v))) if v else (mean, spread) for v, mean, spread in kept]
        prior = GPPrior(
            tuple(mean for mean, _ in normals),
            tuple(max(MIN_SPREAD, spread) for _, spread in normals),
            float(np.mean(noises)),
            max(MIN_SPREAD, float(np.std(noises))),
        )
    return prior
