"""The errors a user can mend: shown as one sentence, with exit status 2."""

from __future__ import annotations


class HarnessError(Exception):
    """A mistake the user can mend; the message is one sentence that says what, where and how."""


def reason(error: BaseException) -> str:
    """The first line of what an error says, or what it is called; for a sentence of our own."""
    lines = str(error).strip().splitlines()
    plain = type(error) in (ValueError, RuntimeError) or isinstance(error, OSError)
    return lines[0][:200] if lines and plain else f"{type(error).__name__}{': ' + lines[0][:200] if lines else ''}"
