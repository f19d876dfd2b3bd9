"""Errors that the user can fix, reported as one sentence without a traceback."""

import unicodedata


class UserError(Exception):
    """Something about the user's files or config is wrong.

    The message is one sentence: which file or key, what is wrong with it, how to fix it.
    """


def printable(text: str) -> str:
    """The text with control and format characters as escapes (`\\x1b`), line breaks excepted.

    File names and the contents of foreign files may contain commands to the terminal, or change the direction of
    writing.

    >>> printable("a\\x1b[31mb\\u202ec")
    'a\\\\x1b[31mb\\\\u202ec'
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\n"
        else character
        for character in text
    )
