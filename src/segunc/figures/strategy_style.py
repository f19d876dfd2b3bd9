"""How acquisition strategies look in every figure of active learning, and the panels that two of these share.

Models have solid lines and filled markers; strategies have dashes, open markers and colours of their own, so that
nobody takes one for the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.figures import style

# Tol 2021, "muted", tellable apart with any colour vision, with ink for the first and a brown for a colour too pale.
PALETTE = (style.INK, "#CC6677", "#332288", "#999933", "#44AA99", "#882255", "#117733", "#9C6B3F", "#AA4499")
MARKERS = ("o", "s", "^", "D", "v", "<", ">", "p", "h")
DASHES = ("solid", (0, (5, 1.2)), (0, (2.2, 1)), (0, (6, 1.2, 1.2, 1.2)))

Labels = Mapping[str, Mapping[str, str]]
"""`datasets`, `models` and `strategies`, each id -> label in order: what `segunc.config.active_labels` writes."""


def line(strategy: str, strategies: Sequence[str], labels: Labels) -> Line2D:
    """A line without points in the look of a strategy, which depends on its place among all strategies."""
    place = strategies.index(strategy)
    return Line2D(
        [],
        [],
        color=PALETTE[place % len(PALETTE)],
        ls=DASHES[place % len(DASHES)],
        marker=MARKERS[place % len(MARKERS)],
        ms=3.6,
        mfc="white",
        mew=0.9,
        lw=1.2,
        zorder=3,
        label=labels["strategies"].get(strategy, strategy),
    )


def level(axes: Axes, y: float, dashes: Any) -> None:
    """A grey line right across, for a level that the strategies are read against."""
    axes.axhline(y, color=style.GREY, ls=dashes, lw=1.0, zorder=2)


def level_handle(label: str, dashes: Any) -> Line2D:
    """Its entry in a legend."""
    return Line2D([], [], color=style.GREY, ls=dashes, lw=1.0, label=label)


def count(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def every(table: pd.DataFrame, labels: Labels) -> tuple[list[str], list[str], list[str]]:
    """Datasets, models and strategies in the order of the labels, also those that `active_learning` lacks."""
    datasets = style.ordered([*labels["datasets"], *table["dataset"]], labels["datasets"])
    models = style.ordered([*labels["models"], *table["model"]], labels["models"])
    return datasets, models, style.ordered([*labels["strategies"], *table["strategy"]], labels["strategies"])


def at_most(table: pd.DataFrame, point: list[str]) -> str:
    """`at most ` if not all points of a figure are means of as many rows of `active_learning`; point: its columns."""
    return "at most " if table.groupby(point).size().nunique() > 1 else ""


def missing(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Strategies of which rows of `active_learning` have nothing after round 0, which all share."""
    there = set(rows.loc[rows["round"] > 0, "strategy"])
    return [name for name in names if name not in there]


LEFT, RIGHT, BOTTOM, GAP = 0.58, 0.13, 0.42, 0.46
"""Inches: around the panels, and between them for their tick labels."""
PANEL = (2.4, 1.45)
"""Inches: largest width, and height."""
HEAD, ROW = 0.42, 0.3
"""Inches: above a row for its heading and the panels' titles, and below it for tick labels."""


class Row(NamedTuple):
    """Of panels."""

    heading: str
    """Empty if it goes on with the row above."""
    panels: int
    missing: str
    """Of what its panels have no data."""


def panels(rows: Sequence[Row], handles: Sequence[Line2D], note: str) -> tuple[Figure, list[list[Axes]]]:
    """A figure with rows of empty panels below a legend and a note, and its axes row by row.

    handles: the legend's entries.
    """
    columns = max(row.panels for row in rows)
    panel = min(PANEL[0], (style.WIDTH - LEFT - RIGHT + GAP) / columns - GAP)
    width = LEFT + columns * (panel + GAP) - GAP + RIGHT
    top = 0.22 + style.legend_height(handles, width - LEFT)
    notes = [style.missing(row.missing, width - LEFT) for row in rows]
    heads = [HEAD if row.heading else HEAD / 2 for row in rows]
    heights = [head + style.LINE * len(lines) + PANEL[1] + ROW for head, lines in zip(heads, notes, strict=True)]
    figure = Figure(figsize=(width, top + sum(heights) + BOTTOM - ROW))
    height = figure.get_size_inches()[1]
    style.legend(figure, handles, LEFT, 0.05, width - LEFT)
    figure.text(LEFT / width, 1 - (top - 0.02) / height, note, color=style.GREY, fontsize=style.SMALL, va="bottom")
    made = []
    for row, head, lines, row_height in zip(rows, heads, notes, heights, strict=True):
        figure.text(LEFT / width, 1 - (top + 0.06) / height, row.heading, fontweight="bold", fontsize=9, va="top")
        below = 1 - (top + head - HEAD / 2 + 0.02) / height
        figure.text(LEFT / width, below, "\n".join(lines), color=style.GREY, fontsize=style.SMALL, va="top")
        above = top + row_height - PANEL[1] - ROW
        made.append([style.place(figure, LEFT + i * (panel + GAP), above, panel, PANEL[1]) for i in range(row.panels)])
        top += row_height
    return figure, made


def budget_axis(axes: Axes, images: pd.Series) -> None:
    """The axis of labelled images, the same in all figures; images: of all panels, so that none is shorter."""
    first, last = images.min(), images.max()
    margin = 0.05 * (last - first) or 1
    axes.set_xlim(first - margin, last + margin)
    axes.locator_params("x", nbins=5)
    axes.locator_params("y", nbins=6, steps=[1, 2, 5, 10])
    axes.grid(axis="y")
