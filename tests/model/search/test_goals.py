"""The search with constraints while no trial is feasible."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from optiformer.search.proposer import Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.gp_surrogate import control


def proposer(d: int) -> Proposer:
    space = ConfigurationSpace({f"x{index}": (0.0, 1.0) for index in range(d)})
    return Proposer(Space.from_configspace(space), control())


@pytest.mark.parametrize("goals", [1, 2])
def test_a_small_feasible_region_is_found(goals: int) -> None:
    d, needed = 12, []
    for seed in range(3):
        target = np.random.default_rng(seed + 100).uniform(0.2, 0.8, d)  # feasible is a cube of edge .4 around it
        search, trials = proposer(d), list[Trial]()
        while len(trials) < 20 and not (trials and max(trials[-1].constraints) <= 0):
            config = search.suggest(trials, seed=seed, number=len(trials))[0]
            x = np.array([config[f"x{index}"] for index in range(d)])
            value = float(x[0])
            constraints = tuple((np.abs(x - target) - 0.2).tolist())
            trials.append(Trial(config, value, (value, -value) if goals == 2 else (), constraints))
        needed.append(len(trials))
    assert np.median(needed) < 12


@pytest.mark.parametrize(("pruned", "measured"), [(8, 0), (8, 1), (0, 1), (0, 8)])
def test_any_number_of_trials_may_have_measured_the_constraints(pruned: int, measured: int) -> None:
    rng = np.random.default_rng(0)
    configs = [{"x0": a, "x1": b} for a, b in rng.random((pruned + measured, 2)).tolist()]
    trials = [Trial(config, math.inf, constraints=(math.nan,)) for config in configs[:pruned]]
    trials += [Trial(config, 1.0, constraints=(0.5,)) for config in configs[pruned:]]
    found = proposer(2).suggest(trials, seed=0, number=len(trials))[0]
    assert found.keys() == {"x0", "x1"}
    assert found not in configs
