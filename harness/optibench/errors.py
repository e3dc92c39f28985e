"""The errors a user can fix: shown as one sentence, with exit status 2."""

from __future__ import annotations


class HarnessError(Exception):
    """A mistake the user can fix; the message is one sentence that says what, where and how."""


def reason(error: BaseException) -> str:
    """The first line of what an error says, or what it is called; for a sentence of our own."""
    lines = message(error).strip().splitlines()
    plain = type(error) in (ValueError, RuntimeError) or isinstance(error, OSError)
    return lines[0][:200] if lines and plain else f"{type(error).__name__}{': ' + lines[0][:200] if lines else ''}"


def message(error: BaseException) -> str:
    """What an error says, whatever its ``__str__`` does: text that UTF-8 can hold."""
    try:
        return storable(str(error))
    except BaseException as raised:
        return f"(its text cannot be made: {type(raised).__name__})"


def storable(text: str) -> str:
    """A text that UTF-8 can hold: what it cannot, such as half of a surrogate pair, is written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
