"""OptiFormer as an Optuna sampler: ``optuna.create_study(sampler=OptiFormerSampler())``.

By default the trial-set network proposes, as the optimizer ``optiformer`` does; a checkpoint of named tokens makes it
``optiformer-seq``.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from model.checkpoint_files import encoding_of
from model.config import SamplingConfig
from model.errors import ModelError
from model.proposer import Proposer, ProposerConfig, with_settings
from model.settings import Range, convert
from model.space import Space
from model.surrogate.trialset import TrialSet
from model.tokenizer import Trial
from model.trial_checkpoint import NAME, TrialSetCheckpoint, default_checkpoint
from model.trial_checkpoint import load as load_trialset

if TYPE_CHECKING:
    from model.inference import Policy
    from model.network import Checkpoint

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
Distributions = dict[str, BaseDistribution]


class OptiFormerSampler(BaseSampler):
    """Samples with a trained OptiFormer; no arguments are needed.

    The relative search space is the *union* of the parameters seen so far, each with its latest distribution: a
    parameter that a trial did not suggest is inactive in that trial, so define-by-run conditions are part of what the
    network sees. A parameter never seen before is sampled independently, by the network from the history of
    that parameter alone (uniformly while there is none).

    Args:
        checkpoint: A checkpoint folder or a loaded checkpoint of either encoding; the trial-set one that comes with the
            package if ``None``.
        preset: ``default`` | ``thorough``: how many candidates are scored (trial-set checkpoints only). Every
            suggestion is made of all trials that have finished, none is planned ahead; so ``fast`` is ``default``.
        seed: Makes the sampling reproducible: a proposal depends on the seed, the trial's number and the history.
        temperature: Above 1 explores more; a named-token checkpoint has its own unless told.
        n_startup_trials: Trials before the network is asked; until then sampling is random.
        device: Where a named-token network runs; trial-set ones run on the CPU.

    Raises:
        ModelError: The checkpoint is missing or damaged, or a setting does not fit it.
    """

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint | TrialSetCheckpoint | None = None,
        *,
        preset: str = "default",
        seed: int | None = None,
        temperature: float | None = None,
        n_startup_trials: int | None = None,
        device: str = "cpu",
    ) -> None:
        if checkpoint is None or isinstance(checkpoint, str | Path):
            checkpoint = _load(default_checkpoint() if checkpoint is None else Path(checkpoint), device)
        changes: dict[str, Any] = {}
        if temperature is not None:
            changes["temperature"] = temperature
        if n_startup_trials is not None:
            changes["n_startup"] = n_startup_trials
        self._engine: _TrialSet | _NamedTokens
        if isinstance(checkpoint, TrialSetCheckpoint):
            if device != "cpu":
                raise ModelError(f"OptiFormerSampler: a trial-set network runs on the CPU, not on {device!r}.")
            self._engine = _TrialSet(TrialSet(checkpoint), with_settings(preset, ahead=0.0, **changes))
        else:
            if preset != "default":
                raise ModelError("OptiFormerSampler: presets are for trial-set checkpoints; leave preset out.")
            self._engine = _NamedTokens(checkpoint, replace(checkpoint.sampling, **changes))
        self._seed = _entropy() if seed is None else convert(Annotated[int, Range(0)], seed, "OptiFormerSampler: seed")

    def __str__(self) -> str:
        return "OptiFormerSampler"

    def reseed_rng(self) -> None:
        """Draw a new seed (Optuna calls this in every worker)."""
        self._seed = _entropy()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        """The union of all parameters seen in finished trials, each with its latest distribution."""
        space: Distributions = {}
        for past in study._get_trials(deepcopy=False, states=FINISHED, use_cache=True):
            for name, distribution in past.distributions.items():
                space[name] = distribution
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> dict[str, Any]:
        """Sample all parameters of a search space together.

        Raises:
            ValueError: The study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        return self._sample(study, trial, search_space, "")

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample one parameter that the relative search space does not hold.

        Raises:
            ValueError: The study has several objectives.
        """
        self._raise_error_if_multi_objective(study)
        return self._sample(study, trial, {param_name: param_distribution}, param_name)[param_name]

    def _sample(self, study: Study, trial: FrozenTrial, space: Distributions, stream: str) -> dict[str, Any]:
        proposer = self._engine.on(Space.from_optuna(space))
        rng = np.random.default_rng([self._seed, trial.number, zlib.crc32(stream.encode())])
        finished = study._get_trials(deepcopy=False, states=FINISHED, use_cache=True)
        running = study._get_trials(deepcopy=False, states=(TrialState.RUNNING,), use_cache=False)
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        history = [Trial(_internal(past.params, space), _value(past, sign)) for past in finished]
        pending = [_internal(other.params, space) for other in running if other.number != trial.number]
        config = proposer.suggest([t for t in history if t.config], 1, rng=rng, pending=[c for c in pending if c])[0]
        return {name: _external(config[name], distribution) for name, distribution in space.items()}


@dataclass(frozen=True, eq=False)
class _TrialSet:
    network: TrialSet
    config: ProposerConfig

    def on(self, space: Space) -> Proposer:
        return Proposer(space, self.network, self.config)


@dataclass(frozen=True, eq=False)
class _NamedTokens:
    checkpoint: Checkpoint
    sampling: SamplingConfig

    def on(self, space: Space) -> Policy:
        from model.inference import Policy

        return Policy(space, self.checkpoint, sampling=self.sampling)


def _load(folder: Path, device: str) -> Checkpoint | TrialSetCheckpoint:
    if encoding_of(folder) == NAME:
        return load_trialset(folder)
    from model.network import load as load_seq

    return load_seq(folder, device=device)


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])


def _value(trial: FrozenTrial, sign: float) -> float | None:
    """The value to minimize: a pruned trial's last intermediate one; ``None`` for a failed trial."""
    value = trial.value if trial.state == TrialState.COMPLETE else None
    if trial.state == TrialState.PRUNED and trial.last_step is not None:
        value = trial.intermediate_values[trial.last_step]
    return None if value is None or not np.isfinite(value) else sign * float(value)


def _internal(params: Mapping[str, Any], space: Distributions) -> dict[str, Any]:
    """The parameters that lie inside the space as it is now; categories by index."""
    config: dict[str, Any] = {}
    for name, distribution in space.items():
        if name not in params:
            continue
        try:
            internal = distribution.to_internal_repr(params[name])
        except ValueError:
            continue  # the parameter had other choices then
        if distribution._contains(internal):
            config[name] = int(internal) if isinstance(distribution, CategoricalDistribution) else params[name]
    return config


def _external(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[value]
    return distribution.to_external_repr(float(value))


__all__: Sequence[str] = ["OptiFormerSampler"]
