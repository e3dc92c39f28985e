"""The data that benchmarks need and that is too big to ship: where it lies, whether it is sound, how to get it.

Data lies under one folder, :func:`root`: the environment variable ``OPTIBENCH_DATA`` or, without it, the user's
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
    "root",
    "verify",
    "version",
]


def __getattr__(name: str) -> Any:
    """Import what downloads when it is asked for: benchmarks only look for data, and should not pay for HTTP."""
    if name == "fetch":
        from optibench_benchmarks.data.download import fetch

        return fetch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
