"""Command lines of any length: long ones are written to a file, which `@FILE` names.

Linux refuses a shell command of more than 128 KiB, and the scores of a large grid have more paths than that.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

FOLDER = Path(".snakemake/segunc/arguments")
LONG = 2**14
"""Characters from which words go to a file."""


def command_words(words: Sequence[str]) -> str:
    """The words for a shell command: each quoted, or, if they are long, `@FILE` in place of the longest.

    The file is named after its content, so that one command never reads another's. A dry run in a folder that cannot be
    written to has no file, and runs nothing.
    """
    return " ".join(quote(word if len(word) < LONG else _in_file([word])) for word in words)


def option(name: str, values: Sequence[str]) -> str:
    """The option `--name` with any number of values."""
    if sum(map(len, values)) < LONG:
        return " ".join(["--" + name, *map(quote, values)])
    return f"--{name} {quote(_in_file(values))}"


def _in_file(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    path = FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    if not path.exists():
        with suppress(OSError, UserError), write_atomically(path) as beside:
            beside.write_text(text, encoding="utf-8")
    return f"@{path}"


def expanded(words: Iterable[str]) -> list[str]:
    """The words of a command line, with those in files, as far as there are files."""
    found = []
    for word in words:
        with suppress(OSError):
            found += Path(word[1:]).read_text(encoding="utf-8").split("\n") if word.startswith("@") else [word]
    return found
