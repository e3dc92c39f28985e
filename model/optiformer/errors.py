"""The one error that ``optiformer`` raises for mistakes a user can fix, and how a command shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ModelError(Exception):
    """A mistake the user can fix; the message is one sentence that says what, where and how."""


def command(main: Callable[[], object]) -> None:
    """Run the main function of ``python -m optiformer...``; a mistake is one sentence, and exit status 2.

    Raises:
        SystemExit: The user made a mistake.
    """
    try:
        main()
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
