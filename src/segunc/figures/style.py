"""The look that all figures share: sizes, colours, the order of ids, text in place of missing data, and saving.

Importing this module sets matplotlib's defaults for the whole process.
"""

import re
import sys
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.text import Text

from segunc.data.result_csv import open_csv
from segunc.runtime.files import write_atomically

WIDTH = 6.9
"""Inches: the text width of a page with two columns."""
SMALL = 7.0
"""Points: the smallest font size in any figure."""
LINE = 0.125
"""Inches: height of a line of that size."""
ENTRY, ENTRY_SIZE = 0.46, SMALL + 0.5
"""Inches that an entry of a legend needs for its handle and the space behind it, and points of its text."""
INK, GREY, PALE = "#222222", "#6b6b6b", "#d9d9d9"

IDS = ("dataset", "model", "strategy", "strategy_a", "strategy_b")
"""Columns of tables that are text: an id may be `true` or `inf`."""
BASELINE = "baseline_"
"""Prefix of the ids of baselines, which share the `model` column of the tables with the models."""

# Okabe and Ito 2008, distinguishable with any colour vision. Without yellow, which is too pale for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5D3A9B", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "p", "X", "h")

# Fonts with Chinese, Japanese and Korean, which the default font lacks; the first installed one that has a character
# draws it.
CJK = [
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAexGothic"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic"),
]
INSTALLED = {font.name for font in fontManager.ttflist}

# A user's own matplotlibrc must not change the figures.
matplotlib.rcdefaults()
matplotlib.use("Agg")
matplotlib.rcParams.update(
    {
        "font.family": ["DejaVu Sans", *(name for name in CJK if name in INSTALLED)],
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
        "grid.color": PALE,
        "grid.linewidth": 0.5,
        "text.parse_math": False,  # a label may contain a $
        "pdf.fonttype": 42,  # TrueType: some journals reject the default, Type 3
    }
)


def read_table(path: Path) -> pd.DataFrame:
    """A table of the stages `tabulate` and `active_tabulate`.

    Only empty fields are read as missing, so that a model may be called `null`. Raises UserError as `open_csv` does.
    """
    with open_csv(path) as file:
        return pd.read_csv(file, dtype=dict.fromkeys(IDS, str), keep_default_na=False, na_values=[""])


def ordered(ids: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """The different ids: those with a label in the order of the labels, then the others in their own order."""
    present = list(dict.fromkeys(ids))
    return [name for name in labels if name in present] + [name for name in present if name not in labels]


def models_among(ids: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """The models among the ids, without the baselines, in the order of the labels."""
    return [name for name in ordered(ids, labels) if not name.startswith(BASELINE)]


def count(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def colours(models: Sequence[str]) -> dict[str, str]:
    """A colour by model, from its place among all models, so that it is the same in all figures of a grid."""
    return {model: PALETTE[i % len(PALETTE)] for i, model in enumerate(models)}


def markers(models: Sequence[str]) -> dict[str, str]:
    """A marker by model, chosen like its colour."""
    return {model: MARKERS[i % len(MARKERS)] for i, model in enumerate(models)}


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

    Lines end at spaces; words that are wider than a line are broken, at a hyphen if there is one. size: of the font, in
    points.
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
        at_break = re.match(r".*\s|.*-(?=.)", rest[: fits + 1])
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


def missing_note(what: str, width: float) -> list[str]:
    """Lines of SMALL text, at most `width` inches wide: `no data: ` and what has none. No lines if `what` is empty."""
    return wrapped(f"no data: {what}", width, SMALL).split("\n") if what else []


def empty_figure(reason: str) -> Figure:
    """A figure with nothing but the reason why it is empty."""
    figure = Figure(figsize=(WIDTH, 0.8))
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
