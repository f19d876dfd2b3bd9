"""Errors that the user can fix, reported as one sentence without a traceback."""


class UserError(Exception):
    """Something about the user's files or config is wrong.

    The message is one sentence: which file or key, what is wrong with it, how to fix it.
    """
