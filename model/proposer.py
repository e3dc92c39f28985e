"""The trial-set optimizer: encode the trials, score candidates, refine the best ones, propose.

An ask is a function of the trials, the pending configurations and the random generator. Nothing is learned from the
number of asks before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from model import acquisition, candidates
from model.candidates import Pool
from model.errors import ModelError
from model.gp.improvement import ProcessImprovement
from model.plan import Plan, diverse
from model.settings import Positive, Range, Share, check
from model.space import Space
from model.surrogate.interface import Belief, Surrogate, Told
from model.tokenizer import Trial
from model.trial_history import History, Rows, keys
from model.unit_space import MAX_LISTED, Array, UnitSpace

if TYPE_CHECKING:
    from model.inference import Policy

Config = dict[str, Any]


@dataclass(frozen=True)
class ProposerConfig:
    """How proposals are searched for.

    Attributes:
        uniform: Candidates from a Sobol' sequence over the whole space.
        local: Candidates around, between and beyond the better trials.
        policy: Candidates sampled from a named-token network's policy, where the proposer has one.
        refinements: Rounds of further candidates around the best-scored ones, each at a quarter of the scale.
        refined: Candidates a refinement round.
        evaluations: Of the marginal likelihood, to fit the kernel heads to the history (:mod:`model.gp.fit`).
        climbs: Evaluations of the gradient of ``gp-ei``, about, from the best-scored candidates, over the numbers among
            their parameters.
        acquisition: See :func:`model.acquisition.get`; several joined by ``+`` take turns, trial by trial.
        trust: The share of the scores' variance that the process of ``gp-ei`` must explain, each trial from the others,
            to get its turns; else, and in a network without kernel heads, the other acquisitions take them.
        ahead: How many proposals are planned at a time, a share of the number of trials: with .06 a history of 100
            trials is encoded at every sixth ask. A plan is dropped when the history is not a continuation of its own.
        margin: Improvement that ``pi`` asks for, in gaps between best and median.
        cap: The largest gain that counts for ``clipped-ei``, in gaps.
        temperature: Divides the logits; above 1 explores more.
        n_startup: Successful trials before the network is asked; until then proposals are a Sobol' sequence.
    """

    uniform: Annotated[int, Range(1, 10**6)] = 128
    local: Annotated[int, Range(1, 10**6)] = 192
    policy: Annotated[int, Range(0, 10_000)] = 0
    refinements: Annotated[int, Range(0, 100)] = 3
    refined: Annotated[int, Range(1, 10**6)] = 48
    evaluations: Annotated[int, Range(0, 1000)] = 6
    climbs: Annotated[int, Range(0, 10_000)] = 30
    acquisition: str = "pi+gp-ei"
    trust: Annotated[float, Range(most=1)] = 0.8
    ahead: Share = 0.06
    margin: Annotated[float, Range(0)] = 0.01
    cap: Positive = 0.25
    temperature: Positive = 1.0
    n_startup: Annotated[int, Range(1, 10**6)] = 5

    def __post_init__(self) -> None:
        check(self)
        for name in self.acquisitions:
            if name not in acquisition.NAMES:
                raise ModelError(f"Unknown acquisition {name!r}; there is {', '.join(acquisition.NAMES)}.")

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
Allowed = Callable[[Config], bool]


@dataclass(frozen=True, eq=False)
class _View:
    """What one ask looks through: what the network makes of the history's shown columns, and the acquisition functions.

    Of these, each proposal is chosen by the one whose turn it is: ``turns`` has their indices, first to last.
    """

    belief: Belief
    shown: Rows
    acquisitions: tuple[str, ...]
    turns: list[int]


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
        policy: Samples the candidates that ``config.policy`` asks for.

    Raises:
        ModelError: Nothing can vary in the space, or candidates are asked of a policy that is not there.
    """

    def __init__(
        self,
        space: Space,
        surrogate: Surrogate,
        config: ProposerConfig | None = None,
        *,
        allowed: Allowed = lambda config: True,
        policy: Policy | None = None,
    ) -> None:
        self.space = UnitSpace(space)
        if not len(self.space):
            raise ModelError("The space has no parameter with more than one value: nothing to propose.")
        self.surrogate = surrogate
        self.config = config or PRESETS["default"]
        if self.config.policy and policy is None:
            raise ModelError("ProposerConfig.policy asks for a policy's samples: give the proposer a policy.")
        self._others = tuple(name for name in self.config.acquisitions if name != acquisition.OF_PROCESS)
        if not self._others and not surrogate.has_processes:
            raise ModelError(
                f"{acquisition.OF_PROCESS} is of a kernel head, and this checkpoint has none: take another."
            )
        self._allowed, self._policy = allowed, policy
        self._plan = Plan([], [])
        self._known: dict[tuple[Any, ...], tuple[Array, NDArray[np.bool_]]] = {}

    def suggest(
        self,
        trials: Sequence[Trial],
        n: int = 1,
        *,
        rng: np.random.Generator,
        pending: Sequence[Mapping[str, Any]] = (),
    ) -> list[Config]:
        """Propose ``n`` configurations, distinct from each other, from past and from pending ones while any are left.

        Within a batch, and for pending configurations, the network is told a lie: that each gave the history's median
        (the constant liar of Ginsbourger et al., 2010), so that the next one lies elsewhere.

        Args:
            trials: All past trials, in any order.
            n: How many.
            rng: All that is random; advanced.
            pending: Configurations being evaluated.

        Raises:
            ModelError: A past configuration has a value outside its range.
        """
        chosen: list[Config] = []
        for _ in range(n):
            running = [*map(dict, pending), *chosen]
            config = self._plan.next(trials, running)
            if config is None:
                history = History.of(self._position, trials, running)
                config, *later = self._propose(history, trials, running, rng)
                self._plan = Plan(list(trials), later)
            chosen.append(config)
        return chosen

    def _position(self, config: Mapping[str, Any]) -> tuple[Array, NDArray[np.bool_]]:
        """A configuration's positions, remembered: every ask sees the same trials again."""
        key = tuple(config.items())
        if key not in self._known:
            self._known[key] = self.space.position(config)
        return self._known[key]

    def _propose(
        self, history: History, trials: Sequence[Trial], running: Sequence[Config], rng: np.random.Generator
    ) -> list[Config]:
        """The next proposals, best first: one, or as many as are planned ahead."""
        if history.n_succeeded < self.config.n_startup:
            return [self.space.config(self._first(history, rng))]
        shown = self._shown(history, rng)
        view = self._view(self._condition(history, shown), shown, history)
        pool = Pool(history.positions, history.scores(), self.space.levels, self.space.categorical, shown)
        start = self._start(pool, rng)
        if self._policy is not None and self.config.policy and not self._listed:
            sampled = self._policy.suggest(trials, self.config.policy, rng=rng, pending=running)
            start = np.concatenate([start, [self.space.position(config)[0] for config in sampled]])
        found = self._fresh(start, history)
        gains = self._score(found, view, rng)
        for round_ in range(self.config.refinements if not self._listed else 0):
            if not len(found):
                break
            best = self._best(found, gains, view)
            step = FIRST_STEP / 4**round_
            centres = best[rng.integers(len(best), size=self.config.refined)]
            near = candidates.perturb(pool, centres, candidates.scales(len(centres), rng, step / 16, step), rng)
            near = self._fresh(near, history)
            found = np.concatenate([found, near])
            gains = np.concatenate([gains, self._score(near, view, rng)])
        if self.config.climbs and acquisition.OF_PROCESS in view.acquisitions and not self._listed and len(found):
            process = [view.acquisitions.index(acquisition.OF_PROCESS)] * CLIMBERS
            best = found[self._diverse(found, gains, process, view)]
            climbed = self._fresh(self._climb(best, view), history)
            found = np.concatenate([found, climbed])
            gains = np.concatenate([gains, self._score(climbed, view, rng)])
        chosen = self._diverse(found, gains, view.turns, view, self._allowed)
        return [self.space.config(found[i]) for i in chosen] or [self.space.config(self._first(history, rng))]

    def _view(self, belief: Belief, shown: Rows, history: History) -> _View:
        """With those of the acquisition functions that get turns."""
        order = self.config.acquisitions
        if self._others and self._others != order:
            process = belief.improvement
            trusted = process is not None and process.explained >= self.config.trust
            order = order if trusted else self._others
        names = tuple(dict.fromkeys(order))
        planned = max(1, int(self.config.ahead * history.n_told))
        first = len(history.values)
        return _View(belief, shown, names, [names.index(order[(first + i) % len(order)]) for i in range(planned)])

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
        one_of = view.belief.alike(*self._columns(found, view.shown))
        may_be = None if allowed is None else lambda row: allowed(self.space.config(found[row]))
        return diverse(gains, turns, one_of, may_be)

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

    def _first(self, history: History, rng: np.random.Generator) -> Array:
        """A fresh random configuration that is allowed; an old one if there is no other."""
        pool = Pool(history.positions, history.scores(), self.space.levels, self.space.categorical, np.arange(1))
        found = self._start(pool, rng) if self._listed else candidates.sobol(pool, 64, rng)
        found = found[rng.permutation(len(found))]
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

    def _shown(self, history: History, rng: np.random.Generator) -> Rows:
        """The columns that the network sees."""
        slots, d = self.surrogate.slots, len(self.space)
        if d <= slots:
            return np.arange(d)
        ranks = history.scores().argsort(kind="stable").argsort(kind="stable").astype(float)
        ranks -= ranks.mean()
        columns = history.positions.argsort(0, kind="stable").argsort(0, kind="stable") - (len(ranks) - 1) / 2
        telling = np.argsort(-np.abs(ranks @ columns), kind="stable")
        others = rng.permutation(telling[slots // 2 :])[: slots - slots // 2]
        return np.sort(np.concatenate([telling[: slots // 2], others]))

    def _condition(self, history: History, shown: Rows) -> Belief:
        position, active = history.positions[:, shown], history.active[:, shown]
        told = Told(position, active, history.scores(), history.failed, history.n_told)
        return self.surrogate.condition(self.space.kinds(shown), told, evaluations=self.config.evaluations)

    def _score(self, positions: Array, view: _View, rng: np.random.Generator) -> Array:
        """What each acquisition function makes of positions, (m, A).

        The network is only asked for those whose turn it is; the column of another one is 0.
        """
        gains = np.zeros((len(positions), len(view.acquisitions)))
        generator = np.random.default_rng(int(rng.integers(2**31)))
        if not len(positions):
            return gains
        columns, predicted = self._columns(positions, view.shown), None
        for turn, name in enumerate(view.acquisitions):
            if name == acquisition.OF_PROCESS:
                gains[:, turn] = _process(view.belief).value(*columns)
            elif turn in view.turns:
                predicted = predicted or view.belief.predict(*columns)
                gains[:, turn] = self._gain(name, generator)(predicted)
        return gains

    def _gain(self, name: str, rng: np.random.Generator) -> acquisition.Acquisition:
        config = self.config
        return acquisition.get(name, margin=config.margin, cap=config.cap, temperature=config.temperature, rng=rng)

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
