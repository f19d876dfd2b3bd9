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
from matplotlib.patches import Patch

from segunc.figures import style
from segunc.figures.specs import FigureSpec
from segunc.runtime.stage import Job, stage

PANEL = 1.75
"""Inches: height of a panel."""
MEAN: dict[str, Any] = {"color": style.INK, "marker": "o", "mec": "white", "mew": 0.5, "ms": 3.8}


def program(plot: Callable[[pd.DataFrame, pd.DataFrame, Mapping[str, str]], Figure]) -> Callable[[], None]:
    """The `main` of such a figure; plot: makes it from the means, the histograms and the labels."""

    @stage
    def main(
        job: Job,
        *,
        means: Path,  # uncertainty_by_outcome.csv or uncertainty_by_agreement.csv
        histograms: Path,  # entropy_histograms.csv
        png: Path,  # file to write
        pdf: Path,  # file to write
    ) -> None:
        spec: FigureSpec = job.spec
        style.save(plot(style.read_table(means), style.read_table(histograms), spec["labels"]), png, pdf)

    return main


def plot(
    means: pd.DataFrame,
    histograms: pd.DataFrame,
    by: str,
    groups: Mapping[str, str],
    datasets: Sequence[str],
    labels: Mapping[str, str],
    note: str = "",
) -> Figure:
    """A panel per dataset with a histogram per group and model, and mean and interval on top of it.

    means: `uncertainty_by_outcome` or `uncertainty_by_agreement`; by: its column with the ids of groups; histograms:
    `entropy_histograms`; groups: tick labels by id of the group; labels: by dataset and model; note: a line below the
    panels.
    """
    models = style.models_among(means["model"], labels)
    colours = style.colours(models)
    handles: list[Artist] = [Patch(color=colours[m], alpha=0.75, lw=0, label=labels.get(m, m)) for m in models]
    handles.append(Line2D([], [], **MEAN, lw=1.2, label="mean, 95% interval"))
    left, right = 0.62, 0.08
    width = style.WIDTH - left - right
    note = style.wrapped(note, width, style.SMALL)
    below = 0.22 + style.LINE * note.count("\n") if note else 0
    top, bottom, gap = 0.48 + style.legend_height(handles, width), 0.27 + below, 0.48
    height = top + len(datasets) * PANEL + (len(datasets) - 1) * gap + bottom
    figure = Figure(figsize=(style.WIDTH, height))
    style.legend(figure, handles, left, 0.05, width)
    for row, dataset in enumerate(datasets):
        axes = style.place(figure, left, top + row * (PANEL + gap), width, PANEL)
        _panel(
            axes,
            _by_model_and_group(means[means["dataset"] == dataset], by),
            histograms[histograms["dataset"] == dataset],
            models,
            list(groups),
            colours,
        )
        title = style.wrapped(labels.get(dataset, dataset), width, 9, bold=True, lines=1)
        axes.set_title(title, loc="left", pad=15, fontweight="bold")
        last = row == len(datasets) - 1
        axes.set_xticks(range(len(groups)), list(groups.values()) if last else [""] * len(groups))
    if note:
        figure.text(left / style.WIDTH, 0.06 / height, note, color=style.GREY, fontsize=style.SMALL)
    return figure


def _panel(
    axes: Axes,
    means: Mapping[tuple[str, str], Mapping[str, float]],
    histograms: pd.DataFrame,
    models: Sequence[str],
    groups: Sequence[str],
    colours: Mapping[str, str],
) -> None:
    """Plots one dataset; means: its row of numbers, by model and group."""
    step = min(0.86 / max(len(models), 1), 0.3)
    for g, group in enumerate(groups):
        for m, model in enumerate(models):
            x = g + (m - (len(models) - 1) / 2) * step
            shape = histograms[(histograms["model"] == model) & (histograms["group"] == group)]
            known = means.get((model, group))
            if known is not None and np.isfinite(known["mean"]):
                _histogram(axes, x, 0.42 * step, shape.sort_values("entropy_low"), colours[model])
                axes.plot([x, x], [known["ci_low"], known["ci_high"]], color=style.INK, lw=1.2, zorder=3)
                axes.plot([x], [known["mean"]], **MEAN, zorder=4)
                count = f"{known['n_images']:.0f}"
            else:
                style.mark_missing(axes, x, 0.5)
                count = "0"
            axes.annotate(
                count,
                (x, 1),
                (0, 3),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                color=style.GREY,
                fontsize=style.SMALL,
            )
    axes.annotate(
        "images",
        (0, 1),
        (-3, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        color=style.GREY,
        fontsize=style.SMALL,
    )
    for boundary in range(1, len(groups)):
        axes.axvline(boundary - 0.5, color=style.PALE, lw=0.6)
    axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(-0.03, 1.03), ylabel="entropy (bits)")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)


def _by_model_and_group(means: pd.DataFrame, by: str) -> dict[tuple[str, str], dict[str, float]]:
    columns = ["mean", "ci_low", "ci_high", "n_images"]
    numbers = means[columns].astype(float).to_numpy()
    keys = zip(means["model"], means[by], strict=True)
    return {key: dict(zip(columns, row, strict=True)) for key, row in zip(keys, numbers, strict=True)}


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
