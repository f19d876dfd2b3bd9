"""The documentation: its pages, the fenced blocks in them, and the commands in the text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.workflow import ROOT

# Of the folder of results, its README alone: a run writes there.
FOUND = [path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]]
DOCUMENTS = sorted(path for path in FOUND if path.parts[0] != "results" or path.name == "README.md")


class Block(NamedTuple):
    """A fenced block."""

    document: Path
    language: str
    text: str


def read(name: str | Path) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a page; those in a list are indented."""
    for indent, language, text in re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", read(document), re.MULTILINE | re.DOTALL):
        yield Block(document, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))


def prose(document: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", read(document), flags=re.MULTILINE | re.DOTALL)


def commands(block: Block) -> Iterator[str]:
    """The single commands of a block in a shell's language, without comments."""
    for line in block.text.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        whole = re.split(r"(?:^| +)# ", line.removeprefix("$ "))[0].strip()
        yield from filter(None, whole.split(" && "))
