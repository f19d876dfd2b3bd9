"""Figure: do predicted probabilities hold? Share of annotators against the mean probability, and calibration errors.

Reads the tables `reliability` and `calibration`.
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

ERRORS = {"ece": "ECE, all pixels", "ece_without_lowest": "ECE, without lowest bin"}
"""Titles of the panels of errors, by column of `calibration`."""


@style.applied()
def plot(bins: pd.DataFrame, errors: pd.DataFrame, spec: TableSpec) -> Figure:
    """A row per dataset: the diagram, then a panel per calibration error. Bins of few images are left out.

    bins: `reliability`; errors: `calibration`.
    """
    datasets = style.ordered(spec, "datasets", errors["dataset"])
    if not datasets:
        return style.empty_figure(spec, "no data")
    models = style.all_of(spec, "models", style.models_among(spec, errors["model"]))
    handles: list[Artist] = [style.line(spec, "models", model) for model in models]
    handles.append(Line2D([], [], color=style.GREY, ls="dotted", lw=1, label="perfect"))
    note = f"bins of all pixels and seeds; bars: {style.interval(spec)}"
    if style.few(bins).any():
        note += f"; without bins of {style.FEW}"
    rows = []
    for dataset in datasets:
        own = errors[(errors["dataset"] == dataset)]
        lost = [style.label(spec, "models", model) for model in models if model not in set(own["model"])]
        scarce = [style.label(spec, "models", model) for model in models if model in set(own["model"][style.few(own)])]
        rows.append(panels.Row(style.label(spec, "datasets", dataset), 3, ", ".join(lost), ", ".join(scarce)))
    figure, axes = panels.panels(spec, rows, handles, note)
    for dataset, row in zip(datasets, axes, strict=True):
        _diagram(row[0], bins[(bins["dataset"] == dataset) & ~style.few(bins)], models, spec)
        for panel, (column, name) in zip(row[1:], ERRORS.items(), strict=True):
            panels.title(panel, name)
            panels.intervals(panel, errors[errors["dataset"] == dataset].set_index("model"), column, models, spec)
    axes[-1][0].set_xlabel("predicted probability")
    return figure


def _diagram(axes: Axes, bins: pd.DataFrame, models: list[str], spec: TableSpec) -> None:
    axes.plot([0, 1], [0, 1], color=style.GREY, ls="dotted", lw=1, zorder=2)
    for model in models:
        own = bins[bins["model"] == model].sort_values("probability")
        line = style.line(spec, "models", model, size=3.0)
        line.set_data(own["probability"], own["frequency"])
        axes.add_line(line)
    panels.title(axes, "Reliability")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), ylabel="annotators who mark")
    axes.set_xticks(np.linspace(0, 1, 3), ["0", "0.5", "1"])
    axes.set_yticks(np.linspace(0, 1, 3), ["0", "0.5", "1"])
    axes.grid()


@stage
def main(
    job: Job,
    *,
    bins: Path,  # reliability.csv
    errors: Path,  # calibration.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    style.save(plot(read_table(bins), read_table(errors), job.spec), png, pdf)


if __name__ == "__main__":
    main()
