"""OptiFormer as an Optuna sampler: ``optuna.create_study(sampler=OptiFormerSampler())``.

The default checkpoint is the surrogate of the optimizer ``optiformer``; with a sequence checkpoint the sampler is
``optiformer-seq``.
"""

from __future__ import annotations

import operator
import reprlib
import warnings
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from optuna import logging
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._base import _process_constraints_after_trial
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optiformer.errors import ModelError
from optiformer.files import read_content
from optiformer.one_thread import one_thread
from optiformer.search.best_guess import best_guess
from optiformer.search.config import ProposerConfig, with_settings
from optiformer.search.proposer import Proposer
from optiformer.sequence.config import SamplingConfig
from optiformer.settings import Range, convert, convert_field
from optiformer.space.conditions import learn
from optiformer.space.optuna_trials import Distributions, Reading, covering, external, internal, value_of
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import NAME, SurrogateCheckpoint, default_checkpoint
from optiformer.surrogate.checkpoint import load as load_surrogate
from optiformer.surrogate.gp_surrogate import GP_EVALUATIONS, control
from optiformer.surrogate.interface import Surrogate
from optiformer.surrogate.surrogate import NetworkSurrogate

if TYPE_CHECKING:
    from optiformer.sequence.network import Checkpoint

ConstraintsFunc = Callable[[FrozenTrial], Sequence[float]]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
#: Number of later-started finished trials that halves a running trial's weight, and the minimum weight that is not 0.
WEIGHT_HALF_LIFE, MIN_WEIGHT = 8, 0.05
_logger = logging.get_logger(__name__)


class OptiFormerSampler(BaseSampler):
    """Samples with a trained OptiFormer; all arguments are optional.

    The relative search space is the *union* of the parameters seen so far, each with its latest distribution. A
    parameter that a trial did not suggest is inactive there, and the conditions are learned from the trials: they need
    not be declared. New parameters are sampled independently, by ``independent_sampler`` or by the network from the
    history of that parameter alone.

    With several objectives or constraints, Gaussian processes with the learned prior choose, without the network, by
    expected hypervolume improvement and the probability of feasibility. Constraints come from ``trial.set_constraint``
    or ``constraints_func``; a complete trial without one that others have counts as fulfilling it. A pruned trial is
    never feasible. Until a trial is feasible, suggestions maximize the probability that every constraint falls to half
    of what the trial with the least violation has.

    Failed trials inform the model of failures only, and pruned trials rank behind all complete ones. Suggestions keep
    away from running trials. The weight of a running trial halves with every eighth trial that started after it and has
    finished, since workers die. Trials with a parameter outside its current range are ignored.

    Args:
        checkpoint: A checkpoint folder or a loaded checkpoint of either network; ``None`` for the surrogate shipped
            with the package.
        surrogate: ``network`` | ``gp-map`` | ``gp-prior``: the checkpoint's network, or Gaussian processes in the same
            search, with default priors (these take no checkpoint) or with priors learned from the network's training
            data. A suggestion of theirs takes two to three times as long.
        preset: ``default`` | ``thorough``: number of candidates (surrogate checkpoints only). Every suggestion uses all
            finished trials, without batches, so ``fast`` is refused.
        seed: Seed for reproducible sampling: a suggestion depends on the seed, the trial's number and the history.
        temperature: Above 1 explores more; by default 1, or the setting saved in a sequence checkpoint.
        n_startup_trials: Number of complete trials before the network is used. Until then the sampler suggests the
            middle of the (logarithmic) ranges with every first choice, then a scrambled Sobol' sequence.
        device: Device of a sequence network; surrogates run on the CPU.
        constraints_func: Constraints of a finished trial, fulfilled where they are at most 0, where the objective does
            not call ``trial.set_constraint``.
        independent_sampler: Sampler of parameters outside the relative search space.
        warn_independent_sampling: Whether to log a warning when a parameter is sampled independently after the startup
            trials.

    Raises:
        ModelError: The checkpoint is missing or damaged, or a setting does not fit it.
    """

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint | SurrogateCheckpoint | None = None,
        *,
        surrogate: str = "network",
        preset: str = "default",
        seed: int | None = None,
        temperature: float | None = None,
        n_startup_trials: int | None = None,
        device: str = "cpu",
        constraints_func: ConstraintsFunc | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
    ) -> None:
        if seed is not None:
            seed = convert(Annotated[int, Range(0)], seed, "OptiFormerSampler: seed")
        if preset not in ("default", "thorough"):
            raise ModelError(f"OptiFormerSampler: preset must be default or thorough, not {preset!r}.")
        if constraints_func is not None and not callable(constraints_func):
            raise ModelError(f"OptiFormerSampler: constraints_func must be a function, not {constraints_func!r}.")
        if not isinstance(independent_sampler, BaseSampler | None):
            raise ModelError(f"OptiFormerSampler: independent_sampler must be a sampler, not {independent_sampler!r}.")
        if not isinstance(warn_independent_sampling, bool):
            raise ModelError("OptiFormerSampler: warn_independent_sampling must be True or False.")
        if surrogate not in ("network", "gp-map", "gp-prior"):
            raise ModelError(f"OptiFormerSampler: surrogate must be network, gp-map or gp-prior, not {surrogate!r}.")
        if surrogate == "gp-map" and checkpoint is not None:
            raise ModelError("OptiFormerSampler: gp-map has no checkpoint; leave checkpoint or surrogate out.")
        folder = default_checkpoint() if checkpoint is None else checkpoint
        if not isinstance(folder, str | Path | SurrogateCheckpoint) and not hasattr(folder, "sampling"):
            raise ModelError(f"OptiFormerSampler: checkpoint must be a folder or a loaded one, not {folder!r}.")
        loaded = _load(Path(folder), device) if isinstance(folder, str | Path) else folder
        if surrogate != "network" and not isinstance(loaded, SurrogateCheckpoint):
            raise ModelError("OptiFormerSampler: a sequence checkpoint has no learned priors; name another one.")
        kind = ProposerConfig if isinstance(loaded, SurrogateCheckpoint) else SamplingConfig
        changes: dict[str, Any] = {}
        if temperature is not None:
            changes["temperature"] = convert_field(kind, "temperature", temperature, "OptiFormerSampler: temperature")
        if n_startup_trials is not None:
            where = "OptiFormerSampler: n_startup_trials"
            changes["n_startup"] = convert_field(kind, "n_startup", n_startup_trials, where)
        self._engine: _SurrogateEngine | _SequenceEngine
        if isinstance(loaded, SurrogateCheckpoint):
            if device != "cpu":
                raise ModelError(f"OptiFormerSampler: a surrogate runs on the CPU, not on {device!r}.")
            model: Surrogate
            if surrogate == "network":
                model = NetworkSurrogate(loaded)
            else:
                model = control(loaded.priors if surrogate == "gp-prior" else ())
                changes |= {"acquisition": "gp-ei", "evaluations": GP_EVALUATIONS}
            self._engine = _SurrogateEngine(model, with_settings(preset, batch_fraction=0.0, **changes))
        else:
            if preset != "default":
                raise ModelError("OptiFormerSampler: presets are for surrogate checkpoints; leave preset out.")
            self._engine = _SequenceEngine(loaded, replace(loaded.sampling, **changes))
        self._seed = _entropy() if seed is None else seed
        self._independent_sampler, self._constraints_func = independent_sampler, constraints_func
        self._warns, self._warned_of_constraints = warn_independent_sampling, False
        self._seen: tuple[list[FrozenTrial], Distributions, dict[str, None]] = [], {}, {}
        self._known: tuple[Reading, list[FrozenTrial], list[Trial]] = Reading({}, (), ()), [], []

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read of a study."""
        return self.__dict__ | {"_seen": ([], {}, {}), "_known": (Reading({}, (), ()), [], [])}

    def __str__(self) -> str:
        return "OptiFormerSampler"

    def reseed_rng(self) -> None:
        """Draw a new seed (Optuna calls this in every worker)."""
        self._seed = _entropy()
        if self._independent_sampler is not None:
            self._independent_sampler.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        """The union of all parameters seen in finished trials, each with its latest distribution."""
        space, _ = self._survey(study._get_trials(deepcopy=False, states=FINISHED, use_cache=True))
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def _survey(self, finished: list[FrozenTrial]) -> tuple[Distributions, dict[str, None]]:
        """All parameters of finished trials, each with its latest distribution, and names of their constraints."""
        known, space, names = self._seen
        new = finished[len(known) :] if _continues(finished, known) else finished
        space, names = (dict(space), dict(names)) if len(new) < len(finished) else ({}, {})
        for past in new:
            space.update(past.distributions)
            names.update(dict.fromkeys(past.constraints))
        self._seen = finished, space, names
        return space, names

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> dict[str, Any]:
        """Sample all parameters of a search space together.

        Raises:
            ValueError: The study has several objectives and the checkpoint is a sequence network.
        """
        self._refuse_objectives(study)
        if not search_space:
            return {}
        return self._sample(study, trial, search_space, "")

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample one parameter outside the relative search space.

        Raises:
            ValueError: The study has several objectives and the checkpoint is a sequence network.
        """
        self._refuse_objectives(study)
        if self._warns and not param_distribution.single():
            complete = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE,), use_cache=True)
            if len(complete) >= max(1, self._engine.n_startup):
                _logger.warning(
                    f"The parameter {param_name!r} of trial {trial.number} is new to OptiFormerSampler, or its range "
                    "has changed, so it is sampled independently of the others; warn_independent_sampling=False "
                    "silences this."
                )
        if self._independent_sampler is not None:
            return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._sample(study, trial, {param_name: param_distribution}, param_name)[param_name]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        if self._independent_sampler is not None:
            self._independent_sampler.after_trial(study, trial, state, values)
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints, study, trial, state)
        of_sequence = isinstance(self._engine, _SequenceEngine)
        if of_sequence and trial.constraints and not self._warned_of_constraints:
            self._warned_of_constraints = True
            warnings.warn(
                "OptiFormerSampler with a sequence checkpoint does not look at constraints: it suggests infeasible "
                "configurations, too; leave checkpoint out.",
                stacklevel=2,
            )

    def _constraints(self, trial: FrozenTrial) -> list[float]:
        """What ``constraints_func`` returns, as numbers.

        Raises:
            ModelError: It is no list of numbers.
        """
        assert self._constraints_func is not None
        found = self._constraints_func(trial)
        try:
            numbers = np.asarray(found, dtype=float)
        except (TypeError, ValueError):
            numbers = np.empty(())
        if numbers.ndim != 1:
            short = reprlib.repr(found)
            raise ModelError(f"OptiFormerSampler: constraints_func must return a list of numbers, not {short}.")
        return [float(number) for number in numbers]

    def _refuse_objectives(self, study: Study) -> None:
        if isinstance(self._engine, _SequenceEngine):
            self._raise_error_if_multi_objective(study)

    def best_guess(self, study: Study) -> FrozenTrial:
        """The trial whose configuration is likely the best under noise; ``study.best_trial`` is the luckiest one.

        A Gaussian process smooths the values, and repeats of a configuration are averaged
        (:mod:`optiformer.search.best_guess`). Failed, pruned and infeasible trials are ignored, and those with a
        category that no longer exists. With fewer than five others it is the best observed one.

        Raises:
            ModelError: The study has several objectives, or no complete (and feasible) trial.
        """
        if not isinstance(study, Study):
            raise ModelError(f"best_guess needs an Optuna study, not {reprlib.repr(study)}.")
        if len(study.directions) > 1:
            raise ModelError("best_guess needs a study with one objective; with several, see study.best_trials.")
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        complete = [trial for trial in complete if all(value <= 0 for value in trial.constraints.values())]
        if not complete:
            raise ModelError("The study has no complete and feasible trial, so there is no best guess yet.")
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        space = {name: each for name, each in covering(complete).items() if not each.single()}
        configs = [internal(trial.params, space) for trial in complete]
        known = [(trial, config) for trial, config in zip(complete, configs, strict=True) if config]
        if not known:
            return study.best_trial
        with one_thread(), np.errstate(all="ignore"):
            chosen = best_guess(
                Space.from_optuna(space), [Trial(config, value_of(trial, sign)) for trial, config in known]
            )
        return deepcopy(known[chosen][0])

    def _sample(self, study: Study, trial: FrozenTrial, space: Distributions, stream: str) -> dict[str, Any]:
        parameters = Space.from_optuna(space).parameters
        finished = study._get_trials(deepcopy=False, states=FINISHED, use_cache=True)
        running = study._get_trials(deepcopy=False, states=(TrialState.RUNNING,), use_cache=False)
        signs = tuple(-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions)
        reading = Reading(space, signs, tuple(self._survey(finished)[1]))
        history = [known for known in self._read(finished, reading) if known.config]
        pending, weights, earlier_asks = [], [], 0
        since = np.array([past.number for past in finished]) if len(running) > 1 else np.empty(0)
        for other in running:
            weight = 0.5 ** (int((since > other.number).sum()) / WEIGHT_HALF_LIFE)
            config = internal(other.params, space) if other.number != trial.number else None
            if config:
                pending.append(config)
                weights.append(weight if weight > MIN_WEIGHT else 0.0)
            elif other.number < trial.number and not other.params and weight > 0.5:
                earlier_asks += 1  # it is being asked concurrently
        with one_thread(), np.errstate(all="ignore"):
            config = self._engine.suggest(
                learn(parameters, [trial.config for trial in history]),
                history,
                seed=[self._seed, zlib.crc32(stream.encode())],
                number=trial.number,
                pending=pending,
                weights=weights,
                skip=0 if stream else earlier_asks,
            )
        # Learned conditions may be wrong: parameters predicted to be inactive get a random value.
        if len(config) < len(parameters):
            rng = np.random.default_rng([self._seed, trial.number, zlib.crc32(stream.encode()), 1])
            for parameter in parameters:
                config.setdefault(parameter.name, parameter.value(rng.random()))
        return {name: external(config[name], distribution) for name, distribution in space.items()}

    def _read(self, finished: list[FrozenTrial], reading: Reading) -> list[Trial]:
        """Finished trials as the model's, each converted once; without parameters if one lies outside the space."""
        known_reading, known, converted = self._known
        if known_reading != reading or not _continues(finished, known):
            known, converted = [], []
        converted = converted + [reading.trial(past) for past in finished[len(known) :]]
        self._known = reading, finished, converted  # other threads may set it
        return converted


@dataclass(eq=False)
class _SurrogateEngine:
    surrogate: Surrogate
    config: ProposerConfig
    cached: tuple[Space, Proposer] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the cached proposer."""
        return self.__dict__ | {"cached": None}

    @property
    def n_startup(self) -> int:
        return self.config.n_startup

    def suggest(self, space: Space, history: Sequence[Trial], **options: Any) -> dict[str, Any]:
        # A proposer caches the positions of trials, so it is kept while the space is unchanged.
        cached = self.cached
        if cached is None or cached[0].parameters != space.parameters:
            cached = self.cached = space, Proposer(space, self.surrogate, self.config)
        return cached[1].suggest(history, **options)[0]


@dataclass(frozen=True, eq=False)
class _SequenceEngine:
    checkpoint: Checkpoint
    sampling: SamplingConfig

    @property
    def n_startup(self) -> int:
        return self.sampling.n_startup

    def suggest(
        self, space: Space, history: Sequence[Trial], *, seed: Sequence[int], number: int, pending: Any, **ignored: Any
    ) -> dict[str, Any]:
        from optiformer.sequence.policy import Policy

        rng = np.random.default_rng([*seed, number])
        policy = Policy(space, self.checkpoint, sampling=self.sampling)
        return policy.suggest(history, 1, rng=rng, pending=pending)[0]


def _load(folder: Path, device: str) -> Checkpoint | SurrogateCheckpoint:
    if read_content(folder)["encoding"] == NAME:
        return load_surrogate(folder)
    from optiformer.sequence.network import load as load_seq

    return load_seq(folder, device=device)


def _continues(finished: Sequence[FrozenTrial], known: Sequence[FrozenTrial]) -> bool:
    """Whether the known trials come first."""
    return len(known) <= len(finished) and all(map(operator.is_, known, finished))


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])


__all__: Sequence[str] = ["OptiFormerSampler"]
