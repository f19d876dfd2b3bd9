"""What all figures share: the look, labels and order of ids, text in place of missing data, and saving.

Matplotlib's settings are those of the figures only while `applied` holds: importing a figure changes none.
"""

import re
import sys
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.lines import Line2D
from matplotlib.text import Text

from segunc.figures.specs import FigureSpec, Look, TableSpec
from segunc.level_rows import is_levels
from segunc.runtime.files import write_atomically

SMALL = 7.0
"""Points: the smallest font size in any figure."""
LINE = 0.125
"""Inches: height of a line of that size."""
ENTRY, ENTRY_SIZE = 0.46, SMALL + 0.5
"""Inches that an entry of a legend needs for its handle and the space behind it, and points of its text."""
INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"
FEWEST = 5
"""What is drawn from fewer images or patients than this is marked."""
FEW = f"fewer than {FEWEST} images or patients"

BASELINE = "baseline_"
"""Prefix of the ids of baselines, which share the `model` column of the tables with the models."""

POINTS = {
    "models": {"mec": "white", "mew": 0.4},
    "strategies": {"mfc": "white", "mew": 0.9},
}
"""Markers of models are filled, those of strategies open."""
DASHES = ((0, ()), (0, (5, 1.2)), (0, (2.2, 1)), (0, (6, 1.2, 1.2, 1.2)))
"""Of the lines of strategies; those of models are solid."""
MARKERS = {"o": 1, "s": 1, "^": 1.1, "D": 1, "v": 1.1, "P": 1.3, "X": 1.3, "<": 1.1, "*": 1.8, ">": 1.1}
"""Sizes at which the markers seem equal, in the order in which their lines get dashes."""

# Fonts with Chinese, Japanese and Korean, which the default font lacks; the first installed one that has a character
# draws it.
CJK = [
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAexGothic", "NanumGothic"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "SimHei", "MS Gothic"),
]

SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL + 0.5,
    "ytick.labelsize": SMALL + 0.5,
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "text.parse_math": False,  # a label may contain a $
    "pdf.fonttype": 42,  # TrueType: some journals reject the default, Type 3
}
"""Of matplotlib, where they differ from its defaults."""


@contextmanager
def applied() -> Iterator[None]:
    """Within, matplotlib has the settings of figures, whatever a user's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**SETTINGS, "font.family": list(fonts())})
        yield


@cache
def fonts() -> tuple[str, ...]:
    """The default font, and the installed ones for what it lacks."""
    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in CJK if name in installed))


def label(spec: FigureSpec, family: str, name: str) -> str:
    """What to print for an id of a family; the id itself if it has no label."""
    return spec["labels"].get(family, {}).get(name, name)


def look(spec: FigureSpec, family: str, name: str) -> Look:
    """Colour and marker of a model or strategy."""
    return spec["looks"].get(family, {}).get(name) or Look(colour=GREY, marker="o")


def line(spec: FigureSpec, family: str, name: str, size: float = 4.0) -> Line2D:
    """A line without points in the look of a model or strategy, with its label; size: of its markers, in points."""
    colour, marker = look(spec, family, name)["colour"], look(spec, family, name)["marker"]
    dashes = DASHES[list(MARKERS).index(marker) % len(DASHES)] if family == "strategies" else "solid"
    of_line = {"color": colour, "marker": marker, "ls": dashes, "lw": 1.2, "zorder": 3, **POINTS[family]}
    of_line["ms"] = size * MARKERS[marker]
    return Line2D([], [], **of_line, label=label(spec, family, name))  # type: ignore[arg-type]


def ordered(spec: FigureSpec, family: str, ids: Iterable[str]) -> list[str]:
    """The different ids: those with a label in the order of the labels, then the others in their own order."""
    present, labels = list(dict.fromkeys(ids)), spec["labels"].get(family, {})
    return [name for name in labels if name in present] + [name for name in present if name not in labels]


def all_of(spec: FigureSpec, family: str, ids: Iterable[str] = ()) -> list[str]:
    """All ids with a label, in the order of the labels, then the others."""
    return ordered(spec, family, [*spec["labels"].get(family, {}), *ids])


def models_among(spec: FigureSpec, ids: Iterable[str]) -> list[str]:
    """The models among the ids, without baselines and level sets, in the order of the labels."""
    found = ordered(spec, "models", ids)
    return [name for name in found if not name.startswith(BASELINE) and not is_levels(name)]


def count(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def interval(spec: TableSpec) -> str:
    """`95% interval`"""
    return f"{100 * spec['confidence']:g}% interval"


def few(table: pd.DataFrame) -> pd.Series:
    """Whether a row is of 1 to 4 images or patients; table: with their numbers."""
    return table[["n_images", "n_patients"]].min(axis=1).between(1, FEWEST - 1)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Adds axes to a figure; all lengths are in inches, from the figure's top left corner."""
    full_width, full_height = figure.get_size_inches()
    box = (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    return figure.add_axes(box)


def hide_axis(axes: Axes) -> None:
    """Removes ticks and frame from axes that show a picture."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@cache
def width_of(line: str, size: float, bold: bool = False) -> float:
    """Width of a line of text in inches, at least that of any resolution (hinting); size: of the font, in points."""
    renderer = FigureCanvasAgg(Figure(dpi=300)).get_renderer()
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `save` names the characters that no font has
        return renderer.get_text_width_height_descent(line, font, ismath=False)[0] / 300 * 1.05


def wrapped(text: str, width: float, size: float, *, bold: bool = False, lines: int = sys.maxsize) -> str:
    """The text in lines of at most `width` inches, with an ellipsis in the last of `lines` lines if that is too few.

    Lines end at spaces; words that are wider than a line are broken, behind a slash, hyphen or underscore if there is
    one. size: of the font, in points.
    """
    rows: list[str] = []
    rest = text.strip()
    while rest:
        fits = max(1, bisect_right(range(1, len(rest) + 1), width, key=lambda n: width_of(rest[:n], size, bold)))
        if fits < len(rest) and len(rows) == lines - 1:
            # Labels often differ at the end alone.
            ends = [f"{rest[:n].rstrip()}…{rest[-n:].lstrip()}" for n in range(1, len(rest) // 2)]
            fits = bisect_right(ends, width, key=lambda both: width_of(both, size, bold))
            return "\n".join([*rows, ends[fits - 1] if fits else "…"])
        at_break = re.match(r".*\s|.*/(?=.)|.*[-_](?=.)", rest[: fits + 1])
        end = at_break.end() if at_break and fits < len(rest) else fits
        rows.append(rest[:end].rstrip())
        rest = rest[end:]
    return "\n".join(rows)


def mark_missing(axes: Axes, x: float, y: float) -> None:
    """Writes `no data` at a point in data coordinates, so that the gap is not read as zero."""
    axes.text(x, y, "no data", rotation=90, ha="center", va="center", color=GREY, fontsize=SMALL)


def mark_empty(axes: Axes, reason: str = "no data") -> None:
    """Writes in the middle of empty axes why they are empty, and removes the ticks of y."""
    axes.set(yticks=[])
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=GREY)


def notes(width: float, missing: str, few: str = "") -> list[str]:
    """Lines of SMALL text, at most `width` inches wide: what has no data, and what has few."""
    texts = [f"{what}: {names}" for what, names in (("no data", missing), (FEW, few)) if names]
    return [line for text in texts for line in wrapped(text, width, SMALL).split("\n")]


def empty_figure(spec: FigureSpec, reason: str) -> Figure:
    """A figure with nothing but the reason why it is empty."""
    figure = Figure(figsize=(spec["width"], 0.8))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=GREY, wrap=True)
    return figure


def legend(figure: Figure, handles: Sequence[Artist], left: float, top: float, width: float) -> None:
    """Adds a legend with as many columns as fit into `width`; lengths are in inches, from the top left corner."""
    for handle in handles:
        handle.set_label(wrapped(str(handle.get_label()), width - ENTRY, ENTRY_SIZE, lines=1))
    full_width, full_height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left / full_width, 1 - top / full_height),
        borderaxespad=0,
        borderpad=0,
        ncols=_columns(handles, width),
        handlelength=1.6,
        columnspacing=1.4,
        labelspacing=0.35,
    )


def legend_height(handles: Sequence[Artist], width: float) -> float:
    """Height of such a legend in inches."""
    return 0.16 * -(-len(handles) // _columns(handles, width))


def _columns(handles: Sequence[Artist], width: float) -> int:
    sizes = [ENTRY + width_of(str(handle.get_label()), ENTRY_SIZE) for handle in handles]
    for columns in range(len(sizes), 1, -1):
        parts = np.array_split(sizes, columns)  # matplotlib, too, fills the first columns with more entries
        if sum(part.max() for part in parts) <= width:
            lines = -(-len(sizes) // columns)
            return -(-len(sizes) // lines)  # as few columns as this number of lines needs
    return 1


@applied()
def save(figure: Figure, png: Path, pdf: Path) -> None:
    """Writes the figure to both files. They contain no date and no program, so the same figure gives the same bytes.

    Characters that no font has become boxes; one line on stderr names the texts.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with write_atomically(png) as path:
            figure.savefig(path, dpi=300, metadata={"Software": None})
        with write_atomically(pdf) as path:
            figure.savefig(path, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    unknown = set()
    for warning in caught:
        if glyph := re.match(r"Glyph (\d+) .* missing from font", str(warning.message)):
            unknown.add(chr(int(glyph[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    texts = {text.get_text() for text in figure.findobj(Text) if unknown & set(text.get_text())}
    if texts:
        print(
            f"No installed font has all characters of {', '.join(sorted(map(repr, texts)))}, so the figure has boxes "
            "there; install a font that has, such as Noto Sans CJK, or change the label.",
            file=sys.stderr,
        )
