"""The look of acquisition strategies in the figures of active learning, and the panels that two of these share.

Strategies have dashes, open markers and a palette of their own. Models have solid lines and filled markers, so that
the two are not confused.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.figures import style
from segunc.figures.specs import ActiveLabels

# Tol 2021, "muted", distinguishable with any colour vision. The first is ink, and a brown replaces the palest colour.
PALETTE = (style.INK, "#CC6677", "#332288", "#999933", "#44AA99", "#882255", "#117733", "#9C6B3F", "#AA4499", "#88CCEE")
MARKERS = ("o", "s", "^", "D", "v", "<", ">", "p", "h", "P")
DASHES = ("solid", (0, (5, 1.2)), (0, (2.2, 1)), (0, (6, 1.2, 1.2, 1.2)))


def line(strategy: str, strategies: Sequence[str], labels: ActiveLabels) -> Line2D:
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


def reference_line(axes: Axes, y: float, dashes: Any) -> None:
    """Adds a grey horizontal line, which the curves of strategies are compared with."""
    axes.axhline(y, color=style.GREY, ls=dashes, lw=1.0, zorder=2)


def reference_handle(label: str, dashes: Any) -> Line2D:
    """The legend entry of a reference line."""
    return Line2D([], [], color=style.GREY, ls=dashes, lw=1.0, label=label)


def ids_in_order(table: pd.DataFrame, labels: ActiveLabels) -> tuple[list[str], list[str], list[str]]:
    """Ids of datasets, models and strategies in the order of the labels, including those without rows in the table.

    table: `active_learning`.
    """
    datasets = style.ordered([*labels["datasets"], *table["dataset"]], labels["datasets"])
    models = style.ordered([*labels["models"], *table["model"]], labels["models"])
    return datasets, models, style.ordered([*labels["strategies"], *table["strategy"]], labels["strategies"])


def at_most(table: pd.DataFrame, point: list[str]) -> str:
    """`at most ` if the points of a figure are means of different numbers of rows, else an empty string.

    table: `active_learning`; point: the columns that identify a point.
    """
    return "at most " if table.groupby(point).size().nunique() > 1 else ""


def without_picks(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The strategies without any round after round 0, which all strategies share; rows: of `active_learning`."""
    present = set(rows.loc[rows["round"] > 0, "strategy"])
    return [name for name in names if name not in present]


LEFT, RIGHT, BOTTOM, GAP = 0.58, 0.13, 0.42, 0.46
"""Inches: space around the panels, and between them for tick labels."""
PANEL = (2.4, 1.45)
"""Inches: largest width of a panel, and its height."""
HEAD, ROW = 0.42, 0.3
"""Inches: space above a row for its heading and the panels' titles, and below it for tick labels."""


class Row(NamedTuple):
    """A row of panels."""

    heading: str
    """Empty if the row continues the one above."""
    panels: int
    """How many there are."""
    missing: str
    """What has no data in these panels."""


def panels(rows: Sequence[Row], handles: Sequence[Artist], note: str) -> tuple[Figure, list[list[Axes]]]:
    """A figure with rows of empty panels below a legend and a note; returns it and its axes, row by row.

    handles: the entries of the legend.
    """
    columns = max(row.panels for row in rows)
    panel = min(PANEL[0], (style.WIDTH - LEFT - RIGHT + GAP) / columns - GAP)
    width = LEFT + columns * (panel + GAP) - GAP + RIGHT
    lines_of_note = style.wrapped(note, width - LEFT - RIGHT, style.SMALL).split("\n")
    top = 0.22 + style.LINE * (len(lines_of_note) - 1) + style.legend_height(handles, width - LEFT)
    notes = [style.missing_note(row.missing, width - LEFT - RIGHT) for row in rows]
    heads = [HEAD if row.heading else HEAD / 2 for row in rows]
    heights = [head + style.LINE * len(lines) + PANEL[1] + ROW for head, lines in zip(heads, notes, strict=True)]
    figure = Figure(figsize=(width, top + sum(heights) + BOTTOM - ROW))
    height = figure.get_size_inches()[1]
    style.legend(figure, handles, LEFT, 0.05, width - LEFT)
    figure.text(
        LEFT / width,
        1 - (top - 0.02) / height,
        "\n".join(lines_of_note),
        color=style.GREY,
        fontsize=style.SMALL,
        va="bottom",
    )
    all_axes = []
    for row, head, lines, row_height in zip(rows, heads, notes, heights, strict=True):
        heading = style.wrapped(row.heading, width - LEFT - RIGHT, 9, bold=True, lines=1)
        figure.text(LEFT / width, 1 - (top + 0.06) / height, heading, fontweight="bold", fontsize=9, va="top")
        below = 1 - (top + head - HEAD / 2 + 0.02) / height
        figure.text(LEFT / width, below, "\n".join(lines), color=style.GREY, fontsize=style.SMALL, va="top")
        above = top + row_height - PANEL[1] - ROW
        all_axes.append(
            [style.place(figure, LEFT + i * (panel + GAP), above, panel, PANEL[1]) for i in range(row.panels)]
        )
        top += row_height
    return figure, all_axes


def budget_axis(axes: Axes, budget: pd.Series) -> None:
    """Sets up the x axis and the grid; budget: images or rounds of all panels, so that all have the same limits."""
    first, last = budget.min(), budget.max()
    margin = 0.05 * (last - first) or 1
    axes.set_xlim(first - margin, last + margin)
    axes.locator_params("x", nbins=5)
    axes.locator_params("y", nbins=6, steps=[1, 2, 5, 10])
    axes.grid(axis="y")
