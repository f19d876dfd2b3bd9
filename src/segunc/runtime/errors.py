"""Mistakes that a user can mend in one sentence."""


class UserError(Exception):
    """Something about the user's files or config is wrong.

    The message is one sentence: which file or key, what is wrong with it, what to do.
    """
