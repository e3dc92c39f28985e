"""Finished cells on disk: one Arrow IPC file each, renamed into place once it is complete.

The format is Arrow instead of Parquet because cells are small and many: reading one takes 25 instead of 600
microseconds of CPU time, and writing one takes a tenth. The compacted table, which is published, is Parquet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".arrow"
BATCH = 1000
"""Cells that are read one by one before they are joined into one table."""


class CellFiles:
    """The ``cells`` folder of a run.

    Args:
        folder: Its path; the files are in subfolders named after the first two characters of the cells' keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The path of a cell's file, which may not exist yet."""
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def written(self) -> dict[str, int]:
        """When each finished cell's file was written (nanoseconds of Unix time), by the cell's key."""
        found: dict[str, int] = {}
        if not self.folder.is_dir():
            return found
        with os.scandir(self.folder) as folders:
            for folder in folders:
                with os.scandir(folder.path) as files:
                    for file in files:
                        key, suffix = os.path.splitext(file.name)  # noqa: PTH122 (there may be a hundred thousand)
                        if suffix == SUFFIX:
                            found[key] = file.stat().st_mtime_ns
        return found

    def remove_partial(self) -> None:
        """Remove half-written files of killed processes from the run folder; no other process may be writing."""
        run = self.folder.parent
        for path in (*self.folder.glob("*/*.tmp"), *run.glob("*.tmp"), *run.glob("journal/*.tmp")):
            path.unlink(missing_ok=True)

    def write(self, key: str, table: pa.Table) -> None:
        """Store a finished cell.

        Raises:
            OSError: The disk is full, or the folder cannot be written; nothing is left behind.
        """
        import pyarrow as pa

        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        write_atomically(path, memoryview(sink.getvalue()))

    def read(self, key: str) -> pa.Table:
        """A finished cell's trials.

        Raises:
            ValueError, OSError: The file is damaged.
        """
        import pyarrow as pa

        try:
            # text instead of a Path, which would take as long as the reading itself
            with open(f"{self.folder}/{key[:2]}/{key}{SUFFIX}", "rb", buffering=0) as file:  # noqa: PTH123
                return pa.ipc.open_file(pa.py_buffer(file.read())).read_all()
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error

    def damaged(self, key: str) -> str | None:
        """What is wrong with a cell's file; ``None`` if it can be read."""
        try:
            self.read(key).validate()
        except (ValueError, OSError) as error:
            return str(error)[:200]
        return None

    def tables(self, keys: Sequence[str]) -> Iterator[pa.Table]:
        """The cells' trials in that order, in chunks: all cells as small tables would take ten times the memory.

        Raises:
            DamagedError: A file is damaged.
        """
        import pyarrow as pa

        for start in range(0, len(keys), BATCH):
            tables = []
            for key in keys[start : start + BATCH]:
                try:
                    tables.append(self.read(key))
                except (ValueError, OSError) as error:
                    raise DamagedError(self.path(key), str(error)) from error
            alike = all(
                table.schema.equals(tables[0].schema) for table in tables
            )  # earlier versions have other columns
            whole = pa.concat_tables(tables, promote_options="none" if alike else "default")
            yield whole.unify_dictionaries().combine_chunks()


class DamagedError(Exception):
    """A cell's file cannot be read; holds its path and the reason."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path, text)
        self.path, self.text = path, text
