"""The tasks of the family ``live``."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from optibench_benchmarks.base import Config, Evaluation, Reference, Sampling
from optibench_benchmarks.live import linear, others, trees
from optibench_benchmarks.live.data import DATASETS, FOLD_SEED, DataSet
from optibench_benchmarks.live.learner import Learner
from optibench_benchmarks.live.sizes import measure
from optibench_benchmarks.named_tasks import NamedTasks
from optibench_benchmarks.references.table import MAX_NEAR_BEST, NEAR_BEST, find
from optibench_benchmarks.training.base import ReferencePlan, TrainingBenchmark

LEARNERS: Mapping[str, Learner] = MappingProxyType(
    {learner.name: learner for learner in (*linear.LEARNERS, *trees.LEARNERS, *others.LEARNERS)}
)
TASKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "svm": ("breast_cancer", "wine", "diabetes", "car", "magic"),
        "sgd": ("breast_cancer", "diabetes", "bands", "ionosphere"),
        "logistic": ("breast_cancer", "iris", "bupa", "chess", "letter", "monk-2"),
        "tree": (
            *("breast_cancer", "digits"),
            *("bands", "car", "chess", "dermatology", "german", "ionosphere", "letter", "mammographic"),
        ),
        "forest": ("digits", "diabetes", "australian", "bupa", "ionosphere", "letter", "mushroom"),
        "extra_trees": ("contraceptive", "german", "monk-2"),
        "histgb": ("breast_cancer", "diabetes", "breast", "ionosphere"),
        "gradient_boosting": ("car", "dermatology", "german"),
        "adaboost": ("led7digit", "magic", "mushroom"),
        "knn": ("wine", "digits", "bands", "chess", "mammographic"),
        "mlp": ("iris", "digits", "australian", "letter"),
        "discriminant": ("breast", "bupa", "magic"),
        "pipeline": (
            *("breast_cancer", "wine", "digits"),
            *("australian", "breast", "bupa", "chess", "contraceptive", "dermatology", "german", "mammographic"),
        ),
    }
)
"""The data sets of each learner; a new task is a new word here and its reference values.

Those of KEEL are what :mod:`optibench_benchmarks.kept.draw` draws: 24 kept tasks and, by the same rule, 24 for tuning.
"""


class LiveTask(TrainingBenchmark):
    """One learner tuned on one data set.

    Attributes:
        learner: The learner to tune.
        dataset: Its data set.
    """

    sampling: Sampling = "deterministic"
    reference_plan = ReferencePlan(random=1001, local=999, finalists=1, repeats=1)
    # scikit-learn's exceptions for invalid combinations and for fits that overflow.
    failures = (ValueError, NotImplementedError, ArithmeticError)

    def __init__(self, learner: Learner, dataset: DataSet) -> None:
        self.learner, self.dataset = learner, dataset
        self.name = f"live/{learner.name}/{dataset.name}"
        self.space = learner.space(dataset)
        self.space.name = self.name
        self.metrics = {f"test_{dataset.score}": "maximize"}
        self.metrics |= dict.fromkeys(learner.sizes, "minimize")
        self.data_version = dataset.version()

    @property
    def left_out(self) -> str:  # type: ignore[override]  # read when first asked for
        """Random configurations come too close to the best one."""
        return self.frozen(self.name)[1]

    def frozen(self, name: str) -> tuple[Reference | None, str]:
        """The reference of this task, or of one with constraints over it, and why headlines leave it out."""
        found = find(name, data_version=self.data_version)
        if found is None:
            return None, ""
        if (found.near_best or 0.0) <= MAX_NEAR_BEST:
            return found.reference, ""
        return found.reference, (
            f"{found.near_best:.1%} of random configurations have a regret below {NEAR_BEST}, more than "
            f"{MAX_NEAR_BEST:.0%}"
        )

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        """The mean score over the folds, and in ``info`` what is known of the refitted model; ``seed`` has no effect.

        Raises:
            ValueError, NotImplementedError, ArithmeticError: scikit-learn's exception for the configuration.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.metrics import get_scorer
        from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

        (inputs, targets), (test_inputs, test_targets) = self.dataset.load()
        kind = KFold if self.dataset.regression else StratifiedKFold
        folds = kind(self.dataset.folds, shuffle=True, random_state=FOLD_SEED)
        with quietly() as said:
            model = self.learner.build(config, self.dataset)
            score = get_scorer(self.dataset.score)
            scores = cross_val_score(model, inputs, targets, cv=folds, scoring=score, error_score="raise")
            test = score(model.fit(inputs, targets), test_inputs, test_targets)
        unfinished = sum(issubclass(one.category, ConvergenceWarning) for one in said)
        info = {f"test_{self.dataset.score}": float(test), "convergence_warnings": unfinished}
        info |= measure(model, self.learner.sizes)
        return Evaluation(float(scores.mean()), info=info)


@contextlib.contextmanager
def quietly() -> Iterator[list[warnings.WarningMessage]]:
    """Fit on one thread, collect the warnings, and restore NumPy's global generator.

    Sums over several threads are rounded in a random order. SVR draws from the global generator, without effect on the
    result.
    """
    from threadpoolctl import threadpool_limits

    state = np.random.get_state()  # noqa: NPY002
    try:
        with threadpool_limits(limits=1), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield said
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _build(name: str) -> LiveTask:
    _, learner, dataset = name.split("/")
    return LiveTask(LEARNERS[learner], DATASETS[dataset])


def _lacks(name: str) -> str | None:
    return DATASETS[name.rpartition("/")[2]].lacks()


provider = NamedTasks(
    [f"live/{learner}/{dataset}" for learner, datasets in TASKS.items() for dataset in datasets], _build, lacks=_lacks
)
