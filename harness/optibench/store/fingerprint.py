"""Fingerprints of what made a cell: the code of its optimizer and task, the packages they wrap, weights, and Python.

A fingerprint is stored beside a cell and is not part of its key: after a change, the user is asked what to do with the
cell, and the grid stays the same. The code is the module of the optimizer or task and everything that it imports from
the same distribution or the same folder. It is compared as syntax trees without docstrings, so comments do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import json
import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench import external
from optibench.own import Own, OwnEntry, OwnFamily
from optibench.own.code import plain
from optibench.spec import batches
from optibench.store.provenance import PACKAGES, home, installed

if TYPE_CHECKING:
    from optibench.plan.cells import Cell
    from optibench.plan.plan import Plan

Parts = Mapping[str, str]
"""The parts of a fingerprint: ``code optimizers/optibench_optimizers/adapters/tpe.py`` -> a hash, ``package optuna``
-> ``5.0.0``, ``Python`` -> its version."""
_DISTRIBUTION_NAMES = {"yaml": "PyYAML", "sklearn": "scikit-learn"}
"""Distributions whose names differ from those of their modules; looking one up takes a fifth of a second."""
UNKNOWN = ""
"""The fingerprint of cells that were run before fingerprints existed."""


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of a grid if it were run now.

    Attributes:
        optimizers, tasks: Identifiers by label and by name.
        parts: The parts behind each identifier.
    """

    optimizers: Mapping[str, str]
    tasks: Mapping[str, str]
    parts: Mapping[str, Parts]

    def of(self, cell: Cell) -> str:
        """The fingerprint of a cell: its optimizer's identifier and its task's."""
        return f"{self.optimizers[cell.optimizer]}-{self.tasks[cell.task]}"


def current(plan: Plan) -> Fingerprints:
    """The current fingerprints of a plan, on this machine."""
    parts: dict[str, Parts] = {}

    def identifier(found: Parts) -> str:
        digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]
        parts[digest] = found
        return digest

    optimizers = {label: identifier(of_optimizer(label)) for label in plan.optimizers}
    by_family = {prefix: identifier(of_family(prefix)) for prefix in plan.families if not _own_tasks(prefix)}
    tasks = {}
    for name in plan.tasks:
        prefix = name.partition("/")[0]
        own = _own_tasks(prefix)
        tasks[name] = identifier(_of_own(name, own[name])) if own else by_family[prefix]
    return Fingerprints(optimizers, tasks, parts)


def _own_tasks(prefix: str) -> Mapping[str, Own]:
    import optibench_benchmarks

    family = optibench_benchmarks.families()[prefix]
    return family.own if isinstance(family, OwnFamily) else {}


def of_optimizer(label: str) -> Parts:
    """What determines an optimizer's proposals apart from its settings."""
    import optibench_optimizers

    entry, settings = optibench_optimizers.parse(batches.split(label)[0])
    if isinstance(entry, OwnEntry):
        return _of_own(entry.name, entry.own)
    code, wrapped = _code(entry.target, entry)
    packages = entry.versions() or wrapped
    identity = entry.identify(settings)
    return _parts(code, packages) | ({"weights or worker": identity} if identity is not None else {})


def of_family(prefix: str) -> Parts:
    """What determines the values of a family's tasks apart from their data."""
    import optibench_benchmarks
    from optibench.external.benchmark import ExternalFamily, worker

    family = optibench_benchmarks.families()[prefix]
    found = _parts(*_code(family.target, family))
    if isinstance(family, ExternalFamily):
        found["worker"] = worker(family.external)[1]
    return found


def _of_own(name: str, own: Own) -> Parts:
    """What determines the results of a user's object: its code and data, and the modules that it uses."""
    found, files, packages = own.code(), dict[str, str](), set[str]()
    for module in sorted(found.modules):
        origin, package = _origin(module), module.partition(".")[0]
        if origin is None or package in PACKAGES or any(_root(origin, module).glob("*.dist-info/RECORD")):
            packages.add(package)
        else:
            more, used = _code(f"{module}:", None)
            files, packages = files | more, packages | used.keys()
    return _parts({name: found.digest} | files, _versions(packages))


def _parts(code: Mapping[str, str], packages: Mapping[str, str]) -> dict[str, str]:
    found = {f"code {path}": digest for path, digest in code.items()}
    found |= {f"package {name}": version for name, version in packages.items()}
    return {**dict(sorted(found.items())), "Python": platform.python_version()}


def _code(target: str, entry: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Hashes of the code behind a target by path, and the versions of the packages that it imports."""
    if external.is_external(entry):
        folder, files = entry.external.folder, entry.external.files()
        return {os.path.relpath(path, folder): _hash(path.read_bytes()) for path in files}, {}
    module, _, attribute = target.partition(":")
    origin = _origin(module)
    if origin is None:  # defined in a notebook
        found = getattr(sys.modules.get(module), attribute, None)
        try:
            return {target: _hash(_compiled(ast.parse(textwrap.dedent(inspect.getsource(found)))))}, {}  # type: ignore[arg-type]
        except (TypeError, OSError, SyntaxError):
            return {target: "unknown"}, {}
    folder, package = _root(origin, module), module.partition(".")[0]
    own = _bench() if package in PACKAGES else dict.fromkeys(_own(folder, package), folder)
    files, imported = _reached(origin, tuple(own.items()))
    code = {str(path.relative_to(_home(path, own.values()))): digest for path, digest in files.items()}
    return code, _versions(imported)


def _origin(module: str) -> Path | None:
    """The file of a module; ``None`` if it has none."""
    if module == "__main__":
        found = getattr(sys.modules["__main__"], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        found = None if spec is None else spec.origin
    return Path(found).resolve() if found and Path(found).suffix == ".py" and Path(found).is_file() else None


def _root(origin: Path, module: str) -> Path:
    """The folder that holds the module's outermost package."""
    depth = 0 if module == "__main__" else module.count(".") + (origin.name == "__init__.py")
    return origin.parents[depth]


def _own(folder: Path, package: str) -> Iterator[str]:
    """The top-level names in a folder that belong to a package's distribution; all of the folder if it has none."""
    names = {path.stem if path.suffix == ".py" else path.name for path in folder.iterdir() if _importable(path)}
    if not any(folder.glob("*.dist-info/RECORD")) or package not in names:
        yield from names
        return
    distributions = _distributions()
    mine = set(distributions.get(package, ()))
    yield from (name for name in names if name == package or mine & set(distributions.get(name, ())))


def _importable(path: Path) -> bool:
    return (path.suffix == ".py" or path.is_dir()) and path.stem.isidentifier()


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@functools.cache
def _bench() -> Mapping[str, Path]:
    """The bench's own packages and the folders that hold them."""
    return {name: home(name) for name in PACKAGES}


def _home(path: Path, folders: Iterable[Path]) -> Path:
    """The one of some folders that contains a file."""
    return next(folder for folder in folders if folder in path.parents)


@functools.cache
def _reached(origin: Path, own: tuple[tuple[str, Path], ...]) -> tuple[dict[Path, str], frozenset[str]]:
    """The hashes of a file and all files that it imports directly or indirectly, and the other modules they import.

    Args:
        origin: The file.
        own: Top-level names whose files count, and the folder that contains each.
    """
    roots = dict(own)
    files: dict[Path, str] = {}
    outside: set[str] = set()
    waiting = [origin]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        digest, names = _read(path, path.stat().st_mtime_ns)
        files[path] = digest
        package = path.parent.relative_to(_home(path, roots.values())).parts
        for level, name in names:
            if level:
                name = ".".join((*package[: len(package) - level + 1], *filter(None, [name])))
            top = name.partition(".")[0]
            if top in roots:
                waiting += _files(roots[top], name)
            elif not level and top not in sys.stdlib_module_names:
                outside.add(top)
    return files, frozenset(outside)


def _files(folder: Path, name: str) -> Iterator[Path]:
    """The file of a module by its dotted name, or by the longest prefix of the name that is a module."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        path = folder.joinpath(*words[:length])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                yield candidate
                return


@functools.lru_cache(maxsize=2048)
def _read(path: Path, changed: int) -> tuple[str, tuple[tuple[int, str], ...]]:
    """A file's hash and its imports as (level, dotted name); ``changed`` is its modification time."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return _hash(path.read_bytes()), ()
    names: list[tuple[int, str]] = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = f"{node.module}." if node.module else ""
            names += [(node.level, f"{inside}{alias.name}") for alias in node.names]
    return _hash(_compiled(tree)), tuple(dict.fromkeys(names))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """All statements, lazy imports included, without expressions, which are most of a tree."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            found = getattr(node, block, ())
            waiting += found if isinstance(found, list) else ()


def _compiled(tree: ast.Module) -> bytes:
    """The compiled code of a tree without docstrings and line numbers."""
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body[:1] = [] if len(node.body) > 1 else [ast.copy_location(ast.Pass(), first)]
    return repr(plain(compile(tree, "", "exec", dont_inherit=True))).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _versions(modules: Iterable[str]) -> dict[str, str]:
    """The installed versions of the distributions that contain some modules."""
    names: set[str] = set()
    for module in modules:
        name = _DISTRIBUTION_NAMES.get(module, module)
        names |= {name} if installed(name) != "missing" else set(_distributions().get(module, ()))
    return {name: installed(name) for name in sorted(names, key=str.lower)}


def differences(old: Parts, new: Parts) -> list[str]:
    """What changed between two fingerprints, as texts."""
    found = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        kind, _, what = name.partition(" ")
        if before == after:
            continue
        if kind == "code":
            if old.get("Python") == new.get("Python"):  # syntax trees differ between versions of Python
                found.append(f"{what} {'is new' if before is None else 'is gone' if after is None else 'changed'}")
        else:
            found.append(f"{what or kind} {before or 'none'} -> {after or 'none'}")
    return found
