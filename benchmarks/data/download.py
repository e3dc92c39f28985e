"""Downloads data sets (see the next commit)."""

from collections.abc import Iterable


def fetch(names: Iterable[str]) -> None:
    """Not there yet."""
    raise NotImplementedError
