"""The one error that ``optiformer`` raises for mistakes a user can fix."""


class ModelError(Exception):
    """A mistake the user can fix; the message is one sentence that says what, where and how."""
