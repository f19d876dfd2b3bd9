"""Figure: which strategy is worse than which? Shares of significant differences, as a matrix per dataset.

After Ash et al. 2020 (BADGE), figure 4. Reads the table `pairwise_penalty`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.data.result_table import read_table
from segunc.figures import style
from segunc.figures.specs import TableSpec
from segunc.runtime.stage import Job, stage

METRIC = "cross_entropy"
MAP = "Reds"
DARK = 60
"""Percentage above which numbers are white, as the background is dark."""
CELL, SMALLEST, GAP, TOP = 0.42, 0.24, 0.3, 0.42
"""Inches: largest and smallest width of a cell, space around a matrix, and above it for its title."""
LONGEST, AXIS = 1.45, 0.29
"""Inches: largest width of a strategy's name, and height of an axis label."""
TICKS = style.SMALL + 0.5
"""Points: font size of the strategies' names."""
COLUMNS = 2
"""Largest number of matrices in a row."""


@style.applied()
def plot(table: pd.DataFrame, spec: TableSpec) -> Figure:
    """A matrix per dataset: percentage of comparisons in which the row's strategy is worse than the column's.

    table: `pairwise_penalty`, of which the rows of METRIC are plotted. A dash stands for no comparison.
    """
    table = table[table["metric"] == METRIC]
    if table.empty:
        one = len(spec["labels"]["strategies"]) < 2
        return style.empty_figure(spec, "one strategy: nothing to compare" if one else "fewer than 5 seeds: no test")
    datasets = style.all_of(spec, "datasets", table["dataset"])
    names = style.all_of(spec, "strategies", table["strategy_a"])
    words = [style.wrapped(style.label(spec, "strategies", name), LONGEST, TICKS, lines=1) for name in names]
    room = AXIS + max(style.width_of(word, TICKS) for word in words)
    narrowest = max(1.3, SMALLEST * len(names))
    columns = min(len(datasets), COLUMNS, max(1, int((spec["width"] - room) / (narrowest + GAP))))
    rows = -(-len(datasets) // columns)
    size = len(names) * min(CELL, ((spec["width"] - room) / columns - GAP) / len(names))
    # A matrix may be narrower than its title.
    step = max(size, 1.3) + GAP
    notes = [_note(table[table["dataset"] == dataset]) for dataset in datasets]
    above = TOP + style.LINE * max(note.count("\n") for note in notes)
    figure = Figure(figsize=(room + columns * step, rows * (above + size + room + GAP) - GAP + 0.1))
    width, height = figure.get_size_inches()
    for i, dataset in enumerate(datasets):
        row, column = divmod(i, columns)
        left, top = room + column * step, row * (above + size + room + GAP)
        of_dataset = table[table["dataset"] == dataset]
        title = style.wrapped(style.label(spec, "datasets", dataset), step - 0.1, 9, bold=True, lines=1)
        figure.text(left / width, 1 - (top + 0.06) / height, title, fontweight="bold", fontsize=9, va="top")
        figure.text(left / width, 1 - (top + 0.23) / height, notes[i], color=style.GREY, fontsize=style.SMALL, va="top")
        axes = style.place(figure, left, top + above, size, size)
        _matrix(axes, of_dataset.set_index(["strategy_a", "strategy_b"])["penalty"], names)
        axes.set_xticks(range(len(names)), words, rotation=90)
        axes.set_yticks(range(len(names)), words if column == 0 else [""] * len(names))
        axes.set_ylabel("this one is worse …" if column == 0 else "")
        axes.set_xlabel("… than this one")
    return figure


def _note(matrix: pd.DataFrame) -> str:
    """The number of comparisons, and the largest cell that chance explains, as text.

    The number differs between the cells of a matrix if single rounds are missing.
    """
    fewest, most = matrix["n_comparisons"].min(), matrix["n_comparisons"].max()
    if not most > 0:
        return "fewer than 5 seeds: no test"
    note = f"of {'≤ ' if fewest < most else ''}{style.count(most, 'comparison')}, in %"
    note += f"\nby chance up to {100 * matrix['null_95'].iloc[0]:.0f}"
    return note if fewest else f"{note}\n–: fewer than 5 seeds"


def _matrix(axes: Axes, penalties: pd.Series, names: list[str]) -> None:
    """Plots one matrix; penalties: in [0, 1], indexed by strategies a and b, NaN without a comparison."""
    percent = 100 * penalties.unstack().reindex(index=names, columns=names).to_numpy(dtype=float)
    axes.imshow(percent, cmap=MAP, vmin=0, vmax=100)
    axes.tick_params(length=0)
    axes.spines[:].set(visible=True, color=style.PALE)
    for (a, b), value in np.ndenumerate(percent):
        if a != b:
            text, colour = ("–", style.GREY) if np.isnan(value) else (f"{value:.0f}", style.INK)
            axes.text(
                b, a, text, ha="center", va="center", color="white" if value > DARK else colour, fontsize=style.SMALL
            )


@stage
def main(
    job: Job,
    *,
    table: Path,  # pairwise_penalty.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    style.save(plot(read_table(table), job.spec), png, pdf)


if __name__ == "__main__":
    main()
