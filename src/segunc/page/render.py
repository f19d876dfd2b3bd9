"""The page as HTML, from its parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import YamlLexer
from yaml import safe_dump

from segunc.page.browser import Score, Tested
from segunc.page.facts import Step
from segunc.page.specs import FOLDER, PROGRAM, STYLE, TEMPLATE
from segunc.page.tables import Table
from segunc.page.text import Part

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def duration(seconds: float) -> str:
    """A duration for reading.

    >>> duration(4.24), duration(200), duration(8000)
    ('4.2 s', '3 min 20 s', '2 h 13 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {left} s"


_ENVIRONMENT.filters["duration"] = duration


class FigureView(NamedTuple):
    """A figure of the page."""

    name: str
    title: str
    section: str
    caption: str
    """HTML"""
    png: str
    """In base64."""
    pdf: str
    """Path from the page."""


class TableView(NamedTuple):
    """A table of the page."""

    name: str
    caption: str
    """HTML"""
    table: Table
    csv: str
    """Path from the page."""


class TestedView(NamedTuple):
    """The test images of a dataset."""

    label: str
    models: Sequence[str]
    """Labels."""
    tested: Tested


class Page(NamedTuple):
    """All that the page shows. Texts that are not marked as HTML are escaped."""

    answer: str
    """HTML; empty if the run has none."""
    further: Sequence[Part]
    """Sections of the answer."""
    claims: str
    """HTML: their verdicts; empty if the run has none."""
    claim_by_claim: Sequence[Part]
    tested: Sequence[TestedView]
    scores: Sequence[Score]
    outcomes: Sequence[str]
    figures: Sequence[FigureView]
    tables: Sequence[TableView]
    library: str
    """HTML: the library of tables."""
    missing: Sequence[tuple[str, str]]
    """What the run lacks, and why."""
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    commit: str | None
    machine: str
    steps: Sequence[Step]
    first: str
    last: str
    """When the first and the last result was computed, in UTC; empty if nothing is recorded."""


def render(page: Page) -> str:
    """The page as one HTML document."""
    formatter = HtmlFormatter(nowrap=True)
    config = highlight(safe_dump(page.config, sort_keys=False, allow_unicode=True), YamlLexer(), formatter)
    style, program = ((FOLDER / name).read_text(encoding="utf-8") for name in (STYLE, PROGRAM))
    return _ENVIRONMENT.get_template(TEMPLATE).render(
        **page._asdict(),
        config_html=config,
        style=style,
        program=program,
        sections=list(dict.fromkeys(figure.section for figure in page.figures)),
        index={
            "scores": [score._asdict() for score in page.scores],
            "outcomes": page.outcomes,
            "datasets": [_index(view) for view in page.tested],
        },
    )


def _index(view: TestedView) -> dict[str, Any]:
    models = [{"label": label, **own} for label, own in zip(view.models, view.tested.data["models"], strict=True)]
    return {**view.tested.data, "label": view.label, "models": models}
