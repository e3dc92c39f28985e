"""The errors a user can mend: shown as one sentence, with exit status 2."""

from __future__ import annotations


class HarnessError(Exception):
    """A mistake the user can mend; the message is one sentence that says what, where and how."""
