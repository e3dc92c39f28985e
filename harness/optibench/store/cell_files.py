"""Finished cells on disk: one Arrow IPC file each, renamed into place once it is whole.

Arrow and not Parquet, because a cell is small and there are many: reading one takes 25 microseconds of processor, not
600, and writing one a tenth. What is shared and kept is the compacted table, which is Parquet. Cells that earlier
versions wrote as Parquet are read as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optibench.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".arrow", ".parquet")
BATCH = 1000
"""Cells that are held one by one before they are made one table."""


class CellFiles:
    """The ``cells`` folder of a run.

    Args:
        folder: Where it is; the files lie in subfolders by the first two characters of their cell's key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The file of a cell, or where it will be."""
        arrow, parquet = (self.folder / key[:2] / f"{key}{suffix}" for suffix in SUFFIXES)
        return parquet if parquet.exists() and not arrow.exists() else arrow

    def written(self) -> dict[str, int]:
        """When each finished cell's file was written (nanoseconds of Unix time), by the cell's key."""
        found: dict[str, int] = {}
        if not self.folder.is_dir():
            return found
        with os.scandir(self.folder) as folders:
            for folder in folders:
                with os.scandir(folder.path) as files:
                    for file in files:
                        key, suffix = os.path.splitext(file.name)  # noqa: PTH122 (a hundred thousand of them)
                        if suffix in SUFFIXES:
                            found[key] = file.stat().st_mtime_ns
        return found

    def remove_partial(self) -> None:
        """Remove what killed processes left half-written in the run folder; nobody may be writing."""
        run = self.folder.parent
        for path in (*self.folder.glob("*/*.tmp"), *run.glob("*.tmp"), *run.glob("journal/*.tmp")):
            path.unlink(missing_ok=True)

    def write(self, key: str, table: pa.Table) -> None:
        """Put a finished cell in place.

        Raises:
            OSError: The disk is full, or the folder cannot be written; nothing is left behind.
        """
        import pyarrow as pa

        path = self.folder / key[:2] / f"{key}.arrow"
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
            try:
                # words and not a Path, which would take as long as the reading
                with open(f"{self.folder}/{key[:2]}/{key}.arrow", "rb", buffering=0) as file:  # noqa: PTH123
                    content = file.read()
            except FileNotFoundError:
                return _parquet(self.path(key))
            return pa.ipc.open_file(pa.py_buffer(content)).read_all()
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error

    def damaged(self, key: str) -> str | None:
        """What is wrong with a cell's file; ``None`` if it is whole."""
        try:
            self.read(key).validate()
        except (ValueError, OSError) as error:
            return str(error)[:200]
        return None

    def tables(self, keys: Sequence[str]) -> Iterator[pa.Table]:
        """The cells' trials in that order, some at a time: memory for all of them as small tables would be tenfold.

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
            alike = all(table.schema.equals(tables[0].schema) for table in tables)  # an earlier version's are not
            whole = pa.concat_tables(tables, promote_options="none" if alike else "default")
            yield whole.unify_dictionaries().combine_chunks()


def _parquet(path: Path) -> pa.Table:
    """A cell as an earlier version wrote it."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False)


class DamagedError(Exception):
    """A cell's file cannot be read: its path, and why."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path, text)
        self.path, self.text = path, text
