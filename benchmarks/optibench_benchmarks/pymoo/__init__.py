"""Test functions with several objectives, some with constraints, from the package pymoo.

Their names are ``pymoo/<suite>/<function>-<M>o-<D>d``, with M objectives, all minimized, and D parameters.
``docs/reference/tasks.md`` lists them. Must never import pymoo itself.

Sources: Zitzler, Deb and Thiele 2000 (ZDT); Deb et al. 2005 (DTLZ); Huband et al. 2006 (WFG); Jain and Deb 2014
(constrained DTLZ); Binh and Korn 1997 (BNH); Srinivas and Deb 1994 (SRN); Tanaka et al. 1995 (TNK); Blank and Deb,
"pymoo: Multi-Objective Optimization in Python", 2020.
"""

from __future__ import annotations

import importlib.util
import re

from optibench_benchmarks.base import Benchmark
from optibench_benchmarks.named_tasks import NamedTasks

__all__ = ["provider"]

_SUITES = {
    "zdt": [f"zdt{i}-2o-6d" for i in (1, 2, 3, 4, 6)],
    "dtlz": [*(f"dtlz{i}-2o-6d" for i in (1, 2, 3, 4, 6, 7)), *(f"dtlz{i}-3o-6d" for i in (1, 2, 4))],
    "wfg": [f"wfg{i}-2o-8d" for i in range(2, 10)],
    "constrained": ["bnh-2o-2d", "srn-2o-2d", "tnk-2o-2d", "c1dtlz3-2o-6d", "c2dtlz2-2o-6d"],
}
_NAMES = [f"pymoo/{suite}/{task}" for suite, tasks in _SUITES.items() for task in tasks]
_SIZES = re.compile(r"pymoo/\w+/(\w+)-(\d+)o-(\d+)d")


def _build(name: str) -> Benchmark:
    from optibench_benchmarks.pymoo.functions import PymooBenchmark

    found = _SIZES.fullmatch(name)
    assert found is not None
    return PymooBenchmark(name, found[1], int(found[2]), int(found[3]))


def _missing(name: str) -> str | None:
    if importlib.util.find_spec("pymoo"):
        return None
    return "The tasks of pymoo need that package; `pip install 'optiformer-bench[pymoo]'` brings it."


provider = NamedTasks(_NAMES, _build, lacks=_missing)
