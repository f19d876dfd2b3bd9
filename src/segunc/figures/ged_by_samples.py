"""Figure: how close are sampled masks to the annotators' masks? GED^2 against the number of samples, with baselines.

After figure 6 of the study, but with means and intervals instead of the distribution over images. Beside the samples
are the level sets of each model's mean probability, which are 16 masks whatever the number of samples. Reads the table
`summary`: metrics `ged_1`, `ged_4`, `ged_8`, `ged_16`, `ged_64` (V-statistics) of models, level sets and baselines, and
their targets.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.result_table import read_table
from segunc.figures import style
from segunc.figures.specs import TableSpec
from segunc.level_rows import levels_of
from segunc.runtime.stage import Job, stage

SIZES = (1, 4, 8, 16, 64)
LEVELS_FROM, PITCH, BAND = 1.2, 0.65, 4.5
"""Octaves on the axis of samples: from the last samples to the first level sets, from one model's to the next, if there
are few models, and from the first to the last, if there are many."""
PANEL = (1.95, 2.3)
"""Inches: width and height of a panel."""
LEFT, RIGHT, BOTTOM, GAP = 0.58, 0.91, 0.42, 0.65
"""Inches: space around a panel, with the names of baselines on its right, and between rows."""
HEADROOM = 1.35
"""The y axis includes baselines up to this many times the models' highest point."""
CEILING = 0.96
"""Highest position of a baseline's name, as a share of the panel's height."""


class Line(NamedTuple):
    """The look of a baseline."""

    label: str
    colour: str
    dashes: str | tuple


TARGET = "target"
"""Stands for a model that knows the population of readers."""
BASELINES = {
    "baseline_empty": Line("empty mask", "#9a9a9a", (0, (1, 1.2))),
    "baseline_annotator": Line("one\nannotator", "#4d4d4d", (0, (6, 1.5))),
    "baseline_blind": Line("image-agnostic\nmasks", "#8a8a8a", (0, (3.5, 1.5))),
    TARGET: Line("knows the\nreaders", "#666666", "solid"),
}


@style.applied()
def plot(summary: pd.DataFrame, spec: TableSpec) -> Figure:
    """A panel per dataset, as many in a row as fit."""
    datasets = style.ordered(spec, "datasets", summary["dataset"])
    models = style.models_among(spec, summary["model"])
    if not datasets:
        return style.empty_figure(spec, "no data")
    columns = max(1, min(len(datasets), int(spec["width"] / (LEFT + PANEL[0] + RIGHT))))
    rows = -(-len(datasets) // columns)
    width = columns * (LEFT + PANEL[0] + RIGHT)
    handles = [style.line(spec, "models", model) for model in models]
    handles.append(Line2D([], [], color=style.INK, ls="none", marker="|", mew=1.2, ms=8, label=style.interval(spec)))
    targets = summary.groupby(["dataset", "metric"], as_index=False)["target"].mean().rename(columns={"target": "mean"})
    rows_of = pd.concat([summary, targets.assign(model=TARGET)]).set_index(["model", "metric"])
    values = {dataset: rows_of[rows_of["dataset"] == dataset] for dataset in datasets}
    room = PANEL[0] + RIGHT - 0.1
    notes = {dataset: style.notes(room, *_notes(values[dataset], models, spec)) for dataset in datasets}
    head = style.LINE * max(map(len, notes.values()))
    top = 0.34 + head + style.legend_height(handles, width - LEFT)
    height = top + rows * PANEL[1] + (rows - 1) * (GAP + head) + BOTTOM
    figure = Figure(figsize=(width, height))
    style.legend(figure, handles, LEFT, 0.05, width - LEFT)
    for i, dataset in enumerate(datasets):
        left = LEFT + (i % columns) * (LEFT + PANEL[0] + RIGHT)
        axes = style.place(figure, left, top + (i // columns) * (PANEL[1] + GAP + head), *PANEL)
        _panel(axes, values[dataset], models, spec)
        axes.annotate(
            "\n".join(notes[dataset]),
            (0, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            color=style.GREY,
            fontsize=style.SMALL,
        )
        pad = 6 + 72 * style.LINE * len(notes[dataset])
        title = style.wrapped(style.label(spec, "datasets", dataset), room, 9, bold=True, lines=1)
        axes.set_title(title, loc="left", fontweight="bold", pad=pad)
        axes.set_ylabel("GED² (V-statistic)" if i % columns == 0 else "")
    return figure


def _notes(values: pd.DataFrame, models: Sequence[str], spec: TableSpec) -> tuple[str, str]:
    """The models and baselines without data in a panel, and those of few images; empty if the whole panel has no data.

    A baseline is missing if it has no images. `baseline_annotator` of a dataset with one annotator is not missing: it
    has images, but its mean is undefined.
    """
    if values["mean"].isna().all():
        return "", ""
    curves = {model: (style.label(spec, "models", model), _curve(values, model)) for model in models}
    lost = [name for name, curve in curves.values() if curve["mean"].isna().all()]
    for baseline, line in BASELINES.items():
        if (_curve(values, baseline)[["n_images", "n_undefined"]] == 0).all(axis=None):
            lost.append(line.label.replace("\n", " "))
    return ", ".join(lost), ", ".join(name for name, curve in curves.values() if style.few(curve).any())


def _panel(axes: Axes, values: pd.DataFrame, models: Sequence[str], spec: TableSpec) -> None:
    """Plots one dataset; values: its rows of `summary`, indexed by model and metric."""
    shift = min(0.11, 0.8 / max(len(models), 1))
    pitch = min(PITCH, BAND / max(len(models) - 1, 1))
    levels_at = SIZES[-1] * 2 ** (LEVELS_FROM + pitch * np.arange(max(len(models), 1)))
    for m, model in enumerate(models):
        curve = _curve(values, model)
        # Shifted, so that intervals at the same number of samples do not overlap.
        aside = shift * (m - (len(models) - 1) / 2)
        x = np.array(SIZES) * 2**aside
        line = style.line(spec, "models", model)
        line.set_data(x, curve["mean"])
        axes.add_line(line)
        axes.vlines(x, curve["ci_low"], curve["ci_high"], color=line.get_color(), lw=1.2)
        levels = _curve(values, levels_of(model)).iloc[-1:]
        beside = style.line(spec, "models", model)
        beside.set(data=([levels_at[m]], levels["mean"]), ls="none", mfc="white", mec=line.get_color(), mew=1)
        axes.add_line(beside)
        axes.vlines(levels_at[m], levels["ci_low"], levels["ci_high"], color=line.get_color(), lw=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks([*SIZES, np.sqrt(levels_at[0] * levels_at[-1])], [*map(str, SIZES), "level\nsets"])
    axes.minorticks_off()
    axes.set(xlim=(0.72, 1.5 * levels_at[-1]), xlabel="samples")
    # In the second line of the labels of ticks.
    axes.xaxis.set_label_coords(8, -0.1, axes.get_xaxis_transform())
    shown = [name for model in models for name in (model, levels_of(model))]
    of_models = values.reindex([(name, f"ged_{n}") for name in shown for n in SIZES])
    highest = np.nanmax(of_models[["mean", "ci_low", "ci_high"]].to_numpy(dtype=float), initial=0) or 1.0
    # A baseline far above the models would compress them; its value is printed instead.
    near = [v for name in BASELINES if (v := _end(values, name)) <= HEADROOM * highest]
    highest = max(highest, *near, 0)
    axes.set_ylim(-0.03 * highest, 1.08 * highest)
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    if values["mean"].isna().all():
        style.mark_empty(axes)
    _baselines(axes, values)


def _baselines(axes: Axes, values: pd.DataFrame) -> None:
    """Plots thin lines with their names on the right; a baseline above the panel has its value printed at the top."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
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
            x = [SIZES[-1], right, 1.3 * right]
            axes.plot(x, [target, target, y], transform=across, color=line.colour, lw=0.5, zorder=1, clip_on=False)
        label = axes.text(1.4 * right, y, text, transform=across, color=style.GREY, fontsize=style.SMALL, va="center")
        label.set_linespacing(0.95)


def _curve(values: pd.DataFrame, model: str) -> pd.DataFrame:
    """The rows of one model in the order of SIZES; NaN where the table has none."""
    return values.reindex([(model, f"ged_{n}") for n in SIZES])


def _end(values: pd.DataFrame, model: str) -> float:
    """Mean GED^2 with the largest number of samples."""
    return float(_curve(values, model)["mean"].iloc[-1])


def _apart(positions: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions (K,), shifted so that they are at least `gap` apart and below CEILING."""
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
    style.save(plot(read_table(summary), job.spec), png, pdf)


if __name__ == "__main__":
    main()
