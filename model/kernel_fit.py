"""Fitting the kernel heads to one history, from where the network's own inference of them leaves off.

In training the heads' lengthscales and noise are inferred by the network, so that all is learned end to end. For one
study at a time there is leisure for more: a few steps of L-BFGS-B (Byrd et al., 1995) on the log marginal likelihood,
with the inferred values as the mean of a normal prior (maximum a posteriori, so that a short or odd history stays with
what the network believes).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from model.kernel_systems import BentHistory

#: Standard deviations of the prior around the inferred log lengthscales and log noise shares.
LENGTHSCALE_PRIOR, NOISE_PRIOR = 0.5, 1.0
Array = NDArray[np.float64]


def fit(
    history: BentHistory, log_lengthscale: torch.Tensor, log_noise: torch.Tensor, evaluations: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit lengthscales and noise to a history.

    Args:
        history: The trials.
        log_lengthscale: Inferred log lengthscales, (B, S, H).
        log_noise: Inferred log noise shares, (B, H).
        evaluations: Of the marginal likelihood, about; with 0 the inferred values come back.

    Returns:
        The same, fitted, in double precision.
    """
    from scipy.optimize import minimize

    inferred = log_lengthscale.detach().double(), log_noise.detach().double()
    if not evaluations:
        return inferred
    middle, slots = torch.cat([each.flatten() for each in inferred]).numpy(), log_lengthscale.shape[1]
    width = np.repeat([LENGTHSCALE_PRIOR, NOISE_PRIOR], [inferred[0].numel(), inferred[1].numel()])

    def unpacked(point: Array) -> tuple[torch.Tensor, torch.Tensor]:
        flat, cut = torch.from_numpy(point), inferred[0].numel()
        return flat[:cut].view_as(inferred[0]), flat[cut:].view_as(inferred[1])

    def loss(point: Array) -> tuple[float, Array]:
        solved = history.solve(*unpacked(point))
        slopes = torch.cat([slope.double().flatten() for slope in solved.slopes(slots)]).numpy()
        away = (point - middle) / width
        return 0.5 * float(away @ away) - float(solved.log_marginal.sum()), away / width - slopes

    found = minimize(loss, middle, jac=True, method="L-BFGS-B", options={"maxfun": evaluations})
    return unpacked(found.x)
