"""The generators of candidates."""

from __future__ import annotations

import numpy as np

from optiformer.search import candidates


def test_steps_move_some_parameters_and_boundary_points_lie_on_bounds() -> None:
    rng = np.random.default_rng(0)
    state = candidates.SearchState(rng.random((10, 8)), rng.random(10), np.zeros(8), np.zeros(8, dtype=bool))
    moved = candidates.perturb(state, state.positions, np.full((10, 1), 0.1), rng) != state.positions
    assert moved.any(1).all()
    assert not moved.all()
    found = candidates.boundary_points(state, 50, rng)
    elites = {float(value) for value in state.positions.ravel()}
    assert {float(value) for value in found.ravel()} <= elites | {0.0, 1.0}
    assert np.isin(found, [0, 1]).any()


def test_generators_stay_in_the_cube_and_elites_are_the_better_trials() -> None:
    rng = np.random.default_rng(0)
    values = rng.permutation(40).astype(float)
    state = candidates.SearchState(
        rng.random((40, 5)), values, np.array([0, 4, 0, 3, 0.0]), np.array([0, 0, 0, 1, 0], dtype=bool)
    )
    for generate in (
        candidates.sobol,
        candidates.perturbed_elites,
        candidates.crossed_elites,
        candidates.boundary_points,
    ):
        found = generate(state, 37, rng)
        assert found.shape == (37, 5)
        assert found.min() >= 0
        assert found.max() <= 1
    chosen = candidates.elites(state, 500, rng)
    ranks = [float(values[(state.positions == row).all(1)][0]) for row in chosen]
    assert max(ranks) < 10
    assert ranks.count(0.0) > 100
