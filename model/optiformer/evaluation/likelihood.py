"""Quality of the surrogate's predictions: held-out likelihood compared with GPs, and calibration.

``python -m optiformer.evaluation.likelihood FOLDER`` prints two tables and writes ``calibration.png`` beside a
checkpoint. The untrained network has the same shape. The exact GP has the kernel that a function was drawn from; the
fitted one (scikit-learn, Matern 5/2, ARD) maximizes the marginal likelihood; the MAP one is
:func:`~optiformer.evaluation.baseline.baseline` with the default prior. All densities are of the transformed score, in
nats.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from optiformer.errors import command
from optiformer.evaluation.baseline import baseline
from optiformer.gp.kernels import Array, Mask, correlation, squared_distances
from optiformer.gp.posterior import Coordinates, Kinds
from optiformer.gp.prior import GPPrior
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, load
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.features import ScoreTransform
from optiformer.surrogate.network.network import untrained
from optiformer.surrogate.prediction import cumulative
from optiformer.surrogate.prior.histories import Batch, sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.surrogate import NetworkSurrogate

JITTER = 1e-6


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log density of held-out scores, nats, after ``n`` trials, by what predicts them."""

    n: int
    network: float
    untrained: float
    exact: float
    fitted: float
    gp_map: float


def gp_likelihood(
    checkpoint: SurrogateCheckpoint, *, n: int, functions: int = 24, queries: int = 32, seed: int = 0
) -> Likelihood:
    """Compare on exact draws of Matern-5/2 GPs with random lengthscales in 2 to 7 dimensions.

    Scores outside the range of the bins are excluded for all.
    """
    rng, networks = np.random.default_rng(seed), _with_control(checkpoint)
    totals = []
    for _ in range(functions):
        d = int(rng.choice([2, 3, 5, 7]))
        lengthscale = (
            math.sqrt(d) * np.exp(rng.uniform(math.log(0.15), math.log(0.9))) * np.exp(0.4 * rng.standard_normal(d))
        )
        x = rng.random((n + queries, d))
        covariance = matern(x, x, lengthscale) + JITTER * np.eye(n + queries)
        y = np.linalg.cholesky(covariance) @ rng.standard_normal(n + queries)
        totals.append(_one(networks, x, y, n, lengthscale))
    return Likelihood(n, *map(float, np.concatenate(totals).mean(0)))


def _with_control(checkpoint: SurrogateCheckpoint) -> tuple[NetworkSurrogate, NetworkSurrogate]:
    """The network, and the same without training."""
    return NetworkSurrogate(checkpoint), NetworkSurrogate(untrained(checkpoint))


def _one(networks: Sequence[NetworkSurrogate], x: Array, y: Array, n: int, lengthscale: Array) -> Array:
    """Negative log densities of the counted candidates: networks, exact, fitted and MAP GP; (counted, networks + 3)."""
    encoding, d = networks[0].encoding, x.shape[1]
    score_transform = ScoreTransform.of(y[:n], encoding.knee)
    u = score_transform.apply(y)
    kinds, active = Kinds(np.zeros(d, dtype=bool), np.zeros(d)), np.ones(x.shape, dtype=bool)
    observed, candidates = (x[:n], active[:n], u[:n], np.zeros(n, dtype=bool)), (x[n:], active[n:])
    predicted = [network.predict(network.encode(kinds, *observed), *candidates) for network in networks]
    # u = asinh(z): the density of u is that of the value times dy/du = gap * knee * cosh(u).
    stretch = np.log(score_transform.gap * encoding.knee * np.cosh(u[n:]))
    columns = [-each.log_density(u[n:]) for each in predicted]
    for mean, variance in (_exact(x, y, n, lengthscale), _fitted(x, y, n)):
        density = -0.5 * (np.log(2 * math.pi * variance) + (y[n:] - mean) ** 2 / variance)
        columns.append(-(density + stretch))
    columns.append(-baseline(encoding, GPPrior(), kinds, observed, candidates).log_density(u[n:]))
    counted = (u[n:] > encoding.low) & (u[n:] < encoding.high)
    return np.asarray(np.stack(columns, 1)[counted])


def matern(a: Array, b: Array, lengthscale: Array) -> Array:
    """The Matern-5/2 kernel of unit variance, (len(a), len(b))."""
    return correlation("matern52", squared_distances(a / lengthscale, b / lengthscale))


def history(batch: Batch, row: int) -> tuple[Kinds, tuple[Array, Mask, Array, Mask], tuple[Array, Mask]]:
    """One history of a batch without absent slots: types, observed trials, candidates."""
    used = int(batch.kinds.present[row].sum())
    kinds = Kinds(batch.kinds.categorical[row, :used].numpy(), batch.kinds.levels[row, :used].double().numpy())
    trials, active = batch.trials[row, :, :used].double().numpy(), batch.trials_active[row, :, :used].numpy()
    observed = trials, active, batch.scores[row].double().numpy(), batch.failed[row].numpy()
    return kinds, observed, (batch.queries[row, :, :used].double().numpy(), batch.queries_active[row, :, :used].numpy())


def prior_likelihood(
    checkpoint: SurrogateCheckpoint, *, functions: int = 60, queries: int = 32, seed: int = 10**13
) -> list[Likelihood]:
    """Compare on the mixed prior, where functions are also discrete, conditional, noisy or failing.

    All are judged by the mass in a held-out score's bin, since ties have no density. The GPs are fitted to transformed
    scores, with one-hot categories and flags of inactive parameters, and 1 % of their mass is uniform over the bins,
    which only helps them. ``exact`` is NaN since the exact posterior is unknown.

    Returns:
        One entry each for histories of up to 16, 17 to 64, and more trials; ``n`` is their mean length.
    """
    networks, encoding = _with_control(checkpoint), checkpoint.encoding
    lengths, found = [], []
    for number in range(functions):
        batch = sample_batch(RandomSource(seed + number), encoding, 1)
        kinds, observed, (position, active) = history(batch, 0)
        candidates = position[:queries], active[:queries]
        predicted = [network.predict(network.encode(kinds, *observed), *candidates) for network in networks]
        predicted.append(baseline(encoding, GPPrior(), kinds, observed, candidates))
        coordinates = Coordinates(kinds, encoding.choices, *observed[:2])
        points = np.concatenate([coordinates(*observed[:2]), coordinates(*candidates)])
        fitted = _fitted_mass(encoding, points[:, points.std(0) > 0], observed[2])
        targets = batch.targets[0, :queries].numpy()
        masses = [each.probabilities() for each in predicted]
        found.append([bin_loss(encoding, mass, targets) for mass in (*masses, fitted)])
        lengths.append(len(observed[2]))
    n, losses = np.array(lengths), np.array(found)
    groups = [rows for rows in (n <= 16, (n > 16) & (n <= 64), n > 64) if rows.any()]
    means = [(round(n[rows].mean()), map(float, losses[rows].mean(0))) for rows in groups]
    return [Likelihood(n, network, ignorant, math.nan, fitted, gp) for n, (network, ignorant, gp, fitted) in means]


def bin_loss(encoding: SurrogateConfig, masses: Array, targets: Array) -> float:
    """Mean negative log mass of the targets' bins, in nats, from masses (q, bins) and targets (q,)."""
    bins = ((targets - encoding.low) / encoding.bin_width).astype(int).clip(0, encoding.bins - 1)
    return -float(np.log(masses[np.arange(len(bins)), bins]).mean())


def _fitted_mass(encoding: SurrogateConfig, points: Array, score: Array) -> Array:
    """Masses of the bins under a GP fitted to the first points, at the other points, (others, bins)."""
    if not points.shape[1]:
        points = np.zeros((len(points), 1))
    mean, variance = _fitted(points, score, len(score))
    edges = np.linspace(encoding.low, encoding.high, encoding.bins + 1)
    edges[[0, -1]] = -np.inf, np.inf
    below = ndtr((edges - mean[:, None]) / np.sqrt(variance)[:, None])
    return np.asarray(0.99 * np.diff(below, axis=1) + 0.01 / encoding.bins)


def _exact(x: Array, y: Array, n: int, lengthscale: Array) -> tuple[Array, Array]:
    inner = matern(x[:n], x[:n], lengthscale) + JITTER * np.eye(n)
    weights = np.linalg.solve(inner, matern(x[:n], x[n:], lengthscale))
    variance = 1 + JITTER - (matern(x[:n], x[n:], lengthscale) * weights).sum(0)
    return weights.T @ y[:n], np.maximum(variance, JITTER)


def _fitted(x: Array, y: Array, n: int) -> tuple[Array, Array]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    d = x.shape[1]
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.ones(d), (5e-2, 2e1), nu=2.5) + WhiteKernel(
        1e-4, (1e-7, 1e-1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
        mean, std = model.fit(x[:n], y[:n]).predict(x[n:], return_std=True)
    return mean, np.maximum(std**2, JITTER)


def calibration(checkpoint: SurrogateCheckpoint, *, batches: int = 6, seed: int = 10**13) -> tuple[Array, Array]:
    """Nominal and observed fractions of held-out scores below predicted quantiles, mixed prior, (19,) each."""
    encoding, network = checkpoint.encoding, NetworkSurrogate(checkpoint)
    ranks = []
    for number in range(batches):
        batch = sample_batch(RandomSource(seed + number), encoding, 3000)
        for row in range(len(batch.scores)):
            kinds, observed, candidates = history(batch, row)
            predicted = network.predict(network.encode(kinds, *observed), *candidates)
            ranks.append(_ranks(encoding, predicted.probabilities(), batch.targets[row].numpy()))
    nominal = np.arange(1, 20) / 20
    found = np.concatenate(ranks)
    return nominal, np.array([(found < share).mean() for share in nominal])


def _ranks(encoding: SurrogateConfig, probabilities: Array, targets: Array) -> Array:
    """Predicted mass below each target, (q,)."""
    rows = zip(probabilities, targets, strict=True)
    return np.array([float(cumulative(p[None], encoding, float(target))[0]) for p, target in rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the likelihoods and plot the calibration."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(prog="python -m optiformer.evaluation.likelihood", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint of the surrogate; calibration.png goes there, too")
    folder = parser.parse_args(arguments).folder
    checkpoint = load(folder)
    print("| trials | network | untrained | exact GP | fitted GP | MAP GP |\n| --- | --- | --- | --- | --- | --- |")
    for n in (10, 25, 50, 100):
        _print(gp_likelihood(checkpoint, n=n))
    print("\nOn the mixed prior, in nats per bin:\n")
    print(
        "| trials, about | network | untrained | exact GP | fitted GP | MAP GP |\n| --- | --- | --- | --- | --- | --- |"
    )
    for found in prior_likelihood(checkpoint):
        _print(found)
    nominal, observed = calibration(checkpoint)
    print("largest calibration error:", round(float(np.abs(nominal - observed).max()), 3))
    figure = Figure(figsize=(3.5, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(nominal, observed, marker="o", markersize=3)
    axes.set(xlabel="predicted quantile", ylabel="fraction of scores below it", title="mixed prior, held out")
    figure.savefig(folder / "calibration.png", dpi=80)


def _print(found: Likelihood) -> None:
    cells = (found.network, found.untrained, found.exact, found.fitted, found.gp_map)
    print(
        f"| {found.n} | " + " | ".join("" if math.isnan(cell) else f"{cell:.2f}" for cell in cells) + " |", flush=True
    )


if __name__ == "__main__":
    command(main)
