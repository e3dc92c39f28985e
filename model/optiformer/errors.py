"""The one error that ``optiformer`` raises for mistakes a user can mend."""


class ModelError(Exception):
    """A mistake the user can mend; the message is one sentence that says what, where and how."""
