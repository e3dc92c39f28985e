"""A search space as an Optuna user writes it: parents first, ``trial.suggest_*`` for the active parameters only.

:class:`Objective` makes the objective of any task, so that ``study.optimize`` runs it with any sampler:

    task = optibench_benchmarks.create("live/svm/breast_cancer")
    study = optuna.create_study(direction=task.direction, sampler=OptiFormerSampler())
    study.optimize(Objective(task), n_trials=40, catch=task.failures)

With several objectives, ``directions=list(task.objectives.values())``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optibench_optimizers.base import OptimizerError
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    import optuna

    from optibench_benchmarks import Benchmark
    from optibench_optimizers.parameters import Parameter


def suggest(trial: optuna.Trial, space: SearchSpace, *, codes: bool = False) -> Config:
    """A configuration from a trial's suggestions.

    Args:
        trial: The Optuna trial.
        space: The space to suggest from. Ordinal parameters are suggested as their ranks.
        codes: Whether categories are suggested by index instead of by value.
    """

    def choose(parameter: Parameter) -> float:
        name, low, high = parameter.name, parameter.low, parameter.high
        if parameter.kind == "float":
            return trial.suggest_float(name, low, high, log=parameter.log)
        if parameter.kind != "categorical":
            return trial.suggest_int(name, int(low), int(high), log=parameter.log)
        if codes:
            return int(trial.suggest_categorical(name, tuple(range(len(parameter.values)))))
        return parameter.values.index(trial.suggest_categorical(name, parameter.values))

    return space.build(choose)


class Objective:
    """A task as the objective of ``study.optimize``; an evaluation's ``info`` becomes the trial's user attributes.

    Constraints become the trial's constraints, by their names.

    Args:
        task: The task to optimize; the study needs its ``direction``, or those of its ``objectives``.
        seed: The seed of every evaluation.
    """

    def __init__(self, task: Benchmark, *, seed: int = 0) -> None:
        self.task, self.seed = task, seed
        self._space = SearchSpace(task.space)

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """Suggest and evaluate.

        Raises:
            OptimizerError: A forbidden clause, which Optuna cannot express, rules the configuration out.
            Exception: An error of the task; ``study.optimize(..., catch=task.failures)`` turns the declared ones into
                failed trials.
        """
        config = suggest(trial, self._space)
        if not self._space.is_allowed(config):
            raise OptimizerError(f"A forbidden clause of {self.task.name} rules out {config}.")
        evaluation = self.task.evaluate(config, seed=self.seed)
        for name, value in evaluation.info.items():
            trial.set_user_attr(name, value)
        values, constraints = self.task.numbers(evaluation)
        for name, number in zip(self.task.constraints, constraints, strict=True):
            trial.set_constraint(name, number)
        return values if self.task.objectives else values[0]
