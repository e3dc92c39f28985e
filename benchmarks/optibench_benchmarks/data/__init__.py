"""Data sets of benchmarks that are too big to ship: location, checksums, download.

All data is in one folder, :func:`root`: the environment variable ``OPTIBENCH_DATA`` or, without it, the user's
cache. ``benchmarks/optibench_benchmarks/data/manifest.json`` lists every data set with its files, sizes, SHA-256
checksums, licence and upstream address. To add one, put its files below :func:`root`, write their entries (``path``
relative to that folder, ``size``, ``sha256``, ``url``) into the manifest and run ``optibench data verify``.
"""

from typing import TYPE_CHECKING, Any

from optibench_benchmarks.data.store import (
    ROOT_VARIABLE,
    DataFile,
    Dataset,
    Status,
    checksum,
    datasets,
    lacking,
    locate,
    manifest,
    member,
    root,
    verify,
    version,
)

if TYPE_CHECKING:
    from optibench_benchmarks.data.download import fetch

__all__ = [
    "ROOT_VARIABLE",
    "DataFile",
    "Dataset",
    "Status",
    "checksum",
    "datasets",
    "fetch",
    "lacking",
    "locate",
    "manifest",
    "member",
    "root",
    "verify",
    "version",
]


def __getattr__(name: str) -> Any:
    """Import downloads on first use: benchmarks that only read data should not import HTTP."""
    if name == "fetch":
        from optibench_benchmarks.data.download import fetch

        return fetch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
