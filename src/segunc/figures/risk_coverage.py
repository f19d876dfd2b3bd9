"""Figure: does uncertainty tell which masks are bad? Mean risk of the images that a threshold of uncertainty keeps.

Reads the table `risk_coverage`.
"""

from itertools import product
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.specs import FigureSpec
from segunc.runtime.stage import Job, stage

SCORES = {
    ("mean", "entropy"): "entropy: image",
    ("foreground", "entropy"): "entropy: lesion",
    ("patch", "entropy"): "entropy: patch",
    ("pairwise", "samples"): "sample distance",
}
"""Titles of the panels by aggregation and map; the others are in `failure_detection`."""
EVERY = 4
"""Points of a curve from one marker to the next."""


@style.applied()
def plot(table: pd.DataFrame, spec: FigureSpec) -> Figure:
    """A row per dataset, a panel per uncertainty, a line per model; table: `risk_coverage`.

    Coverages of few images are left out.
    """
    datasets = style.ordered(spec, "datasets", table["dataset"])
    if not datasets:
        return style.empty_figure(spec, "no data")
    models = style.models_among(spec, [*spec["labels"]["models"], *table["model"]])
    columns = panels.most_columns(spec, len(SCORES))
    cells = [(d, list(SCORES)[i : i + columns]) for d, i in product(datasets, range(0, len(SCORES), columns))]
    rows = []
    for dataset, shown in cells:
        there = set(table.loc[table["dataset"] == dataset, "model"])
        lost = ", ".join(style.label(spec, "models", model) for model in models if model not in there)
        heading = (style.label(spec, "datasets", dataset), len(shown), lost)
        rows.append(panels.Row(*heading) if shown[0] == next(iter(SCORES)) else panels.Row(None, len(shown)))
    note = f"risk: 1 - Dice of the least uncertain images; mean over seeds, from {style.FEWEST} images and patients on"
    handles = [style.line(spec, "models", model) for model in models]
    figure, axes = panels.panels(spec, rows, handles, note)
    groups = table[~style.few(table)].groupby(["dataset", "model", "aggregation", "map"])
    curves = {key: curve for key, curve in groups if key[1] in models and key[2:] in SCORES}
    for row, (dataset, shown) in zip(axes, cells, strict=True):
        top = max((curve["risk"].max() for key, curve in curves.items() if key[0] == dataset), default=0)
        for panel, score in zip(row, shown, strict=True):
            panels.title(panel, SCORES[score])
            for model in models:
                own = curves.get((dataset, model, *score), table[:0])
                line = style.line(spec, "models", model, size=3.2)
                line.set(data=(own["coverage"], own["risk"]), markevery=(models.index(model) % EVERY, EVERY))
                panel.add_line(line)
            panel.set(xlim=(0, 1.02), ylim=(0, 1.05 * top if top > 0 else 1))
            panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            panel.locator_params("y", nbins=5)
            panel.grid(axis="y")
        row[0].set_ylabel("risk")
    for panel in axes[-1]:
        panel.set_xlabel("coverage")
    return figure


@stage
def main(
    job: Job,
    *,
    table: Path,  # risk_coverage.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    style.save(plot(read_table(table), job.spec), png, pdf)


if __name__ == "__main__":
    main()
