"""The manifest of data sets, their location and their state."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optibench_benchmarks.base import BenchmarkError, MissingDataError
from optibench_benchmarks.family import unknown

MANIFEST = Path(__file__).parent / "manifest.json"
ROOT_VARIABLE = "OPTIBENCH_DATA"
_CHUNK = 1 << 20

State = Literal["present", "missing", "corrupt"]


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: Its path relative to :func:`root`, with forward slashes.
        size: Its size in bytes.
        sha256: Its SHA-256 checksum, in hexadecimal.
        url: Its address, or that of the archive that it is in.
        member: Its path in a zip archive; empty if it is downloaded as it is.
        archive_size: The archive's size in bytes.
        archive_sha256: The archive's SHA-256 checksum.
    """

    path: str
    size: int
    sha256: str
    url: str
    member: str = ""
    archive_size: int = 0
    archive_sha256: str = ""

    @property
    def sent(self) -> DataFile:
        """What is downloaded: the archive, or the file itself."""
        return DataFile(self.path, self.archive_size, self.archive_sha256, self.url) if self.member else self


@dataclass(frozen=True)
class Dataset:
    """A data set of the manifest; attributes as there."""

    name: str
    description: str
    licence: str
    source: str
    files: tuple[DataFile, ...]

    @property
    def size(self) -> int:
        """Size of all its files, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def folder(self) -> str:
        """The folder that holds all its files, relative to :func:`root`."""
        return os.path.commonpath([str(Path(file.path).parent) for file in self.files])


@dataclass(frozen=True)
class Status:
    """A data set's state on this machine.

    Attributes:
        dataset: The data set.
        state: ``present``; ``missing`` (a file is not there); ``corrupt`` (a file is not the manifest's).
        problem: What is wrong with which file, in a few words; empty if nothing is.
        path: Its folder, existing or not.
    """

    dataset: Dataset
    state: State
    problem: str
    path: Path


def root() -> Path:
    """The folder with all data: ``$OPTIBENCH_DATA``, else ``optibench`` in the user's cache; it need not exist."""
    given = os.environ.get(ROOT_VARIABLE)
    if given:
        return Path(os.path.expanduser(given))  # noqa: PTH111  # Path's raises for an unknown user
    import platformdirs

    return Path(platformdirs.user_cache_dir("optibench", appauthor=False)) / "data"


@functools.cache
def _read(path: Path) -> dict[str, Dataset]:
    content = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    return {
        name: Dataset(
            name=name,
            description=entry["description"],
            licence=entry["licence"],
            source=entry["source"],
            files=tuple(DataFile(**file) for file in entry["files"]),
        )
        for name, entry in content.items()
    }


def manifest() -> dict[str, Dataset]:
    """Every data set of the manifest, by name."""
    return _read(MANIFEST)


def select(names: Iterable[str] | None) -> list[Dataset]:
    """The named data sets, all if ``names`` is ``None`` or empty.

    Raises:
        BenchmarkError: There is no data set of that name; the message gives the closest ones.
    """
    known = manifest()
    wanted = list(names or known)
    for name in wanted:
        if name not in known:
            raise BenchmarkError(unknown("data set", name, list(known), "optibench data list"))
    return [known[name] for name in dict.fromkeys(wanted)]


def locate(name: str) -> Path:
    """The folder of a data set whose files are all there (by size; :func:`version` and :func:`verify` read them).

    Raises:
        BenchmarkError: There is no data set of that name.
        MissingDataError: A file is missing or has the wrong size; the message has the command that fetches it.
    """
    return _present(name, _check_size).path


def member(archive: Path, ending: str) -> str:
    """The text of the file of a zip archive whose path ends so."""
    with zipfile.ZipFile(archive) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(ending))
        return opened.read(name).decode("utf-8")


def lacking(*names: str) -> str | None:
    """Why data sets cannot be used, with the commands that fetch them; ``None`` if all are there."""
    reasons = []
    for name in names:
        try:
            locate(name)
        except MissingDataError as error:
            reasons.append(str(error))
    return " ".join(reasons) or None


def version(*names: str) -> str:
    """What identifies the files of data sets: 12 digits of a checksum, after each file's is found to be the manifest's.

    A file is read once in a process, and again if it changes.

    Raises:
        BenchmarkError: There is no data set of that name.
        MissingDataError: A file is missing or not the manifest's; the message has the command that fetches it.
    """
    digest = hashlib.sha256()
    for name in names:
        for file in _present(name, functools.partial(check, digest=checksum)).dataset.files:
            digest.update(f"{file.path} {file.sha256}\n".encode())
    return digest.hexdigest()[:12]


def _present(name: str, test: Callable[[DataFile, Path], tuple[State, str]]) -> Status:
    (dataset,) = select([name])
    status = _status(dataset, test)
    if status.state != "present":
        raise MissingDataError(
            f"The data set {name} is {status.state} in {root()} ({status.problem}); get it with "
            f"`optibench data fetch {name}`, or point {ROOT_VARIABLE} at a folder that holds it."
        )
    return status


def datasets() -> list[Status]:
    """Every data set with its state on this machine, by presence and size of the files alone; cheap."""
    return [_status(dataset, _check_size) for dataset in select(None)]


def verify(names: Iterable[str] | None = None, *, progress: Callable[[str], None] | None = None) -> list[Status]:
    """Compare the files of data sets with the manifest's checksums.

    Args:
        names: The data sets; all of the manifest if ``None`` or empty.
        progress: Called with each data set's name before its files are read.

    Raises:
        BenchmarkError: There is no data set of that name.
    """
    found = []
    for dataset in select(names):
        if progress is not None:
            progress(dataset.name)
        found.append(_status(dataset, check))
    return found


def sha256(path: Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """The same, cached while the file does not change.

    Raises:
        OSError: It cannot be read.
    """
    stat = path.stat()
    return _remembered(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _remembered(path: Path, _modified: int, _size: int) -> str:
    return sha256(path)


def _status(dataset: Dataset, test: Callable[[DataFile, Path], tuple[State, str]]) -> Status:
    folder = root() / dataset.folder
    worst: tuple[State, str] = ("present", "")
    for file in dataset.files:
        state, problem = test(file, root() / file.path)
        if state == "missing":
            return Status(dataset, state, problem, folder)
        if state == "corrupt" and worst[0] == "present":
            worst = (state, problem)
    return Status(dataset, *worst, folder)


def _check_size(file: DataFile, path: Path) -> tuple[State, str]:
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "missing", f"there is no {file.path}"
    except OSError as error:
        return "missing", f"{file.path} cannot be read: {error.strerror}"
    if size != file.size:
        return "corrupt", f"{file.path} has {size} bytes instead of {file.size}"
    return "present", ""


def check(file: DataFile, path: Path, digest: Callable[[Path], str] = sha256) -> tuple[State, str]:
    """Compare one file with its manifest entry, checksum included; gives the state and what is wrong."""
    state, problem = _check_size(file, path)
    if state != "present":
        return state, problem
    try:
        found = digest(path)
    except OSError as error:
        return "missing", f"{file.path} cannot be read: {error.strerror}"
    if found != file.sha256:
        return "corrupt", f"{file.path} has the checksum {found[:12]}... instead of {file.sha256[:12]}..."
    return "present", ""
