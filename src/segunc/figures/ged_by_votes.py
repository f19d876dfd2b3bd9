"""Figure: where are samples unlike the annotators' masks? Unbiased GED^2 by how many annotators mark anything.

Reads the table `ged_by_votes`, of which the rows of `ged_u` are plotted. Datasets with one annotator have no panel.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.specs import TableSpec
from segunc.runtime.stage import Job, stage

METRIC = "ged_u"
COLUMNS = 2
"""Largest number of panels in a row."""


@style.applied()
def plot(table: pd.DataFrame, spec: TableSpec) -> Figure:
    """A panel per dataset with several annotators; table: `ged_by_votes`. Numbers of images are above the points."""
    table = table[table["metric"] == METRIC]
    datasets = style.ordered(spec, "datasets", table["dataset"])
    several = set(table.loc[table["votes"] > 1, "dataset"])
    shown = [name for name in datasets if name in several]
    rest = ", ".join(style.label(spec, "datasets", name) for name in datasets if name not in several)
    lacking = f"one annotator, not shown: {rest}" if rest else ""
    if not shown:
        return style.empty_figure(spec, lacking or "no data")
    models = style.models_among(spec, [*spec["labels"]["models"], *table["model"]])
    handles: list[Artist] = [style.line(spec, "models", model) for model in models]
    for handle in handles:
        handle.set(ls="none")
    handles.append(Line2D([], [], **panels.TARGET, label="knows the readers"))
    note = f"mean with {style.interval(spec)}; above: images{f'; {lacking}' if lacking else ''}"
    if style.few(table[table["dataset"].isin(shown)]).any():
        note += f"; *{style.FEW}"
    figure, axes = panels.of_datasets(spec, shown, handles, note, COLUMNS)
    for dataset, panel in zip(shown, axes, strict=True):
        _panel(panel, table[table["dataset"] == dataset], models, spec)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, models: list[str], spec: TableSpec) -> None:
    """Plots one dataset; rows: of `ged_by_votes`."""
    votes = np.arange(rows["votes"].min(), rows["votes"].max() + 1)
    of_models = rows[rows["model"].isin(models)]
    step = min(0.7 / max(len(models), 1), 0.15)
    for m, model in enumerate(models):
        own = of_models[of_models["model"] == model].set_index("votes").reindex(votes)
        x = votes + (m - (len(models) - 1) / 2) * step
        line = style.line(spec, "models", model)
        axes.vlines(x, own["ci_low"], own["ci_high"], color=line.get_color(), lw=1)
        line.set(data=(x, own["mean"]), ls="none")
        axes.add_line(line)
    of_votes = of_models.groupby("votes")
    there = of_votes.first().index
    axes.hlines(of_votes["target"].mean(), there - 0.42, there + 0.42, **panels.TARGET)
    counts = of_votes[["n_images", "n_patients"]].max()
    for vote, star in zip(counts.index, np.where(style.few(counts), "*", ""), strict=True):
        axes.annotate(
            f"{counts.loc[vote, 'n_images']:.0f}{star}",
            (vote, 1),
            (0, 2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            color=style.GREY,
            fontsize=style.SMALL,
        )
    axes.set_xlim(votes[0] - 0.5, votes[-1] + 0.5)
    axes.set_xticks(votes)
    axes.set(xlabel="annotators who mark anything", ylabel="GED², unbiased")
    axes.set_ylim(min(0, of_models["mean"].min()), panels.upper(of_models["mean"], of_models["ci_high"]))
    axes.grid(axis="y")


@stage
def main(
    job: Job,
    *,
    table: Path,  # ged_by_votes.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    style.save(plot(read_table(table), job.spec), png, pdf)


if __name__ == "__main__":
    main()
