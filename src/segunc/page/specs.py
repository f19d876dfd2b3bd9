"""The spec of the report, as its program reads it from JSON. `segunc.config.specs` writes it."""

import hashlib
from pathlib import Path
from typing import Any, TypedDict

TEMPLATE, STYLE, PROGRAM = "page.html.j2", "page.css", "page.js"
FOLDER = Path(__file__).parent
"""Where they are."""


class Shown(TypedDict):
    """A figure or a table."""

    name: str
    """Of its file, without the suffix."""
    title: str
    section: str
    caption: str
    """In reStructuredText, with fields such as `{{ snakemake.wildcards.dataset }}`, as Snakemake's report has it."""
    wildcards: dict[str, str]
    """What these fields stand for, by name."""


class Tested(TypedDict):
    """A dataset whose test images are shown."""

    dataset: str
    label: str
    models: list[str]
    """Those with samples and scores, in the order of the files."""


class Absent(TypedDict):
    """A result that the run lacks."""

    what: str
    why: str


class PageSpec(TypedDict):
    """Of the whole page."""

    config: dict[str, Any]
    """The experiment, for reading."""
    labels: dict[str, str]
    """Of models, by id."""
    seed: int
    """Of the training runs whose test images are shown."""
    tested: list[Tested]
    """In the order of the files."""
    figures: list[Shown]
    tables: list[Shown]
    missing: list[Absent]
    assets: dict[str, str]
    """Digests of the page's template, style and program: what code digests do not cover."""


def asset_digests() -> dict[str, str]:
    """Twelve hex digits of the SHA-256 of the page's template, style and program, by name."""
    names = (TEMPLATE, STYLE, PROGRAM)
    return {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12] for name in names}
