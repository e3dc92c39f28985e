"""The house: which room may import which, no circles, and folders that one can look through.

All imports are read from the source, those inside functions and for type checkers as well; a dotted name of a module in
a string counts too, unless it is a registry's target (``module:attribute``).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "optiformer": "model",
    "optibench_benchmarks": "benchmarks",
    "optibench_optimizers": "optimizers",
    "optibench_reports": "reports",
    "optibench": "harness",
}
#: A room may import those on its line and on the lines above; a module is in the room with the longest name that fits.
MODEL = """
optiformer.errors optiformer.settings optiformer.files optiformer.cores optiformer.one_thread
optiformer.network_config
optiformer.gp
optiformer.space
optiformer.surrogate
optiformer.search
optiformer.surrogate.network
optiformer.surrogate.prior
optiformer.sequence.prior
optiformer.sequence
optiformer.training
optiformer.sampler
optiformer.evaluation
optiformer
"""
BENCHMARKS = """
optibench_benchmarks.base optibench_benchmarks.declarations optibench_benchmarks.kept
optibench_benchmarks.configurations optibench_benchmarks.hypervolume
optibench_benchmarks.references.fronts
optibench_benchmarks.quantities
optibench_benchmarks.suites optibench_benchmarks.fidelities optibench_benchmarks.wrappers
optibench_benchmarks.family
optibench_benchmarks.registry
optibench_benchmarks.named_tasks
optibench_benchmarks.data
optibench_benchmarks.references.table
optibench_benchmarks.synthetic
optibench_benchmarks.bbob optibench_benchmarks.pymoo optibench_benchmarks.engineering
optibench_benchmarks.tabular
optibench_benchmarks.hpob
optibench_benchmarks.yahpo
optibench_benchmarks.training.base optibench_benchmarks.training.network
optibench_benchmarks.training.text
optibench_benchmarks.training
optibench_benchmarks.live
optibench_benchmarks.kept.draw
optibench_benchmarks.kept.groups
optibench_benchmarks.references
optibench_benchmarks
optibench_benchmarks.conformance
"""
OPTIMIZERS = """
optiformer
optibench_benchmarks
optibench_optimizers.base
optibench_optimizers.requirements optibench_optimizers.settings
optibench_optimizers.entry optibench_optimizers.declarations
optibench_optimizers.history optibench_optimizers.parameters optibench_optimizers.spaces
optibench_optimizers.define_by_run
optibench_optimizers.catalog
optibench_optimizers.registry
optibench_optimizers.adapters
optibench_optimizers
optibench_optimizers.conformance
"""
REPORTS = """
optibench_reports.format
optibench_reports.data
optibench_reports.stats
optibench_reports.tables
optibench_reports.figures
optibench_reports.text
optibench_reports.studies
optibench_reports.render
optibench_reports
"""
HARNESS = """
optiformer optibench_benchmarks optibench_optimizers optibench_reports
optibench.errors optibench.paths optibench.files optibench.numbers optibench.threads
optibench.options optibench.yaml_file
optibench.own
optibench.external
optibench.spec
optibench.plan
optibench.cell
optibench.store
optibench.executors.base
optibench.executors.workers optibench.executors.guardian optibench.executors.parent_death optibench.executors.watchdog
optibench.executors.dask
optibench.executors
optibench.runs
optibench.studies
optibench.api
optibench.cli
optibench
"""
ORDERS = {
    "optiformer": MODEL,
    "optibench_benchmarks": BENCHMARKS,
    "optibench_optimizers": OPTIMIZERS,
    "optibench_reports": REPORTS,
    "optibench": HARNESS,
}
MAX_FILES = 16


def modules() -> dict[str, Path]:
    """All modules of the five packages by their dotted names."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The modules of the five packages that a file names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from [whole] if whole in MODULES else [str(node.module)] if node.module in MODULES else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield from [node.value] if node.value in MODULES else []


@pytest.fixture(scope="module")
def arrows() -> Mapping[str, set[str]]:
    return {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def place(name: str, order: str) -> int:
    """The line of a module's room; -1: it is in none."""
    rooms = [(one, line) for line, text in enumerate(order.splitlines()) for one in text.split()]
    fitting = [(len(one), line) for one, line in rooms if f"{name}.".startswith(f"{one}.")]
    return max(fitting, default=(0, -1))[1]


@pytest.mark.parametrize("package", FOLDERS)
def test_rooms_import_only_what_lies_below_them(package: str, arrows: Mapping[str, set[str]]) -> None:
    order, mine = ORDERS[package], [name for name in MODULES if name.partition(".")[0] == package]
    found = [(name, other) for name in mine for other in arrows[name]]
    wrong = [f"{a} imports {b}" for a, b in found if not 0 <= place(b, order) <= place(a, order)]
    assert sorted(wrong) == []


def test_nothing_imports_in_a_circle(arrows: Mapping[str, set[str]]) -> None:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_a_folder_has_no_more_files_than_one_can_look_through() -> None:
    counts: dict[str, int] = defaultdict(int)
    for top in (*FOLDERS.values(), "tests"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                counts[path.parent.relative_to(ROOT).as_posix()] += 1
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}
