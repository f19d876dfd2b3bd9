"""Figure: what does a better GED^2 cost? Unbiased GED^2 against the work of predicting an image.

Reads the rows of `ged_u` in the table `summary`. The costs are in the spec.
"""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.specs import CostSpec
from segunc.level_rows import is_levels, levels_of
from segunc.runtime.stage import Job, stage

METRIC = "ged_u"
HOLLOW: dict[str, Any] = {"mfc": "white", "mew": 1, "ls": "none", "ms": 4}
"""Look of the level sets of a model's mean probability: they cost as much as the mean."""
COLUMNS = 2
"""Largest number of panels in a row."""
ALIKE, SHIFT = 1.05, 1.13
"""Costs up to the first factor apart are drawn side by side, the second factor apart."""
WIDE = 60
"""Factor between the smallest and the largest cost above which ticks are at powers of ten alone."""


@style.applied()
def plot(summary: pd.DataFrame, spec: CostSpec) -> Figure:
    """A panel per dataset; a mark with its interval per model, and a hollow one for the level sets of its mean."""
    rows = summary[summary["metric"] == METRIC].set_index(["dataset", "model"])
    datasets = style.ordered(spec, "datasets", rows.index.unique("dataset"))
    if not datasets:
        return style.empty_figure(spec, "no data")
    models = style.models_among(spec, [*spec["labels"]["models"], *rows.index.unique("model")])
    models = [model for model in models if not is_levels(model)]
    handles: list[Artist] = [_mark(spec, model) for model in models]
    if any(levels_of(model) in rows.index.unique("model") for model in models):
        handles.append(Line2D([], [], marker="o", color=style.INK, **HOLLOW, label="level sets of its mean"))
    if rows["target"].notna().any():
        handles.append(Line2D([], [], **panels.TARGET, label="knows the readers"))
    points = {
        dataset: pd.DataFrame(
            {
                "cost": [_cost(spec, dataset, model) for model in models],
                "levels": rows.loc[dataset]["mean"].reindex(map(levels_of, models)).to_numpy(),
                **rows.loc[dataset].reindex(models),
            },
            index=models,
        )
        for dataset in datasets
    }
    figure, axes = panels.of_datasets(spec, datasets, handles, _note(points, spec), COLUMNS)
    for panel, own in zip(axes, points.values(), strict=True):
        _panel(panel, own, spec)
    axes[0].set_ylabel("GED², unbiased")
    return figure


def _mark(spec: CostSpec, model: str) -> Line2D:
    """The mark of a model, with its label."""
    mark = style.line(spec, "models", model, size=5)
    mark.set_linestyle("none")
    return mark


def _cost(spec: CostSpec, dataset: str, model: str) -> float:
    """In passes of a U-Net; NaN if the model has none that a logarithmic axis can show."""
    cost = spec["costs"].get(dataset, {}).get(model, 0.0)
    return cost if cost > 0 else np.nan


def _note(points: dict[str, pd.DataFrame], spec: CostSpec) -> str:
    """What is drawn, what is not, and what is drawn from few images; points: of each panel, by dataset."""
    lost = []
    for dataset, model in product(points, spec["labels"]["models"]):
        own = points[dataset].loc[model]
        where = f" ({style.label(spec, 'datasets', dataset)})" if len(points) > 1 else ""
        lost += [f"{style.label(spec, 'models', model)}{where}"] if own[["mean", "cost"]].isna().any() else []
    few = [style.label(spec, "datasets", dataset) for dataset, own in points.items() if style.few(own).any()]
    said = [f"mean with {style.interval(spec)}; cost in multiply-adds"]
    said += [f"no data: {', '.join(lost)}"] if lost else []
    said += [f"{style.FEW}: {', '.join(few)}"] if few else []
    return "; ".join(said)


def _panel(axes: Axes, points: pd.DataFrame, spec: CostSpec) -> None:
    """Plots one dataset; points: cost and the columns of `summary` by model."""
    there = points.dropna(subset=["cost", "mean"])
    for (model, own), x in zip(there.iterrows(), _beside(there["cost"].to_numpy()), strict=True):
        mark = _mark(spec, str(model))
        axes.vlines(x, own["ci_low"], own["ci_high"], color=mark.get_color(), lw=1)
        mark.set_data([x], [own["mean"]])
        axes.add_line(mark)
        axes.plot([x], [own["levels"]], marker=mark.get_marker(), color=mark.get_color(), **HOLLOW, zorder=3)
    costs = points["cost"].fillna(1.0)
    low, high = min(costs.min(), 1.0), max(costs.max(), 2.0)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.6, high * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < WIDE else (1,), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("cost per image (U-Net = 1)")
    if there.empty:
        style.mark_empty(axes)
        return
    axes.axhline(points["target"].mean(), **panels.TARGET)
    shown = there[["mean", "levels"]]
    axes.set_ylim(min(0, shown.min(axis=None)), panels.upper(shown.max(axis=1), there["ci_high"]))
    axes.locator_params("y", nbins=5)
    axes.grid(axis="y")


def _beside(costs: np.ndarray) -> np.ndarray:
    """Costs (K,), of which those that are about equal are moved apart by SHIFT, around their own."""
    moved = costs.copy()
    order = np.argsort(costs, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(np.log(costs[order])) > np.log(ALIKE)) + 1)
    for group in groups:
        moved[group] *= SHIFT ** (np.arange(len(group)) - (len(group) - 1) / 2)
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
