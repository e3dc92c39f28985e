"""Errors that the user can fix: shown as one sentence, with exit status 2."""

from __future__ import annotations


class HarnessError(Exception):
    """A mistake that the user can fix; the message is one sentence that says what, where and how to fix it."""


def reason(error: BaseException) -> str:
    """The first line of an error's message, or its class's name, for use in a message."""
    lines = message(error).strip().splitlines()
    plain = type(error) in (ValueError, RuntimeError) or isinstance(error, OSError)
    return lines[0][:200] if lines and plain else f"{type(error).__name__}{': ' + lines[0][:200] if lines else ''}"


def message(error: BaseException) -> str:
    """An error's message as valid UTF-8, even if its ``__str__`` fails."""
    try:
        return storable(str(error))
    except BaseException as raised:
        return f"(its text cannot be made: {type(raised).__name__})"


def storable(text: str) -> str:
    """The text as valid UTF-8: other characters, such as half of a surrogate pair, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
