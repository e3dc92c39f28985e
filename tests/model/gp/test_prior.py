"""Hyperparameter priors: learning from histories and their effect on MAP estimates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from optiformer.errors import ModelError
from optiformer.gp.kernels import HEADS, correlation, squared_distances
from optiformer.gp.posterior import Coordinates, Kinds, WarpedHistory
from optiformer.gp.prior import MIN_SPREAD, PRIORS, GPPrior, kind_of, learned, read, transferred
from optiformer.surrogate.checkpoint import default_checkpoint

LINEAR = HEADS.of((2,))  # nearly linear output warping
ASINH_SCALE = 0.05


def history(rng: np.random.Generator, n: int, lengthscales: list[float], noise: float) -> tuple[WarpedHistory, Kinds]:
    d = len(lengthscales)
    kinds, position = Kinds(np.zeros(d, dtype=bool), np.zeros(d)), rng.random((n, d))
    scaled = position / lengthscales
    covariance = correlation("matern52", squared_distances(scaled, scaled)) + noise * np.eye(n)
    value = np.linalg.cholesky(covariance) @ rng.standard_normal(n)
    score = np.arcsinh((value - value.min()) / np.median(value - value.min()) / ASINH_SCALE)
    coordinates = Coordinates(kinds, 8, position, np.ones((n, d), dtype=bool))
    return WarpedHistory.of(LINEAR, ASINH_SCALE, coordinates(position, np.ones((n, d), dtype=bool)), score), kinds


def test_learning_recovers_the_histories_hyperparameters() -> None:
    """Lengthscales of a quarter of the cube's diagonal, one part of noise in ten thousand."""
    rng = np.random.default_rng(0)
    known = [history(rng, 40, [0.25 * math.sqrt(2)] * 2, 1e-4) for _ in range(25)]
    found = learned(known)
    assert abs(found.log_lengthscale[0] - math.log(0.25)) < 0.25
    assert MIN_SPREAD <= found.spread[0] < 0.6
    assert -12 < found.log_noise < -6


def test_short_histories_stay_near_the_prior_and_long_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    prior = GPPrior(log_lengthscale=(math.log(2.0),) * 3, spread=(0.5,) * 3)
    away = []
    for n in (3, 60):
        observed, kinds = history(rng, n, [0.15, 0.15], 1e-4)
        log_lengthscale, _ = prior.maximum(observed, kinds)
        away.append(abs(log_lengthscale.mean() - math.log(2.0) - 0.5 * math.log(2)))
    assert away[0] < 0.5 < away[1]


def test_each_kind_of_parameter_has_its_own_prior() -> None:
    kinds = Kinds(np.array([False, False, True]), np.array([0.0, 5.0, 3.0]))
    assert kind_of(kinds).tolist() == [0, 1, 2]
    rng = np.random.default_rng(2)
    observed, _ = history(rng, 8, [0.3] * 3, 1e-2)
    tight = GPPrior(log_lengthscale=(-1.0, 0.0, 1.0), spread=(1e-3,) * 3)
    log_lengthscale, _ = tight.maximum(observed, kinds)
    np.testing.assert_allclose(log_lengthscale[:, 0], np.array([-1.0, 0.0, 1.0]) + 0.5 * math.log(3), atol=0.01)


def test_kinds_absent_from_the_histories_keep_their_prior() -> None:
    rng = np.random.default_rng(3)
    found = learned([history(rng, 12, [0.3], 1e-2)], rounds=1)
    assert found.log_lengthscale[1:] == GPPrior().log_lengthscale[1:]
    assert found.spread[1:] == GPPrior().spread[1:]
    assert found.log_lengthscale[0] != GPPrior().log_lengthscale[0]


def test_each_kind_of_gp_has_a_shipped_prior() -> None:
    priors = read(default_checkpoint())
    assert len(priors) == len(HEADS)
    assert all(prior != GPPrior() for prior in priors)
    # a GP that expects smoother functions of categoricals than of numbers, as the training data are
    assert all(prior.log_lengthscale[2] > prior.log_lengthscale[0] for prior in priors)
    assert all(min(prior.spread) >= MIN_SPREAD for prior in priors)


def test_hyperparameters_of_other_heads_are_as_far_from_their_priors() -> None:
    kinds = Kinds(np.array([False, True]), np.array([0.0, 5.0]))
    log_lengthscale, log_noise = np.array([[0.3], [-0.2]]), np.array([-6.0])
    priors = [read(default_checkpoint())[head] for head in (1, 3)]
    moved, noises = transferred(priors[0], priors, kinds, log_lengthscale, log_noise)
    np.testing.assert_allclose(moved[:, :1], log_lengthscale)
    own, other = (np.array(prior.log_lengthscale)[[0, 2]] for prior in priors)
    np.testing.assert_allclose(moved[:, 1] - other, log_lengthscale[:, 0] - own)
    np.testing.assert_allclose(noises - [prior.log_noise for prior in priors], -6.0 - priors[0].log_noise)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no learned_priors.json; fit them with `python -m optiformer.evaluation.learned_priors"),
        ("{", "are damaged"),
        ('{"priors": [{"mean": 1}]}', "are damaged"),
        ('{"priors": []}', "are 0, not 5; copy or fit them again"),
    ],
)
def test_missing_and_damaged_priors_are_named(content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / PRIORS).write_text(content)
    with pytest.raises(ModelError, match=words):
        read(tmp_path)
