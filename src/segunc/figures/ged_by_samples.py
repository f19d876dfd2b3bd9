"""Figure: how close are sampled masks to the annotators' masks? GED^2 against the number of samples, with baselines.

After figure 6 of the study, with means and intervals instead of the distribution over images. Reads the table
`summary`: metrics `ged_1`, `ged_4`, `ged_8`, `ged_16` (V-statistics) of models and baselines.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.figures import style
from segunc.runtime.stage import Job, stage

SIZES = (1, 4, 8, 16)
PANEL = (1.95, 2.3)
"""Inches: width and height of one dataset's panel."""
LEFT, RIGHT, BOTTOM, GAP = 0.58, 0.92, 0.42, 0.65
"""Inches: around the panels, with the baselines' names at the right of each, and between rows."""


HEADROOM = 1.35
"""Baselines up to this many times the models' highest point are within the panel."""
CEILING = 0.96
"""Share of the panel's height below which the baselines' names begin."""


class Line(NamedTuple):
    label: str
    colour: str
    dashes: str | tuple


BASELINES = {
    "baseline_empty": Line("empty mask", "#9a9a9a", (0, (1, 1.2))),
    "baseline_annotator": Line("annotator vs.\nthe others", "#4d4d4d", (0, (6, 1.5))),
    "baseline_blind": Line("blind masks", "#8a8a8a", (0, (3.5, 1.5))),
    "baseline_threshold": Line("random\nthreshold", "#111111", (0, (5, 1.2, 1, 1.2))),
    "baseline_oracle": Line("perfect\nsampler", "#666666", "solid"),
}


def draw(summary: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """A panel per dataset, two in a row; labels: id -> label."""
    datasets, models = style.ordered(summary["dataset"], labels), style.models_among(summary["model"], labels)
    if not datasets:
        return style.nothing("no data")
    columns = min(len(datasets), 2)
    rows = -(-len(datasets) // columns)
    width = columns * (LEFT + PANEL[0] + RIGHT)
    handles = [_model_line(model, models, labels) for model in models]
    rows_of = summary.set_index(["model", "metric"])
    values = {dataset: rows_of[rows_of["dataset"] == dataset] for dataset in datasets}
    missing = {dataset: style.missing(_missing(values[dataset], models, labels), PANEL[0]) for dataset in datasets}
    head = style.LINE * max(map(len, missing.values()))
    top = 0.34 + head + style.legend_height(handles, width - LEFT)
    height = top + rows * PANEL[1] + (rows - 1) * (GAP + head) + BOTTOM
    figure = Figure(figsize=(width, height))
    style.legend(figure, handles, LEFT, 0.05, width - LEFT)
    for i, dataset in enumerate(datasets):
        left = LEFT + (i % columns) * (LEFT + PANEL[0] + RIGHT)
        axes = style.place(figure, left, top + (i // columns) * (PANEL[1] + GAP + head), *PANEL)
        _panel(axes, values[dataset], models, labels)
        axes.annotate(
            "\n".join(missing[dataset]),
            (0, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            color=style.GREY,
            fontsize=style.SMALL,
        )
        pad = 6 + 72 * style.LINE * len(missing[dataset])
        axes.set_title(labels.get(dataset, dataset), loc="left", fontweight="bold", pad=pad)
        axes.set_ylabel("GED² (V-statistic)" if i % columns == 0 else "")
    return figure


def _missing(values: pd.DataFrame, models: Sequence[str], labels: Mapping[str, str]) -> str:
    """Labels of the models and baselines that have nothing in a panel; none if there is nothing at all.

    `baseline_annotator` is undefined where there is one annotator, but what is missing has no seed.
    """
    lost = [labels.get(model, model) for model in models if _curve(values, model)["mean"].isna().all()]
    for name, line in BASELINES.items():
        if (_curve(values, name)["n_seeds"] == 0).all():
            lost.append(line.label.replace("\n", " "))
    return ", ".join(lost) if values["mean"].notna().any() else ""


def _model_line(model: str, models: Sequence[str], labels: Mapping[str, str]) -> Line2D:
    """A line without points in the look of the model."""
    return Line2D(
        [],
        [],
        color=style.colours(models)[model],
        marker=style.markers(models)[model],
        ms=4.2,
        mec="white",
        mew=0.5,
        lw=1.2,
        zorder=3,
        label=labels.get(model, model),
    )


def _panel(axes: Axes, values: pd.DataFrame, models: Sequence[str], labels: Mapping[str, str]) -> None:
    """One dataset; values: mean, ci_low, ci_high and n_seeds, indexed by model and metric."""
    for m, model in enumerate(models):
        curve = _curve(values, model)
        # Side by side, so that intervals at the same number of samples do not cover each other.
        x = np.array(SIZES) * 2 ** (0.11 * (m - (len(models) - 1) / 2))
        line = _model_line(model, models, labels)
        line.set_data(x, curve["mean"])
        axes.add_line(line)
        axes.vlines(x, curve["ci_low"], curve["ci_high"], color=line.get_color(), lw=1.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(SIZES, [str(n) for n in SIZES])
    axes.minorticks_off()
    axes.set(xlim=(0.72, 22), xlabel="samples")
    drawn = values.reindex([(model, f"ged_{n}") for model in models for n in SIZES])
    highest = np.nanmax(drawn[["mean", "ci_low", "ci_high"]].to_numpy(dtype=float), initial=0) or 1.0
    # A baseline far above the models would squeeze them; it is named with its value instead.
    near = [v for name in BASELINES if (v := _end(values, name)) <= HEADROOM * highest]
    highest = max(highest, *near, 0)
    axes.set_ylim(-0.03 * highest, 1.08 * highest)
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    if values["mean"].isna().all():
        style.empty(axes)
    _baselines(axes, values)


def _baselines(axes: Axes, values: pd.DataFrame) -> None:
    """Thin lines with their names at the right; those above the panel are named at its top with their value."""
    low, high = axes.get_ylim()
    for name, line in BASELINES.items():
        axes.plot(SIZES, _curve(values, name)["mean"], color=line.colour, ls=line.dashes, lw=0.9, zorder=1)
    ends = {name: end for name in BASELINES if np.isfinite(end := _end(values, name))}
    names = sorted(ends, key=lambda name: ends[name])
    targets = np.array([min((ends[name] - low) / (high - low), CEILING) for name in names])
    across = axes.get_xaxis_transform()
    for name, target, y in zip(names, targets, _apart(targets, 0.115), strict=True):
        line, text = BASELINES[name], BASELINES[name].label
        if ends[name] > high:
            text += f"\n{ends[name]:.2f} ↑"
        else:
            axes.plot([16, 22, 24.5], [target, target, y], transform=across, color=line.colour, lw=0.5, clip_on=False)
        axes.text(
            25.5, y, text, transform=across, color=style.GREY, fontsize=style.SMALL, va="center", linespacing=0.95
        )


def _curve(values: pd.DataFrame, model: str) -> pd.DataFrame:
    """The values of one model at each of SIZES; NaN where the table has none."""
    return values.reindex([(model, f"ged_{n}") for n in SIZES])


def _end(values: pd.DataFrame, model: str) -> float:
    """GED^2 with the most samples."""
    return float(_curve(values, model)["mean"].iloc[-1])


def _apart(positions: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions, moved as little as needed to lie `gap` apart below CEILING."""
    moved = positions.copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = CEILING
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


@stage
def main(
    job: Job,
    *,
    summary: Path,  # summary.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    style.save(draw(style.read_table(summary), labels), png, pdf)


if __name__ == "__main__":
    main()
