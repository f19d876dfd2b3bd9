"""Rows of panels below a legend and a note: the layout that most figures of tables share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.figures import style
from segunc.figures.specs import FigureSpec

LEFT, RIGHT, BOTTOM, GAP = 0.58, 0.13, 0.42, 0.46
"""Inches: space around the panels, and between them for tick labels."""
PANEL, ALONE = (2.4, 1.45), 4.0
"""Inches: largest width of a panel, and its height; the largest width if there is one in a row."""
NARROWEST = 1.2
"""Inches: smallest width of a panel whose title is to be read."""
HEAD, ROW = 0.42, 0.3
"""Inches: space above a row for its heading and the panels' titles, and below it for tick labels."""

TARGET: dict[str, Any] = {"color": style.INK, "lw": 1, "ls": "dotted"}
"""Look of the line of a model that knows the population of readers."""


class Row(NamedTuple):
    """A row of panels."""

    heading: str | None
    """Empty if the panels have headings of their own; None if the row continues the one above."""
    panels: int
    """How many there are."""
    missing: str = ""
    """What has no data in these panels."""
    few: str = ""
    """What is drawn from few images or patients there."""


def panels(
    spec: FigureSpec, rows: Sequence[Row], handles: Sequence[Artist], note: str, *, left: float = LEFT
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with rows of empty panels below a legend and a note; returns it and its axes, row by row.

    handles: the entries of the legend; left: inches for the labels of the y axis.
    """
    columns = max(row.panels for row in rows)
    panel = min(PANEL[0] if columns > 1 else ALONE, (spec["width"] - left - RIGHT + GAP) / columns - GAP)
    width = left + columns * (panel + GAP) - GAP + RIGHT
    inner = width - left - RIGHT
    lines_of_note = style.wrapped(note, inner, style.SMALL).split("\n")
    top = 0.22 + style.LINE * (len(lines_of_note) - 1) + style.legend_height(handles, width - left)
    notes = [style.notes(inner, row.missing, row.few) for row in rows]
    heads = [HEAD / 2 if row.heading is None else HEAD for row in rows]
    heights = [head + style.LINE * len(lines) + PANEL[1] + ROW for head, lines in zip(heads, notes, strict=True)]
    figure = Figure(figsize=(width, top + sum(heights) + BOTTOM - ROW))
    height = figure.get_size_inches()[1]
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL}
    style.legend(figure, handles, left, 0.05, width - left)
    figure.text(left / width, 1 - (top - 0.02) / height, "\n".join(lines_of_note), va="bottom", **small)
    all_axes = []
    for row, head, lines, row_height in zip(rows, heads, notes, heights, strict=True):
        heading = style.wrapped(row.heading or "", inner, 9, bold=True, lines=1)
        figure.text(left / width, 1 - (top + 0.06) / height, heading, fontweight="bold", fontsize=9, va="top")
        below = 1 - (top + head - HEAD / 2 + 0.02) / height
        figure.text(left / width, below, "\n".join(lines), va="top", **small)
        above = top + row_height - PANEL[1] - ROW
        all_axes.append(
            [style.place(figure, left + i * (panel + GAP), above, panel, PANEL[1]) for i in range(row.panels)]
        )
        top += row_height
    return figure, all_axes


def of_datasets(
    spec: FigureSpec, datasets: Sequence[str], handles: Sequence[Artist], note: str, most: int
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel per dataset, at most `most` in a row, and its axes in the order of the datasets."""
    columns = most_columns(spec, most)
    rows = [Row("", len(datasets[i : i + columns])) for i in range(0, len(datasets), columns)]
    figure, axes = panels(spec, rows, handles, note)
    flat = [panel for row in axes for panel in row]
    for dataset, panel in zip(datasets, flat, strict=True):
        text = style.wrapped(style.label(spec, "datasets", dataset), _width(panel), 9, bold=True, lines=1)
        panel.set_title(text, loc="left", fontweight="bold", pad=14)
    return figure, flat


def intervals(axes: Axes, rows: pd.DataFrame, column: str, models: Sequence[str], spec: FigureSpec) -> None:
    """Plots a number of each model with its interval, from top to bottom.

    rows: indexed by model, with `column`, `<column>_low` and `<column>_high`, all at least 0. Wide intervals are cut.
    """
    own = rows.reindex(models)
    for y, model in enumerate(models):
        line = style.line(spec, "models", model)
        axes.hlines(
            y, own.loc[model, f"{column}_low"], own.loc[model, f"{column}_high"], color=line.get_color(), lw=1.2
        )
        line.set(data=([own.loc[model, column]], [y]))
        axes.add_line(line)
    axes.set(xlim=(0, upper(own[column], own[f"{column}_high"])), ylim=(len(models) - 0.4, -0.6), yticks=[])
    axes.locator_params("x", nbins=4)
    axes.grid(axis="x")


def upper(means: pd.Series, highs: pd.Series) -> float:
    """Upper limit of an axis from 0: the end of the intervals, or 1.6 times the largest mean if they are wider."""
    largest = means.max()
    return 1.05 * max(largest, min(highs.max(), 1.6 * largest) if highs.notna().any() else 0) if largest > 0 else 1.0


def without_picks(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The strategies without any round after round 0, which all strategies share; rows: of a table of rounds."""
    present = set(rows.loc[rows["round"] > 0, "strategy"])
    return [name for name in names if name not in present]


def most_columns(spec: FigureSpec, most: int) -> int:
    """How many panels fit beside each other, at most `most`."""
    return max(1, min(most, int((spec["width"] - LEFT - RIGHT + GAP) / (NARROWEST + GAP))))


def title(axes: Axes, text: str) -> None:
    """Writes the title of a panel, shortened to its width."""
    axes.set_title(style.wrapped(text, _width(axes), 8, lines=1), loc="left", fontsize=8)


def budget_axis(axes: Axes, budget: pd.Series) -> None:
    """Sets up the x axis and the grid; budget: images, rounds or steps of all panels, at which ticks are that fit."""
    values = np.unique(budget.to_numpy())
    margin = 0.05 * (values[-1] - values[0]) or 1
    fit = int(_width(axes) / (style.width_of(f"{values[-1]:g}", style.SMALL + 0.5) + 0.12))
    axes.set_xlim(values[0] - margin, values[-1] + margin)
    axes.set_xticks(values[:: -(-len(values) // max(fit, 1))])
    axes.locator_params("y", nbins=6, steps=[1, 2, 5, 10])
    axes.grid(axis="y")


def _width(axes: Axes) -> float:
    """In inches."""
    return axes.get_position().width * axes.get_figure(root=True).get_size_inches()[0]  # type: ignore[union-attr]
