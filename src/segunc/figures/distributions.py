"""Figures of the distribution of pixel entropy by group of pixels: shared by those by outcome and by agreement."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.result_table import read_table
from segunc.figures import style
from segunc.figures.specs import TableSpec
from segunc.runtime.stage import Job, stage

PANEL = 1.75
"""Inches: height of a panel."""


def program(plot: Callable[[pd.DataFrame, pd.DataFrame, TableSpec], Figure]) -> Callable[[], None]:
    """The `main` of such a figure; plot: makes it from the means, the histograms and the spec."""

    @stage
    def main(
        job: Job,
        *,
        means: Path,  # uncertainty_by_outcome.csv or uncertainty_by_agreement.csv
        histograms: Path,  # entropy_histograms.csv
        png: Path,  # file to write
        pdf: Path,  # file to write
    ) -> None:
        style.save(plot(read_table(means), read_table(histograms), job.spec), png, pdf)

    return main


def plot(
    means: pd.DataFrame,
    histograms: pd.DataFrame,
    by: str,
    groups: Mapping[str, str],
    datasets: Sequence[str],
    spec: TableSpec,
    note: str = "",
) -> Figure:
    """A panel per dataset with a histogram per group and model, and mean and interval on top of it.

    means: `uncertainty_by_outcome` or `uncertainty_by_agreement`; by: its column with the ids of groups; histograms:
    `entropy_histograms`; groups: tick labels by id of the group; note: a line below the panels. The numbers of images
    are above the histograms, with a star if there are few of images or patients.
    """
    models = style.models_among(spec, means["model"])
    handles: list[Artist] = [style.line(spec, "models", model) for model in models]
    handles.append(Line2D([], [], **_dot("o"), lw=1.2, label=f"mean, {style.interval(spec)}"))
    left, right, full = 0.62, 0.08, spec["width"]
    width = full - left - right
    if style.few(means[means["dataset"].isin(datasets)]).any():
        note = f"*{style.FEW}. {note}"
    note = style.wrapped(note, width, style.SMALL)
    below = 0.22 + style.LINE * note.count("\n") if note else 0
    # Numbers that do not fit beside each other are written upwards.
    longest = style.width_of(f"{means['n_images'].max():.0f}*", style.SMALL)
    upwards = longest if longest > width / len(groups) * _step(len(models)) else 0.0
    top, bottom, gap = 0.48 + upwards + style.legend_height(handles, width), 0.27 + below, 0.48 + upwards
    height = top + len(datasets) * PANEL + (len(datasets) - 1) * gap + bottom
    figure = Figure(figsize=(full, height))
    style.legend(figure, handles, left, 0.05, width)
    for row, dataset in enumerate(datasets):
        axes = style.place(figure, left, top + row * (PANEL + gap), width, PANEL)
        own = means[means["dataset"] == dataset].assign(few=style.few(means)).set_index(["model", by])
        _panel(axes, own, histograms[histograms["dataset"] == dataset], models, list(groups), spec, upwards > 0)
        title = style.wrapped(style.label(spec, "datasets", dataset), width, 9, bold=True, lines=1)
        axes.set_title(title, loc="left", pad=15 + 72 * upwards, fontweight="bold")
        last = row == len(datasets) - 1
        axes.set_xticks(range(len(groups)), list(groups.values()) if last else [""] * len(groups))
    if note:
        figure.text(left / full, 0.06 / height, note, color=style.GREY, fontsize=style.SMALL)
    return figure


def _step(models: int) -> float:
    """Distance from one model to the next, as a share of the distance between groups."""
    return min(0.86 / max(models, 1), 0.3)


def _dot(marker: str) -> dict:
    """The look of a mean."""
    return {"color": style.INK, "marker": marker, "mec": "white", "mew": 0.4, "ms": 4.2 * style.MARKERS[marker]}


def _panel(
    axes: Axes,
    means: pd.DataFrame,
    histograms: pd.DataFrame,
    models: Sequence[str],
    groups: Sequence[str],
    spec: TableSpec,
    upwards: bool,
) -> None:
    """Plots one dataset; means: its rows, indexed by model and group; upwards: whether numbers of images are."""
    step = _step(len(models))
    small: dict[str, Any] = {"color": style.GREY, "fontsize": style.SMALL, "textcoords": "offset points"}
    for g, group in enumerate(groups):
        for m, model in enumerate(models):
            x = g + (m - (len(models) - 1) / 2) * step
            shape = histograms[(histograms["model"] == model) & (histograms["group"] == group)]
            known = means.loc[(model, group)] if (model, group) in means.index else None
            if known is not None and pd.notna(known["mean"]):
                look = style.look(spec, "models", model)
                _histogram(axes, x, 0.42 * step, shape.sort_values("entropy_low"), look["colour"])
                axes.vlines(x, known["ci_low"], known["ci_high"], color=style.INK, lw=1.2, zorder=3)
                axes.plot([x], [known["mean"]], **_dot(look["marker"]), zorder=4)
                count = f"{known['n_images']:.0f}{'*' if known['few'] else ''}"
            else:
                style.mark_missing(axes, x, 0.5)
                count = "0"
            where: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "ha": "center", "rotation": 90 * upwards}
            axes.annotate(count, (x, 1), (0, 3), **where, **small)
    axes.annotate("images", (0, 1), (-3, 3), xycoords="axes fraction", ha="right", **small)
    for boundary in range(1, len(groups)):
        axes.axvline(boundary - 0.5, color=style.PALE, lw=0.6)
    axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(-0.03, 1.03), ylabel="entropy (bits)")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)


def _histogram(axes: Axes, x: float, half_width: float, bins: pd.DataFrame, colour: str) -> None:
    """Plots the shares of the bins as bars centred at x; that of the largest share is `2 * half_width` wide."""
    share = bins["share"].to_numpy(dtype=float)
    if not len(share) or not np.nanmax(share, initial=0) > 0:
        return
    width = half_width * np.nan_to_num(share) / np.nanmax(share)
    height = (bins["entropy_high"] - bins["entropy_low"]).to_numpy(dtype=float)
    axes.barh(
        bins["entropy_low"], 2 * width, height, left=x - width, align="edge", color=colour, alpha=0.75, lw=0, zorder=2
    )
