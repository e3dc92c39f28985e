"""Frozen reference values, which turn objective values into regrets that stay comparable over the years.

They are read from ``references.json``, one line for each task, and never depend on which optimizers ran. The package
has such a file, a plug-in may (:attr:`optibench_benchmarks.family.Family.references`), and references computed
without a checkout are in the user's data folder (:func:`home`). Contents:

* a synthetic function: its analytic minimum; the median and the worst of random configurations;
* a table: its exact best, median and worst over every configuration;
* a surrogate: the best value of a dedicated search; the median and the worst of random configurations;
* a training: likewise, with as many evaluations as are affordable, and the best is a mean over seeds
  (:mod:`optibench_benchmarks.references.search_training`).

The first two compute their own (``measure_reference() -> Reference``, which any benchmark may have).

:func:`compute` computes them, :func:`write` merges them into the file. A changed value increases the task's version,
and a later search never makes ``f_best`` worse. ``optibench references`` runs both.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from optibench_benchmarks.base import BenchmarkError, Reference

FILE = Path(__file__).parent / "references.json"
"""The committed references; written only in a checkout."""
NEAR_BEST, MAX_NEAR_BEST = 0.05, 0.02
"""Headlines leave out tasks on which more than this share of the configurations have a regret below ``NEAR_BEST``."""


@dataclass(frozen=True)
class Entry:
    """A task's reference and what is needed to recompute or check it.

    Attributes:
        name: The task's name.
        reference: The values.
        data_version: The task's data version when they were made; they do not hold for other data.
        best: A configuration with the value ``f_best``, where a search found it.
        seed: The seed of that search and of the random configurations.
        near_best: The share of the random configurations with a normalised regret below :data:`NEAR_BEST`, where a
            search counted it.
    """

    name: str
    reference: Reference
    data_version: str
    best: Mapping[str, Any] | None = None
    seed: int | None = None
    near_best: float | None = None


@dataclass(frozen=True)
class Change:
    """A change by :func:`write`: the entry ``old`` became ``new``."""

    kind: Literal["new", "changed", "unchanged"]
    old: Entry | None
    new: Entry


def lookup(name: str, *, data_version: str | None = None) -> Reference | None:
    """The frozen reference of a task; the newest version if several files have one.

    Args:
        name: The task's name.
        data_version: The version of the data at hand; references of other data do not apply.
    """
    entry = find(name, data_version=data_version)
    return None if entry is None else entry.reference


def find(name: str, *, data_version: str | None = None) -> Entry | None:
    """The entry with the reference that :func:`lookup` returns."""
    there = [entry for path in files() if (entry := entries(path).get(name)) is not None]
    return max((entry for entry in there if data_version in (None, entry.data_version)), key=_version, default=None)


def _version(entry: Entry) -> int:
    return entry.reference.version


def entries(path: Path | None = None) -> Mapping[str, Entry]:
    """Every entry of a file by name, nothing if there is no file; without a path the newest of all files."""
    if path is None:
        found: dict[str, Entry] = {}
        for entry in (entry for each in files() for entry in entries(each).values()):
            found[entry.name] = max(found.get(entry.name, entry), entry, key=_version)
        return found
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return _read(path, stat.st_mtime_ns, stat.st_size)


def files() -> list[Path]:
    """The paths of files with references, existing or not: the package's, the plug-ins', the user's."""
    from optibench_benchmarks.registry import families

    plug_ins = [path for family in families().values() if (path := family.references_file()) is not None]
    return [FILE, *plug_ins, user_file()]


def user_file() -> Path:
    """The path of the user's own references."""
    import platformdirs

    return Path(platformdirs.user_data_dir("optibench", appauthor=False)) / "references.json"


def home(name: str) -> Path:
    """The file that a task's reference is written to: its plug-in's, a checkout's, or else the user's own."""
    from optibench_benchmarks.registry import families

    family = families().get(name.partition("/")[0])
    own = family is not None and family.target.startswith("optibench_benchmarks.")
    path = FILE if own else family.references_file() if family is not None else None
    checkout = path is not None and any((folder / ".git").exists() for folder in path.parents)
    return path if path is not None and checkout and os.access(path.parent, os.W_OK) else user_file()


@functools.lru_cache(maxsize=32)
def _read(path: Path, _modified: int, _size: int) -> dict[str, Entry]:
    try:
        return {name: _entry(name, dict(fields)) for name, fields in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"The references in {path} cannot be read ({error}); restore the file, or remove it to make them again."
        ) from None


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    own = {key: fields.pop(key, None) for key in ("data_version", "best", "seed", "near_best")}
    return Entry(name, Reference(**fields), **own)


def write(made: Iterable[Entry], path: Path | None = None) -> list[Change]:
    """Merge entries into a file, which stays sorted and is replaced in one step: ``path``, or each task's :func:`home`.

    An entry with unchanged values changes nothing; changed values increase the version by one. Of two searches over the
    same data, the better ``f_best`` is kept.

    Raises:
        BenchmarkError: The file cannot be written.
    """
    return [_write(entry, path or home(entry.name), entries(path).get(entry.name)) for entry in made]


def _write(entry: Entry, path: Path, old: Entry | None) -> Change:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            merged = dict(entries(path))
            old = merged.get(entry.name, old)
            change = Change("new", None, entry) if old is None else _merge(old, entry)
            if change.kind != "unchanged":
                merged[entry.name] = change.new
                _replace(path, merged)
    except OSError as error:
        raise BenchmarkError(f"The references cannot be written to {path}: {os.strerror(error.errno or 0)}.") from None
    return change


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock out other processes that write references there."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, merged: Mapping[str, Entry]) -> None:
    lines = [f"{json.dumps(name)}: {_dump(merged[name])}" for name in sorted(merged)]
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _merge(old: Entry, new: Entry) -> Change:
    before, after = old.reference, new.reference
    if new.best is not None and old.best is not None and old.data_version == new.data_version:
        maximize = after.f_best > after.f_ref
        if (before.f_best > after.f_best) if maximize else (before.f_best < after.f_best):
            after, new = replace(after, f_best=before.f_best, source=before.source), replace(new, best=old.best)
    same = (before.f_best, before.f_ref, before.f_worst) == (after.f_best, after.f_ref, after.f_worst)
    if same and old.data_version == new.data_version:
        return Change("unchanged", old, old)
    version = before.version if same else before.version + 1
    return Change("changed", old, replace(new, reference=replace(after, version=version)))


def _dump(entry: Entry) -> str:
    reference = entry.reference
    fields: dict[str, Any] = {
        "f_best": reference.f_best,
        "f_ref": reference.f_ref,
        "f_worst": reference.f_worst,
        "source": reference.source,
        "version": reference.version,
        "data_version": entry.data_version,
    }
    if entry.best is not None:
        fields |= {"seed": entry.seed, "best": dict(entry.best)}
    if entry.near_best is not None:
        fields["near_best"] = entry.near_best
    return json.dumps(fields)
