"""The rule that draws the kept tasks, from names only; ``python -m optibench_benchmarks.kept.draw`` writes kept.yaml.

"First by hash" below means the smallest SHA-256 of the name. A data set is on one side of the split with all its
variants, and in all families: test data sets may have kept tasks, dev data sets have none.

* ``live``: of the free data sets, half are test, first by hash of ``live/<data set>``. In each group of learners the
  first four tasks on four of them are kept.
* ``hpob``: the pools that headlines count. Data sets that are test in ``live`` are test; then, in the order of the hash
  of ``hpob/<data set>``, each that gives another test data set to a learner with fewer than four. Of each learner the
  first four pools on different test data sets are kept. Data sets without a kept task are dev.
* ``bbob``: of each group the first three functions by hash of ``bbob/f<k>``, each in the dimension and the instance
  that are first. A function is kept with all its dimensions and instances; two of these functions in 20 and two in 40
  dimensions, of four groups, are kept too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from optibench_benchmarks.hpob.pools import Pool, pools
from optibench_benchmarks.live.tasks import LEARNERS

FREE = (
    "australian",  # crx is a variant of it
    "bands",
    "breast",
    "bupa",
    "car",
    "chess",
    "contraceptive",
    "dermatology",
    "german",
    "ionosphere",
    "led7digit",
    "letter",
    "magic",
    "mammographic",
    "monk-2",
    "mushroom",
)
"""Sources of KEEL's tables that are in no recorded tuning (:data:`optibench_benchmarks.live.recorded.SOURCES`)."""
EACH = 4
"""Kept tasks of each group of learners, in ``live`` and in ``hpob``."""
FUNCTIONS = {
    "separable": range(1, 6),
    "moderate": range(6, 10),
    "ill-conditioned": range(10, 15),
    "multimodal": range(15, 20),
    "weakly structured": range(20, 25),
}
"""BBOB's groups of functions."""
FUNCTIONS_EACH, DIMENSIONS, HIGH_DIMENSIONS, HIGH_EACH, INSTANCES = 3, (2, 3, 5, 10), (20, 40), 2, range(1, 16)
FILE = Path(__file__).parent / "kept.yaml"


def by_hash(names: Iterable[str], prefix: str = "") -> list[str]:
    """Names in the order of the SHA-256 of ``prefix`` and name."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{prefix}{name}".encode()).hexdigest())


def live_split() -> dict[str, list[str]]:
    """The free data sets of each side."""
    ordered = by_hash(FREE, "live/")
    return {"test": sorted(ordered[: len(FREE) // 2]), "dev": sorted(ordered[len(FREE) // 2 :])}


def live_tasks(data_sets: Collection[str]) -> dict[str, list[str]]:
    """The kept tasks of each group of learners."""
    found: dict[str, list[str]] = {}
    for group in sorted({learner.group for learner in LEARNERS.values()}):
        learners = [name for name, learner in LEARNERS.items() if learner.group == group]
        candidates = by_hash(f"live/{learner}/{data}" for learner in learners for data in data_sets)
        found[group] = _first_of_each(candidates, [name.rpartition("/")[2] for name in candidates])
    return found


def hpob_test(counted: Sequence[Pool], data_sets: Collection[str]) -> set[str]:
    """The test data sets of the pools; ``data_sets`` holds those that are test in ``live``."""
    known = {pool.data_set for pool in counted}
    of_learner: dict[str, set[str]] = {}
    for pool in counted:
        of_learner.setdefault(pool.learner, set()).add(pool.data_set)
    test = known & set(data_sets)
    for name in by_hash(known - test, "hpob/"):
        if any(name in own and len(own & test) < EACH for own in of_learner.values()):
            test.add(name)
    return test


def hpob_tasks(counted: Sequence[Pool], data_sets: Collection[str]) -> dict[str, list[str]]:
    """The kept pools of each learner."""
    found = {}
    for learner in sorted({pool.learner for pool in counted}):
        own = {pool.name: pool for pool in counted if pool.learner == learner and pool.data_set in data_sets}
        candidates = by_hash(own)
        found[learner] = _first_of_each(candidates, [own[name].data_set for name in candidates])
    return found


def _first_of_each(candidates: Sequence[str], data_sets: Sequence[str]) -> list[str]:
    """The first few with different data sets."""
    firsts = dict(reversed(list(zip(data_sets, candidates, strict=True))))
    return sorted([name for name in candidates if name in firsts.values()][:EACH])


def bbob_tasks() -> dict[str, list[str]]:
    """The kept tasks of each group of functions, and those in many dimensions."""
    found, kept = {}, {}
    for group, numbers in FUNCTIONS.items():
        functions = by_hash((f"f{number}" for number in numbers), "bbob/")[:FUNCTIONS_EACH]
        kept.update(dict.fromkeys(functions, group))
        firsts = [by_hash(_variants([function], DIMENSIONS))[0] for function in functions]
        found[group] = sorted(firsts)
    high: dict[str, str] = {}
    for dimension in HIGH_DIMENSIONS:
        for _ in range(HIGH_EACH):
            free = [function for function, group in kept.items() if group not in high]
            first = by_hash(_variants(free, (dimension,)))[0]
            high[kept[first.split("/")[1].partition("-")[0]]] = first
    return found | {"many dimensions": sorted(high.values())}


def _variants(functions: Iterable[str], dimensions: Iterable[int]) -> list[str]:
    return [f"bbob/{f}-{dimension}d/i{i}" for f in functions for dimension in dimensions for i in INSTANCES]


def draw() -> dict[str, Any]:
    """The contents of ``kept.yaml``."""
    counted = [pool for pool in pools().values() if not pool.left_out]
    live = live_split()
    hpob = hpob_tasks(counted, hpob_test(counted, live["test"]))
    taken = {pools()[name].data_set for names in hpob.values() for name in names} | set(live["test"])
    known = {pool.data_set for pool in counted}
    data_sets = {"live": live, "hpob": {"test": sorted(known & taken), "dev": sorted(known - taken)}}
    return {"data_sets": data_sets, "tasks": {"hpob": hpob, "live": live_tasks(live["test"]), "bbob": bbob_tasks()}}


def main() -> None:
    """Write kept.yaml."""
    import yaml

    head = "# Drawn by optibench_benchmarks/kept/draw.py, from names only and before any optimizer ran; never edited.\n"
    FILE.write_text(head + yaml.safe_dump(draw(), sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
