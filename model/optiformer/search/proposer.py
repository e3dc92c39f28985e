"""The search: encode the trials, score candidates, refine the best ones, propose.

An ask is a function of the trials, the pending configurations, the seed and the trial's number; where several proposals
are planned ahead, also of the ask that planned them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.gp.failures import FailureModel
from optiformer.gp.improvement import ProcessImprovement
from optiformer.search import candidates
from optiformer.search.batch import Plan, diverse
from optiformer.search.candidates import Pool
from optiformer.settings import Positive, Range, Share, check
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import MAX_LISTED, Array, UnitSpace
from optiformer.surrogate.history import History, Rows, keys
from optiformer.surrogate.interface import Belief, Surrogate, Told

Config = dict[str, Any]
OF_NETWORK, OF_PROCESS = ACQUISITIONS = ("pi", "gp-ei")


@dataclass(frozen=True)
class ProposerConfig:
    """How proposals are searched for.

    Attributes:
        uniform: Candidates from a Sobol' sequence over the whole space.
        local: Candidates around, between and beyond the better trials.
        refinements: Rounds of further candidates around the best-scored ones, each at a quarter of the scale.
        refined: Candidates a refinement round.
        evaluations: Of the marginal likelihood, to fit the kernel heads to the history (:mod:`optiformer.gp.fit`).
        climbs: Evaluations of the gradient of ``gp-ei``, about, from the best-scored candidates, over the numbers among
            their parameters.
        acquisition: ``pi``, the probability of improvement that the network predicts, or ``gp-ei``, the expected
            improvement of one process (:mod:`optiformer.gp.improvement`); joined by ``+`` they take turns, trial by
            trial.
        trust: The share of the scores' variance that the process of ``gp-ei`` must explain, each trial from the others,
            to get its turns; else, and in a network without kernel heads, the other acquisitions take them. Where a
            choice decides which parameters are active, it gets them anyway.
        early: So many first trials ``gp-ei`` alone chooses, where it is among the acquisitions: of few trials the
            network's ``pi`` stays too near the best one.
        ahead: How many proposals are planned at a time, a share of the number of trials: with .06 a history of 100
            trials is encoded at every sixth ask. A plan is dropped when the history is not a continuation of its own.
        screened: The share of the candidates that are put to the network, those from which a process expects most; all
            of them in a network without kernel heads.
        margin: Improvement that ``pi`` asks for, in gaps between best and median.
        temperature: Divides the logits; above 1 explores more.
        n_startup: Successful trials before the network is asked. Until then proposals are the middle of the
            (logarithmic) ranges with every first choice, then a scrambled Sobol' sequence.
    """

    uniform: Annotated[int, Range(1, 10**6)] = 128
    local: Annotated[int, Range(1, 10**6)] = 192
    refinements: Annotated[int, Range(0, 100)] = 3
    refined: Annotated[int, Range(1, 10**6)] = 48
    evaluations: Annotated[int, Range(0, 1000)] = 6
    climbs: Annotated[int, Range(0, 10_000)] = 30
    acquisition: str = "pi+gp-ei"
    trust: Annotated[float, Range(most=1)] = 0.8
    early: Annotated[int, Range(0, 10**6)] = 15
    ahead: Share = 0.06
    screened: Share = 1.0
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
        """The acquisition functions that take turns."""
        return tuple(self.acquisition.split("+"))


PRESETS = {
    "fast": ProposerConfig(uniform=64, local=64, refinements=1, ahead=0.1, evaluations=0, acquisition="pi"),
    "default": ProposerConfig(),
    "thorough": ProposerConfig(uniform=256, local=256, refined=96, ahead=0.0, evaluations=12),
}
#: How many of the best-scored candidates each refinement starts from, and its largest step.
REFINED_FROM, FIRST_STEP = 6, 0.1
#: How many candidates gradient ascent starts from, and how many values an integer must have to be climbed as a number.
CLIMBERS, MANY = 4, 16
#: As many candidates are put to the network, at least.
LEAST_SCREENED = 8
#: A parameter that others hang on has each choice tried once if it has at most so many.
BRANCHES = 8
Allowed = Callable[[Config], bool]


@dataclass(frozen=True, eq=False)
class _View:
    """What one ask looks through.

    Attributes:
        belief: What the network makes of the history's shown columns.
        failures: How likely a configuration fails, where a trial has.
        told: The shown columns of the history, and what is active in them.
        shown: The columns.
        acquisitions: The acquisition functions.
        turns: Which of them chooses each proposal, first to last.
        running: Pending configurations, and what each counts.
    """

    belief: Belief
    failures: FailureModel | None
    told: tuple[Array, NDArray[np.bool_]]
    shown: Rows
    acquisitions: tuple[str, ...]
    turns: list[int]
    running: tuple[Array, NDArray[np.bool_], Array]


class Proposer:
    """Proposes configurations of a space.

    Spaces with more free parameters than the network has slots: at every ask it sees some of them, half of its slots
    for those whose rank correlation with the score is largest and half for others drawn at random; local candidates
    change only those and keep an elite's values elsewhere (Li et al., 2017, do so with a GP). Histories longer than the
    network was trained on are thinned to the best 60 %, some failures, and the rest spread evenly by rank.

    Args:
        space: The search space.
        surrogate: The trained network.
        config: How to search.
        allowed: Whether a configuration may be proposed (forbidden clauses).

    Raises:
        ModelError: Nothing can vary in the space, or ``gp-ei`` alone is asked of a network without processes.
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
        self._others = tuple(name for name in self.config.acquisitions if name != OF_PROCESS)
        if not self._others and not surrogate.has_processes:
            raise ModelError(f"{OF_PROCESS} is of a kernel head, and this checkpoint has none: take another.")
        self._allowed = allowed
        self._plan = Plan([], [])
        self._known: dict[tuple[Any, ...], tuple[Array, NDArray[np.bool_]]] = {}

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
        """Propose ``n`` configurations, distinct from each other, from past and from pending ones while any are left.

        Near a pending configuration, and near those of the same batch, a candidate's gain is discounted by what is
        learned there anyway (:func:`optiformer.search.batch.diverse`).

        Args:
            trials: All past trials, in any order.
            n: How many.
            seed: Of the study: of the first design and of all random numbers.
            number: Of the first proposal among all of the study: the first design's place, and other random numbers.
            pending: Configurations being evaluated.
            weights: What each of them counts, from 0 to 1; all of it unless told.
            skip: How many others ask at the same moment and come first: so many proposals are left to them.

        Raises:
            ModelError: A past configuration has a value outside its range.
        """
        chosen: list[Config] = []
        for place in range(number, number + n):
            running = [*map(dict, pending), *chosen]
            config = self._plan.next(trials, running)
            if config is None:
                counted = None if weights is None else [*weights, *[1.0] * len(chosen)]
                history = History.of(self._position, trials, running, counted)
                config, *later = self._propose(history, [seed] if isinstance(seed, int) else [*seed], place, skip)
                self._plan = Plan(list(trials), later)
            chosen.append(config)
        return chosen

    def _position(self, config: Mapping[str, Any]) -> tuple[Array, NDArray[np.bool_]]:
        """A configuration's positions, remembered: every ask sees the same trials again."""
        key = tuple(config.items())
        if key not in self._known:
            self._known[key] = self.space.position(config)
        return self._known[key]

    def _propose(self, history: History, seed: list[int], number: int, skip: int) -> list[Config]:
        """The next proposals, best first: one, or as many as are planned ahead."""
        rng = np.random.default_rng([*seed, number])
        if history.n_succeeded < max(self.config.n_startup, 1):
            return [self.space.config(self._first(history, seed, number, rng))]
        shown = self._shown(history, rng)
        view = self._view(history, shown)
        levels, categorical = self.space.levels, self.space.categorical
        ok = ~history.failed
        pool = Pool(history.position[ok], history.value[ok], levels, categorical, shown)
        found = self._fresh(self._start(pool, rng), history)
        unseen = self._unseen(found, history)
        found = unseen if len(unseen) else found
        refines = not self._listed and not len(unseen)
        gains = self._score(found, view)
        for round_ in range(self.config.refinements if refines else 0):
            if not len(found):
                break
            best = self._best(found, gains, view)
            step = FIRST_STEP / 4**round_
            centres = best[rng.integers(len(best), size=self.config.refined)]
            near = candidates.perturb(pool, centres, candidates.scales(len(centres), rng, step / 16, step), rng)
            near = self._fresh(near, history)
            found = np.concatenate([found, near])
            gains = np.concatenate([gains, self._score(near, view)])
        if self.config.climbs and OF_PROCESS in view.acquisitions and refines and len(found):
            process = [view.acquisitions.index(OF_PROCESS)] * CLIMBERS
            best = found[self._diverse(found, gains, process, view)]
            climbed = self._fresh(self._climb(best, view), history)
            found = np.concatenate([found, climbed])
            gains = np.concatenate([gains, self._score(climbed, view)])
        chosen = self._diverse(found, gains, view.turns[:1] * skip + view.turns, view, self._allowed)
        chosen = chosen[skip:] or chosen[-1:]
        return [self.space.config(found[i]) for i in chosen] or [
            self.space.config(self._first(history, seed, number, rng))
        ]

    def _view(self, history: History, shown: Rows) -> _View:
        """With those of the acquisition functions that get turns."""
        kinds = self.space.kinds(shown)
        told = Told(history.position[:, shown], history.active[:, shown], history.value, history.failed)
        belief = self.surrogate.condition(kinds, told, evaluations=self.config.evaluations)
        failures = FailureModel(kinds, told.position, told.active, told.failed) if told.failed.any() else None
        order = self.config.acquisitions
        if self._others and self._others != order:
            process = belief.improvement
            branches = len(self.space.branching) > 0
            if process is None or (process.explained < self.config.trust and not branches):
                order = self._others
            if process is not None and len(told.value) < self.config.early:
                order = (OF_PROCESS,)
        names = tuple(dict.fromkeys(order))
        counted = history.weight > 0
        planned, first = max(1, int(self.config.ahead * len(told.value))), len(told.value) + int(counted.sum())
        turns = [names.index(order[(first + i) % len(order)]) for i in range(planned)]
        running = history.running[counted], history.running_active[counted], history.weight[counted]
        return _View(belief, failures, (told.position, told.active), shown, names, turns, running)

    def _best(self, found: Array, gains: Array, view: _View) -> Array:
        """The candidates whose surroundings are worth more candidates."""
        if len(view.turns) == 1:
            return np.asarray(found[np.argsort(-gains[:, view.turns[0]], kind="stable")[:REFINED_FROM]])
        more = (view.turns * REFINED_FROM)[: max(len(view.turns), REFINED_FROM)]
        return np.asarray(found[self._diverse(found, gains, more, view)])

    def _diverse(
        self,
        found: Array,
        gains: Array,
        turns: list[int],
        view: _View,
        allowed: Allowed | None = None,
    ) -> list[int]:
        running, running_active, weight = view.running
        position, active = self._columns(found, view.shown)
        one_of = view.belief.alike(
            np.concatenate([position, running[:, view.shown]]), np.concatenate([active, running_active[:, view.shown]])
        )
        left = np.ones(len(found))
        for row, share in enumerate(weight):
            left *= np.sqrt(1 - share * one_of(len(found) + row)[: len(found)].clip(-1, 1) ** 2)
        may_be = None if allowed is None else lambda row: allowed(self.space.config(found[row]))
        return diverse(gains, turns, lambda row: one_of(row)[: len(found)], may_be, left)

    @property
    def _listed(self) -> bool:
        return self.space.n_configurations <= MAX_LISTED

    def _start(self, pool: Pool, rng: np.random.Generator) -> Array:
        """The first candidates: all of a small discrete space, else a sequence and the elites' surroundings."""
        if self._listed:
            return self.space.all_positions()
        local = self.config.local
        parts = (
            (candidates.sobol, self.config.uniform),
            (candidates.perturbed_elites, local - local // 4 - local // 16),
            (candidates.crossed_elites, local // 4),
            (candidates.walls, local // 16),
        )
        return np.concatenate([generate(pool, n, rng) for generate, n in parts if n])

    def _first(self, history: History, seed: list[int], number: int, rng: np.random.Generator) -> Array:
        """A configuration of the first design that is allowed and fresh; else a random one, at last an old one."""
        design = self.space.snap(candidates.design(self.space.levels, self.space.categorical, seed, number))
        pool = Pool(design, np.zeros(1), self.space.levels, self.space.categorical, np.arange(1))
        found = self._start(pool, rng) if self._listed else candidates.sobol(pool, 64, rng)
        found = np.concatenate([design, found[rng.permutation(len(found))]])
        for positions in (self._fresh(found, history), self.space.snap(found)):
            for position in positions:
                if self._allowed(self.space.config(position)):
                    return np.asarray(position)
        for _ in range(100_000):
            position = self.space.snap(rng.random((1, len(self.space))))[0]
            if self._allowed(self.space.config(position)):
                return np.asarray(position)
        raise ModelError("No random configuration is allowed: the space's forbidden clauses rule out nearly all of it.")

    def _fresh(self, positions: Array, history: History) -> Array:
        """Snapped candidates without the ones that were tried, or are there twice."""
        snapped = self.space.snap(positions)
        active = self.space.active(snapped)
        keep, seen = [], set(history.seen)
        for row, key in enumerate(keys(snapped, active)):
            if key not in seen:
                seen.add(key)
                keep.append(row)
        return np.asarray(snapped[keep])

    def _unseen(self, found: Array, history: History) -> Array:
        """The candidates with a choice, of a parameter that others hang on, that no trial has had yet.

        Nothing is known of such a branch, so each is tried once. None where choices are many.
        """
        columns = [column for column in self.space.branching if self.space.levels[column] <= BRANCHES]
        tried = np.floor(np.concatenate([history.position, history.running]) * self.space.levels)
        cells, new = np.floor(found * self.space.levels), np.zeros(len(found), dtype=bool)
        for column in columns:
            new |= ~np.isin(cells[:, column], tried[:, column])
        rows = [row for row in np.flatnonzero(new) if self._allowed(self.space.config(found[row]))]
        return np.asarray(found[rows])

    def _shown(self, history: History, rng: np.random.Generator) -> Rows:
        """The columns that the network sees."""
        slots, d = self.surrogate.slots, len(self.space)
        if d <= slots:
            return np.arange(d)
        ranks = history.value.argsort(kind="stable").argsort(kind="stable").astype(float)
        ranks -= ranks.mean()
        columns = history.position.argsort(0, kind="stable").argsort(0, kind="stable") - (len(ranks) - 1) / 2
        telling = np.argsort(-np.abs(ranks @ columns), kind="stable")
        others = rng.permutation(telling[slots // 2 :])[: slots - slots // 2]
        return np.sort(np.concatenate([telling[: slots // 2], others]))

    def _score(self, positions: Array, view: _View) -> Array:
        """What each acquisition function makes of positions, (m, A), in expectation over their failing.

        The network is only asked where its turn comes; else its column is 0.
        """
        gains = np.zeros((len(positions), len(view.acquisitions)))
        if not len(positions):
            return gains
        columns = self._columns(positions, view.shown)
        for turn, name in enumerate(view.acquisitions):
            if name == OF_PROCESS:
                gains[:, turn] = _process(view.belief).value(*columns)
            elif turn in view.turns:
                rows = self._screened(columns, view)
                some = columns[0][rows], columns[1][rows]
                margin, temperature = self.config.margin, self.config.temperature
                gains[rows, turn] = view.belief.improving(*some, margin=margin, temperature=temperature)
        if view.failures is not None:
            related = view.belief.related(*columns, *view.told)
            gains *= 1 - view.failures.probability(*columns, related)[:, None]
        return gains

    def _screened(self, columns: tuple[Array, NDArray[np.bool_]], view: _View) -> Rows:
        """Which of some candidates are put to the network."""
        n, process = len(columns[0]), view.belief.improvement
        most = max(LEAST_SCREENED, round(self.config.screened * n))
        if most >= n or process is None:
            return np.arange(n)
        return np.argpartition(-process.value(*columns), most)[:most]

    def _climb(self, positions: Array, view: _View) -> Array:
        """Where the gradient leads from each position, (m, D); parameters of few values stay."""
        shown = view.shown
        moves = (self.space.levels[shown] == 0) | (~self.space.categorical[shown] & (self.space.levels[shown] > MANY))
        climbed = positions.copy()
        found = _process(view.belief).climb(*self._columns(positions, shown), moves, self.config.climbs)
        climbed[:, shown] = np.where(moves, found, positions[:, shown])
        return climbed

    def _columns(self, positions: Array, shown: Rows) -> tuple[Array, NDArray[np.bool_]]:
        """Positions and activity of the shown columns, (m, len(shown))."""
        return positions[:, shown], self.space.active(positions)[:, shown]


def _process(belief: Belief) -> ProcessImprovement:
    process = belief.improvement
    assert process is not None, "only a trusted process gets a turn, and one alone is refused where there is none"
    return process


def with_settings(preset: str, **changes: Any) -> ProposerConfig:
    """A preset with changes.

    Raises:
        ModelError: There is no such preset, or a setting is out of its range.
    """
    if preset not in PRESETS:
        raise ModelError(f"Unknown preset {preset!r}; there is {', '.join(PRESETS)}.")
    return replace(PRESETS[preset], **changes)
