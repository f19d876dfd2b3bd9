"""Markdown and captions as HTML."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from jinja2 import Environment
from markdown_it import MarkdownIt

# CommonMark and tables. HTML in the text stays text, because labels and messages are the user's.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Part(NamedTuple):
    """A part of a document, as HTML."""

    title: str
    body: str


def to_html(markdown: str) -> str:
    """Markdown as HTML.

    >>> to_html("**undecided** for `unet`, <b>")
    '<p><strong>undecided</strong> for <code>unet</code>, &lt;b&gt;</p>\\n'
    """
    return _MARKDOWN.render(markdown)


def caption(text: str, wildcards: Mapping[str, str]) -> str:
    """A caption of Snakemake's report as HTML.

    text: reStructuredText of paragraphs, ``literals`` and **strong** words, which are the same in Markdown, and fields
    such as `{{ snakemake.wildcards.dataset }}`; wildcards: what these fields stand for.
    """
    filled = Environment(autoescape=False).from_string(text).render(snakemake={"wildcards": wildcards})  # noqa: S701
    return to_html(filled)


def parts(markdown: str) -> tuple[str, list[Part]]:
    """A document without its title as HTML: what stands before its first section, and the sections.

    >>> parts("# Claims\\n\\nThree.\\n\\n## 1. First\\n\\nYes.\\n")
    ('<p>Three.</p>\\n', [Part(title='1. First', body='<p>Yes.</p>\\n')])
    """
    before, *sections = re.split(r"^## +", re.sub(r"\A# .*\n", "", markdown), flags=re.MULTILINE)
    split = (section.partition("\n") for section in sections)
    return to_html(before), [Part(title.strip(), to_html(body)) for title, _, body in split]
