"""The search: fit a GP, score candidates by it and by the network, refine the best ones, propose.

A proposal is a function of the trials, the pending configurations, the seed and the trial's number; one that comes from
the proposal queue depends on the ask that filled the queue instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optiformer.errors import ModelError
from optiformer.gp.failures import FailureModel
from optiformer.search import candidates
from optiformer.search.batch import ProposalQueue, select_batch
from optiformer.search.candidates import SearchState
from optiformer.search.config import GP_EI, PI, PRESETS, ProposerConfig
from optiformer.search.goals import ConditionedGoals
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import MAX_ENUMERATED, Array, Mask, UnitSpace
from optiformer.surrogate.history import History, Located, Rows, keys
from optiformer.surrogate.interface import ConditionedSurrogate, Surrogate
from optiformer.surrogate.observed import Observed

Config = dict[str, Any]
#: Number of best candidates that each refinement starts from, and its largest step.
REFINED_FROM, FIRST_STEP = 6, 0.1
#: Number of starts when ``gp-ei`` is maximized, and of levels above which an integer is treated as continuous.
N_STARTS, MIN_CONTINUOUS_LEVELS = 4, 16
#: Maximum number of choices of a categorical parent for which each choice is tried once.
MAX_BRANCHES = 8
#: Share of repeated values above which scores count as stepped, and the minimum leave-one-out R^2 of the plain GP then.
MAX_TIES, STEPPED_R2 = 0.1, 0.95
#: Share of the candidates where the network guides the search.
UNSCREENED = 0.5
Allowed = Callable[[Config], bool]


@dataclass(frozen=True, eq=False)
class _AskState:
    """State of one ask.

    Attributes:
        model: The surrogate conditioned on the history.
        failures: Failure probabilities; ``None`` if no trial failed.
        observed: Positions and activity of the trials, (n, D) each.
        acquisitions: Names of the acquisition functions in use.
        schedule: Index of the acquisition function that selects each proposal of the batch.
        pending: Pending configurations, their activity, and their weights.
        screens: Whether the plain GP guides the search.
    """

    model: ConditionedSurrogate
    failures: FailureModel | None
    observed: tuple[Array, Mask]
    acquisitions: tuple[str, ...]
    schedule: list[int]
    pending: tuple[Array, Mask, Array]
    screens: bool

    @property
    def share(self) -> float:
        """Share of the candidates that the search makes: the network takes longer over one than the plain GP."""
        return 1.0 if self.screens else UNSCREENED


class Proposer:
    """Proposes configurations of a space.

    Args:
        space: The search space.
        surrogate: The trained network, or what stands in its place.
        config: Settings of the search.
        allowed: Whether a configuration may be proposed (forbidden clauses).

    Raises:
        ModelError: No parameter has more than one value.
    """

    def __init__(
        self,
        space: Space,
        surrogate: Surrogate,
        config: ProposerConfig | None = None,
        *,
        allowed: Allowed = lambda config: True,
    ) -> None:
        self.space = UnitSpace(space)
        if not len(self.space):
            raise ModelError("The space has no parameter with more than one value: nothing to propose.")
        self.surrogate = surrogate
        self.config = config or PRESETS["default"]
        self._network_acquisitions = tuple(name for name in self.config.acquisitions if name != GP_EI)
        self._allowed = allowed
        self._queue = ProposalQueue([], [])
        self._observed = Located.of(self.space.position, [])

    def suggest(
        self,
        trials: Sequence[Trial],
        n: int = 1,
        *,
        seed: int | Sequence[int],
        number: int,
        pending: Sequence[Mapping[str, Any]] = (),
        weights: Sequence[float] | None = None,
        skip: int = 0,
    ) -> list[Config]:
        """Propose ``n`` configurations distinct from each other and from past and pending ones, while any are left.

        The acquisition value of a candidate is discounted near pending configurations and near the rest of the batch
        (:func:`optiformer.search.batch.select_batch`).

        Args:
            trials: All past trials, in any order.
            n: Number of proposals.
            seed: The study's seed, for the initial design and all random numbers.
            number: Number of the first proposal within the study; it selects the point of the initial design and the
                random stream.
            pending: Configurations being evaluated.
            weights: Weight of each pending configuration, from 0 to 1; 1 by default.
            skip: Number of concurrent asks that come first; so many of the best proposals are left to them.

        Raises:
            ModelError: A past configuration has a value outside its range.
        """
        chosen: list[Config] = []
        for place in range(number, number + n):
            running = [*map(dict, pending), *chosen]
            config = self._queue.next(trials, running)
            if config is None:
                all_weights = None if weights is None else [*weights, *[1.0] * len(chosen)]
                history = self._history(trials, running, all_weights)
                config, *later = self._propose(history, [seed] if isinstance(seed, int) else [*seed], place, skip)
                self._queue = ProposalQueue(list(trials), later)
            chosen.append(config)
        return chosen

    def _history(
        self,
        trials: Sequence[Trial],
        pending: Sequence[Mapping[str, Any]] = (),
        weights: Sequence[float] | None = None,
    ) -> History:
        """The history as matrices; what an earlier ask has computed of it is kept."""
        locate = self.space.position
        observed = self._observed.updated(locate, trials)
        self._observed = observed  # set once: threads may ask at the same time
        return History.of(observed, Located.of(locate, pending), weights)

    def _propose(self, history: History, seed: list[int], number: int, skip: int) -> list[Config]:
        """The next batch of proposals, best first."""
        rng = np.random.default_rng([*seed, number])
        if history.n_succeeded < max(self.config.n_startup, 1):
            return [self.space.config(self._initial_position(history, seed, number, rng))]
        ask = self._ask_state(history)
        levels, categorical = self.space.levels, self.space.categorical
        ok = ~history.failed
        state = SearchState(history.position[ok], history.value[ok], levels, categorical)
        found = self._new_candidates(self._initial_candidates(state, rng, ask.share), history)
        untried = self._untried_branches(found, history)
        found = untried if len(untried) else found
        refines = not self._enumerable and not len(untried)
        gain = self._gain(found, ask)
        for round_ in range(self.config.refinements if refines else 0):
            if not len(found):
                break
            best = self._best(found, gain, ask)
            step = FIRST_STEP / 4**round_
            centres = best[rng.integers(len(best), size=math.ceil(ask.share * self.config.refined))]
            near = candidates.perturb(state, centres, candidates.scales(len(centres), rng, step / 16, step), rng)
            near = self._new_candidates(near, history)
            found, gain = np.concatenate([found, near]), np.concatenate([gain, self._gain(near, ask)])
        if self.config.ei_evaluations and GP_EI in ask.acquisitions and refines and len(found):
            starts = found[self._select_batch(found, gain[:, None], [0] * N_STARTS, ask)]
            maxima = self._new_candidates(self._maximize_ei(starts, ask), history)
            found, gain = np.concatenate([found, maxima]), np.concatenate([gain, self._gain(maxima, ask)])
        gains = self._gains(found, gain, ask, skip)
        chosen = self._select_batch(found, gains, ask.schedule[:1] * skip + ask.schedule, ask, self._allowed)
        chosen = chosen[skip:] or chosen[-1:]
        return [self.space.config(found[i]) for i in chosen] or [
            self.space.config(self._initial_position(history, seed, number, rng))
        ]

    def _ask_state(self, history: History) -> _AskState:
        """Condition the surrogate and schedule the acquisition functions."""
        kinds, columns, failed = self.space.kinds, (history.position, history.active), history.failed
        evaluations, goals = self.config.evaluations, history.goals
        model: ConditionedSurrogate
        if goals is None:
            observed = Observed(*columns, history.value, failed)
            model = self.surrogate.condition(kinds, observed, evaluations=evaluations)
        else:
            model = ConditionedGoals.of(self.surrogate.gp, kinds, history, goals, evaluations=evaluations)
        failures, n = FailureModel(kinds, *columns, failed) if failed.any() else None, len(failed)
        order, stepped = self.config.acquisitions, _is_stepped(history.value[~failed])
        least = max(self.config.min_gp_r2, STEPPED_R2) if stepped else self.config.min_gp_r2
        trusted = model.expected_improvement.loo_r2 >= least
        if self._network_acquisitions and self._network_acquisitions != order:
            if not trusted and not len(self.space.branching):
                order = self._network_acquisitions
            if n < self.config.n_gp_only and not stepped:
                order = (GP_EI,)
        if goals is not None:
            order = (GP_EI,)
        counted = history.weight > 0
        batch_size, first = max(1, int(self.config.batch_fraction * n)), n + int(counted.sum())
        turns = [order[(first + i) % len(order)] for i in range(batch_size)]
        names = tuple(dict.fromkeys(turns))
        schedule = [names.index(turn) for turn in turns]
        pending = history.pending[counted], history.pending_active[counted], history.weight[counted]
        screens = trusted or turns[0] == GP_EI
        return _AskState(model, failures, columns, names, schedule, pending, screens)

    def _best(self, found: Array, gain: Array, ask: _AskState) -> Array:
        """The candidates around which a refinement round searches."""
        if len(ask.schedule) == 1:
            return np.asarray(found[np.argsort(-gain, kind="stable")[:REFINED_FROM]])
        most = max(len(ask.schedule), REFINED_FROM)
        return np.asarray(found[self._select_batch(found, gain[:, None], [0] * most, ask)])

    def _select_batch(
        self, found: Array, gains: Array, schedule: list[int], ask: _AskState, allowed: Allowed | None = None
    ) -> list[int]:
        pending, pending_active, weights = ask.pending

        @functools.cache
        def correlations() -> Callable[[int], Array]:
            active = np.concatenate([self.space.active(found), pending_active])
            return ask.model.prior_correlation_rows(np.concatenate([found, pending]), active)

        left = np.ones(len(found))
        for row, weight in enumerate(weights):
            left *= np.sqrt(1 - weight * correlations()(len(found) + row)[: len(found)].clip(-1, 1) ** 2)
        may_be = None if allowed is None else lambda row: allowed(self.space.config(found[row]))
        return select_batch(gains, schedule, lambda row: correlations()(row)[: len(found)], may_be, left)

    @property
    def _enumerable(self) -> bool:
        return self.space.n_configurations <= MAX_ENUMERATED

    def _initial_candidates(self, state: SearchState, rng: np.random.Generator, share: float = 1.0) -> Array:
        """All configurations of a small discrete space, else a share of the global and local candidates."""
        if self._enumerable:
            return self.space.all_positions()
        local = math.ceil(share * self.config.local)
        parts = (
            (candidates.sobol, math.ceil(share * self.config.uniform)),
            (candidates.perturbed_elites, local - local // 4 - local // 16),
            (candidates.crossed_elites, local // 4),
            (candidates.boundary_points, local // 16),
        )
        return np.concatenate([generate(state, n, rng) for generate, n in parts if n])

    def _initial_position(self, history: History, seed: list[int], number: int, rng: np.random.Generator) -> Array:
        """A point of the initial design; if it is taken or forbidden a random new one, and at last a random old one."""
        design = self.space.snap(candidates.design(self.space.levels, self.space.categorical, seed, number))
        state = SearchState(design, np.zeros(1), self.space.levels, self.space.categorical)
        found = self._initial_candidates(state, rng) if self._enumerable else candidates.sobol(state, 64, rng)
        found = np.concatenate([design, found[rng.permutation(len(found))]])
        for positions in (self._new_candidates(found, history), self.space.snap(found)):
            for position in positions:
                if self._allowed(self.space.config(position)):
                    return np.asarray(position)
        for _ in range(100_000):
            position = self.space.snap(rng.random((1, len(self.space))))[0]
            if self._allowed(self.space.config(position)):
                return np.asarray(position)
        raise ModelError("No random configuration is allowed: the space's forbidden clauses rule out nearly all of it.")

    def _new_candidates(self, positions: Array, history: History) -> Array:
        """Snapped candidates without duplicates and without past or pending configurations."""
        snapped = self.space.snap(positions)
        active = self.space.active(snapped)
        rows = {key: row for row, key in reversed([*enumerate(keys(snapped, active))]) if key not in history.seen}
        return np.asarray(snapped[sorted(rows.values())])

    def _untried_branches(self, found: Array, history: History) -> Array:
        """Candidates with an untried choice of a categorical that activates other parameters.

        The surrogate has no information about such a branch, so each is tried once, unless the choices are many.
        """
        columns = [column for column in self.space.branching if self.space.levels[column] <= MAX_BRANCHES]
        tried = np.floor(np.concatenate([history.position, history.pending]) * self.space.levels)
        cells, new = np.floor(found * self.space.levels), np.zeros(len(found), dtype=bool)
        for column in columns:
            new |= ~np.isin(cells[:, column], tried[:, column])
        rows = [row for row in np.flatnonzero(new) if self._allowed(self.space.config(found[row]))]
        return np.asarray(found[rows])

    def _gain(self, positions: Array, ask: _AskState) -> Array:
        """What guides the search: expected improvements where the plain GP screens, else the network's, (m,)."""
        return self._value(GP_EI if ask.screens else PI, positions, ask)

    def _value(self, acquisition: str, positions: Array, ask: _AskState) -> Array:
        """Acquisition values of positions times their probability of success, (m,)."""
        if not len(positions):
            return np.empty(0)
        columns = positions, self.space.active(positions)
        if acquisition == GP_EI:
            value = ask.model.expected_improvement.value(*columns)
        else:
            margin, temperature = self.config.margin, self.config.temperature
            value = ask.model.probability_of_improvement(*columns, margin=margin, temperature=temperature)
        if ask.failures is None:
            return value
        return value * (1 - ask.failures.probability(*columns, ask.model.prior_correlation(*columns, *ask.observed)))

    def _gains(self, found: Array, gain: Array, ask: _AskState, skip: int) -> Array:
        """Acquisition values of the candidates, (m, A); the network's are 0 where it does not score."""
        gains = np.zeros((len(found), len(ask.acquisitions)))
        for index, name in enumerate(ask.acquisitions):
            if ask.screens == (name == GP_EI):
                gains[:, index] = gain
            else:
                rows = self._screened(found, gain, ask, skip) if ask.screens else np.arange(len(found))
                gains[rows, index] = self._value(name, found[rows], ask)
        return gains

    def _screened(self, found: Array, gain: Array, ask: _AskState, skip: int) -> Rows:
        """Rows of the candidates that the network scores: the best, apart from each other for concurrent asks."""
        if skip:
            return np.array(self._select_batch(found, gain[:, None], [0] * self.config.screened, ask), dtype=int)
        return np.argsort(-gain, kind="stable")[: self.config.screened]

    def _maximize_ei(self, starts: Array, ask: _AskState) -> Array:
        """Local maxima of ``gp-ei`` over the numeric parameters, (m, D), from starts (m, D)."""
        moves = (self.space.levels == 0) | (~self.space.categorical & (self.space.levels > MIN_CONTINUOUS_LEVELS))
        found = ask.model.expected_improvement.maximize(
            starts, self.space.active(starts), moves, self.config.ei_evaluations
        )
        return np.where(moves, found, starts)


def _is_stepped(values: Array) -> bool:
    """Whether many values (n,) repeat: a plain GP does not expect ties, the network does."""
    return len(np.unique(values)) < (1 - MAX_TIES) * len(values)
