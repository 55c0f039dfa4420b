"""What a user can mend: reported in one message, without a traceback."""


class UserError(Exception):
    """The command cannot do what it was asked for; the text says why, and what would help."""
