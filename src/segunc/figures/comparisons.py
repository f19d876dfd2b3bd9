"""Figure: which model is better than which? Forest plot of the differences between all pairs of models.

Reads the table `comparisons` for one dataset, without the level sets.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.data.result_table import read_table
from segunc.figures import style
from segunc.figures.specs import TableSpec
from segunc.metrics.registry import COMPARED, METRICS
from segunc.runtime.stage import Job, stage

RIGHT, TOP, BOTTOM, GAP = 0.1, 0.68, 0.42, 0.15
"""Inches: space around the panels, above them for heading, note and titles, and between them."""
PITCH, LONGEST = 0.17, 0.18
"""Inches: height of a row. Largest width of the name of a model, as a share of the figure's."""
LEVEL = 0.05
"""Differences with a smaller corrected p are filled."""
POINT: dict[str, Any] = {"color": style.INK, "marker": "o", "ms": 4, "mew": 0.9}


@style.applied()
def plot(table: pd.DataFrame, spec: TableSpec, title: str) -> Figure:
    """A row per pair of models, a panel per metric; table: `comparisons` of one dataset."""
    models = style.models_among(spec, [*table["model_a"], *table["model_b"]])
    pairs = [(a, b) for i, a in enumerate(models) for b in models[i + 1 :]]
    if not pairs:
        return style.empty_figure(spec, f"{title}: fewer than two models to compare")
    names = {
        model: style.wrapped(style.label(spec, "models", model), LONGEST * spec["width"], 8, lines=1)
        for model in models
    }
    words = [f"{names[a]} − {names[b]}" for a, b in pairs]
    left = 0.12 + max(style.width_of(word, 8) for word in words)
    width, tall = spec["width"], len(pairs) * PITCH
    note = f"difference with {style.interval(spec)}; filled: p < {LEVEL:g}, corrected (Holm)"
    few = style.few(table)
    if few.any():
        note += f"; *{style.FEW}"
    note = style.wrapped(note, width - left, style.SMALL)
    top = TOP + style.LINE * note.count("\n")
    figure = Figure(figsize=(width, top + tall + BOTTOM))
    height = figure.get_size_inches()[1]
    heading = style.wrapped(title, width - left, 9, bold=True, lines=1)
    figure.text(left / width, 1 - 0.06 / height, heading, va="top", fontweight="bold", fontsize=9)
    figure.text(left / width, 1 - 0.23 / height, note, va="top", color=style.GREY, fontsize=style.SMALL)
    panel = (width - left - RIGHT + GAP) / len(COMPARED) - GAP
    rows = table.assign(few=few).set_index(["metric", "model_a", "model_b"])
    for i, metric in enumerate(COMPARED):
        axes = style.place(figure, left + i * (panel + GAP), top, panel, tall)
        _panel(axes, rows.reindex([(metric, *pair) for pair in pairs]), metric)
        axes.set_yticks(range(len(pairs)), words if i == 0 else [""] * len(pairs))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    """Plots one metric; rows: of the pairs, NaN if one has no scores."""
    for y, row in enumerate(rows.itertuples()):
        if np.isnan(row.difference):
            axes.text(0, y, "no data", ha="center", va="center", color=style.GREY, fontsize=style.SMALL)
            continue
        axes.hlines(y, row.ci_low, row.ci_high, color=style.INK, lw=1, zorder=2)
        axes.plot(row.difference, y, **POINT, mfc=style.INK if row.p_holm < LEVEL else "white", zorder=3)
        if row.few is True:
            axes.annotate("*", (row.difference, y), (0, 1), textcoords="offset points", ha="center")
    # Wide intervals are cut, so that differences can be seen.
    widest = 2 * rows["difference"].abs().max()
    ends = rows[["ci_low", "ci_high"]].abs().max(axis=None)
    half = 1.05 * (min(ends, widest) if ends > 0 else widest)
    axes.set(xlim=(-half, half) if half > 0 else (-1, 1), ylim=(len(rows) - 0.4, -0.6))
    axes.axvline(0, color=style.GREY, lw=0.8, zorder=1)
    axes.locator_params("x", nbins=3)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_title(METRICS[metric].label, loc="left", fontsize=8)
    axes.set_xlabel("first is better →" if METRICS[metric].higher_is_better else "← first is better")


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    table: Path,  # comparisons.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: TableSpec = job.spec
    rows = read_table(table)
    style.save(plot(rows[rows["dataset"] == dataset], spec, style.label(spec, "datasets", dataset)), png, pdf)


if __name__ == "__main__":
    main()
