"""Downloads the files of data sets; a file gets its name only once it is complete and correct.

A download goes to ``<name>.part``, continues there after a broken connection (in the same run or a later one) and is
renamed once its SHA-256 checksum is the manifest's; of an archive, only the file that is needed is kept. A wrong part
is deleted and downloaded once more from the start.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import shutil
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.data.store import ROOT_VARIABLE, DataFile, Dataset, Status, check, root, select, verify

MIRROR_VARIABLE = "OPTIBENCH_DATA_MIRROR"
ATTEMPTS = 5
"""Attempts in a row without a new byte before a download fails."""
FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one."""
TIMEOUT = 30.0
"""Seconds without an answer or a byte after which a connection counts as broken."""
_BLOCK = 1 << 16
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}

Advance = Callable[[int], None]


def fetch(names: Iterable[str] | None = None, *, progress: bool = True) -> list[Status]:
    """Download what is missing or corrupt of some data sets.

    The address of a file is the manifest's, or ``$OPTIBENCH_DATA_MIRROR/<path>`` if that variable is set.

    Args:
        names: The data sets; all of the manifest if ``None`` or empty.
        progress: Show a progress bar on standard error.

    Returns:
        The data sets' states afterwards, all ``present``.

    Raises:
        BenchmarkError: There is no data set of that name, the folder cannot be written, the disk is full, the server
            cannot be reached or does not have the right file. Files completed before that stay.
    """
    chosen = select(names)
    with _bar(progress) as start:
        for dataset in chosen:
            wanted = [file for file in dataset.files if check(file, root() / file.path)[0] != "present"]
            if wanted:
                _prepare(dataset, wanted)
            total = sum(_sent(file).size for file in dataset.files)
            advance = start(dataset.name, total)
            advance(total - sum(_sent(file).size for file in wanted))
            for file in wanted:
                _download(dataset, file, advance)
    return verify([dataset.name for dataset in chosen])


@contextlib.contextmanager
def _bar(visible: bool) -> Iterator[Callable[[str, int], Advance]]:
    """A progress bar; yields a function that adds a line and returns a function that advances it by some bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not visible) as bar:

        def start(name: str, size: int) -> Advance:
            task = bar.add_task(name, total=size)
            return lambda count: bar.advance(task, count)

        yield start


def _prepare(dataset: Dataset, wanted: list[DataFile]) -> None:
    """Make the folder and check that it is writable and has room for the files."""
    folder = root() / dataset.folder
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    # Checks the mode too: the superuser may write to read-only folders, but should not.
    if not existing.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(existing, os.W_OK):
        raise BenchmarkError(_unwritable(dataset, folder, "it is read-only"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchmarkError(_unwritable(dataset, folder, os.strerror(error.errno or 0))) from None
    needed = sum(_sent(file).size - _size(_part(root() / file.path)) for file in wanted)
    needed += sum(file.size for file in wanted if _sent(file) is not file)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BenchmarkError(_full(dataset, folder, f"{needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free"))


def _download(dataset: Dataset, file: DataFile, advance: Advance) -> None:
    """Download one file, with repeated attempts and at most one restart."""
    target = root() / file.path
    part, sent = _part(target), _sent(file)
    begun_anew = False
    failures, reached = 0, _size(part)
    show = _shower(advance, sent.size)
    try:
        with _exclusive(part, dataset) as stream:
            while True:
                problem = _receive(sent, stream, show)
                size = stream.seek(0, os.SEEK_END)
                show(size)
                if size >= sent.size:
                    state, wrong = check(sent, part)
                    if state == "present":
                        os.fsync(stream.fileno())
                        _put(file, sent, part, target)
                        return
                    stream.truncate(0)
                    if begun_anew:
                        part.unlink()
                        raise BenchmarkError(
                            f"What {_host(file)} has is not the file of the manifest ({wrong}); report it, or set "
                            f"{MIRROR_VARIABLE} to another source."
                        )
                    begun_anew, failures, reached = True, 0, 0
                    continue
                failures = 0 if size > reached else failures + 1
                reached = max(reached, size)
                if failures >= ATTEMPTS:
                    raise BenchmarkError(
                        f"Cannot download {file.path} from {_host(file)}: {problem}; check the connection and run "
                        f"`optibench data fetch {dataset.name}` again (it continues), or set {MIRROR_VARIABLE}."
                    )
                time.sleep(FIRST_PAUSE * 2 ** max(0, failures - 1) if failures else 0.0)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BenchmarkError(_full(dataset, target.parent, os.strerror(error.errno))) from None
        raise BenchmarkError(_unwritable(dataset, target.parent, os.strerror(error.errno or 0))) from None


def _sent(file: DataFile) -> DataFile:
    """What is downloaded for a file; a mirror has the file itself, not the archive that it is published in."""
    return file if os.environ.get(MIRROR_VARIABLE) else file.sent


def _put(file: DataFile, sent: DataFile, part: Path, target: Path) -> None:
    """Move a complete part into place; of an archive only the file is kept."""
    if sent is file:
        part.replace(target)
        return
    taken = target.with_name(target.name + ".member")
    try:
        with zipfile.ZipFile(part) as archive, archive.open(file.member) as source, taken.open("wb") as stream:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        state, wrong = check(file, taken)
        if state != "present":
            raise BenchmarkError(f"What the archive of {_host(file)} holds is not the file of the manifest: {wrong}.")
        taken.replace(target)
    finally:
        taken.unlink(missing_ok=True)
    part.unlink()


def _shower(advance: Advance, size: int) -> Callable[[int], None]:
    """Turn positions in a file of ``size`` bytes, which may also decrease, into steps of the progress bar."""
    shown = 0

    def show(position: int) -> None:
        nonlocal shown
        advance(min(position, size) - shown)
        shown = min(position, size)

    return show


def _receive(file: DataFile, stream: IO[bytes], show: Callable[[int], None]) -> str:
    """One attempt: append the server's answer to the part.

    Returns:
        What went wrong, in a few words; a broken connection is no error here: the caller checks the size.

    Raises:
        BenchmarkError: Trying again cannot help.
        OSError: Writing failed.
    """
    begin = stream.seek(0, os.SEEK_END)
    if begin >= file.size:
        return ""
    url = _url(file)
    try:
        headers = {"User-Agent": "optibench", "Accept-Encoding": "identity"}
        request = urllib.request.Request(url, headers=headers | ({"Range": f"bytes={begin}-"} if begin else {}))
    except ValueError:
        raise BenchmarkError(f"{url!r} is no address to download from; correct {MIRROR_VARIABLE}.") from None
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part does not fit what the server has
            stream.truncate(0)
        elif error.code not in _TEMPORARY:
            raise BenchmarkError(
                f"{_host(file)} answers {error.code} ({error.reason}) for {url}; set {MIRROR_VARIABLE} to a source "
                f"that has {file.path}, or copy it to {root() / file.path}."
            ) from None
        return f"the server answers {error.code} ({error.reason})"
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)
    with response:
        if begin and not _continues(response, begin):
            stream.truncate(0)
            begin = 0
        return _copy(response, stream, file.size, show)


def _copy(response: Any, stream: IO[bytes], size: int, show: Callable[[int], None]) -> str:
    """Append the answer to the part, up to one byte more than ``size`` (enough to see that it is too long)."""
    position = stream.seek(0, os.SEEK_END)
    try:
        while position <= size:
            try:
                block = response.read(min(_BLOCK, size + 1 - position))
            except (OSError, http.client.HTTPException) as error:
                return _reason(error)
            if not block:
                return "the connection was closed early"
            stream.write(block)
            position += len(block)
            show(position)
    finally:
        stream.flush()
    return ""


def _continues(response: Any, begin: int) -> bool:
    """Whether the answer is the requested rest, not the whole file."""
    answered: str = response.headers.get("Content-Range", "")
    return getattr(response, "status", 200) == 206 and answered.startswith(f"bytes {begin}-")


@contextlib.contextmanager
def _exclusive(part: Path, dataset: Dataset) -> Iterator[IO[bytes]]:
    """The part, open for reading and appending, and locked against another process that downloads it too."""
    with part.open("a+b") as stream:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BenchmarkError(
                    f"Another process is downloading {dataset.name}; wait for it, then run "
                    f"`optibench data fetch {dataset.name}` again."
                ) from None
        try:
            yield stream
        finally:
            if part.exists() and not _size(part):
                part.unlink()  # nothing to continue from


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _url(file: DataFile) -> str:
    mirror = os.environ.get(MIRROR_VARIABLE)
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(file.path)}" if mirror else file.url


def _host(file: DataFile) -> str:
    return urllib.parse.urlsplit(_url(file)).netloc or _url(file)


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(inner) or type(inner).__name__


def _unwritable(dataset: Dataset, folder: Path, why: str) -> str:
    return (
        f"Cannot write the data set {dataset.name} to {folder} ({why}); point {ROOT_VARIABLE} at a folder that you may "
        "write to, or unset it to use your cache."
    )


def _full(dataset: Dataset, folder: Path, why: str) -> str:
    return (
        f"No room for the data set {dataset.name} in {folder} ({why}); free some, or point {ROOT_VARIABLE} at another "
        "disk."
    )
