"""Figure: has training converged, and is every latent dimension in use? Losses and validation against gradient steps.

Reads the histories of all models and seeds of one dataset.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.panels import Row
from segunc.figures.specs import TrainingSpec
from segunc.runtime.stage import Job, stage

CURVES = {"train_loss": "Training loss", "val_cross_entropy": "Validation cross-entropy", "val_ged": "Validation GED²"}
"""Titles of the panels by column."""
LOSSES = ("train_loss", "val_cross_entropy")
"""In nats."""
DIMENSION = "kl_"
"""Prefix of the columns of KL(posterior || prior), one per latent dimension."""
STEEP = 5
"""Smallest ratio of losses on a logarithmic axis; in a smaller range it might have a single tick."""
Run = tuple[str, int]
"""Model and seed of a training run."""


@style.applied()
def plot(histories: Mapping[Run, pd.DataFrame], missing: Sequence[Run], spec: TrainingSpec, heading: str) -> Figure:
    """Panels of training loss, validation cross-entropy and GED, and one of KL for each model with a latent space.

    A line is a training run; in panels of KL, a latent dimension of a run. histories: rows of `history.csv`; missing:
    the runs without one.
    """
    if not histories:
        return style.empty_figure(spec, "no data")
    models = style.models_among(spec, [model for model, _ in [*histories, *missing]])
    dimensions = {run: [name for name in rows if name.startswith(DIMENSION)] for run, rows in histories.items()}
    latent = [model for model in models if any(model == run[0] and dimensions[run] for run in histories)]
    columns = panels.most_columns(spec, len(CURVES))
    curves, parts = ([of[i : i + columns] for i in range(0, len(of), columns)] for of in (list(CURVES), latent))
    lost = "; ".join(f"{style.label(spec, 'models', model)} (seed {seed})" for model, seed in missing)
    rows = [Row(None if i else heading, len(part), "" if i else lost) for i, part in enumerate(curves)]
    rows += [
        Row(None if i else "KL(posterior || prior) per latent dimension", len(part)) for i, part in enumerate(parts)
    ]
    handles = [style.line(spec, "models", model) for model in models]
    figure, axes = panels.panels(spec, rows, handles, f"a line per training run: {style.count(len(histories), 'run')}")

    steps = pd.concat([history["step"] for history in histories.values()])
    flat = [panel for row in axes for panel in row]
    for panel in flat:
        panels.budget_axis(panel, steps)
        if steps.nunique() > 1:
            panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    for panel, (column, name) in zip(flat, CURVES.items(), strict=False):
        panels.title(panel, name)
        for (model, _), history in histories.items():
            _line(panel, history, column, model, spec)
        if column in LOSSES:
            panel.set_ylabel("nats" if column == LOSSES[0] else "")
            _logarithmic(panel)
    for panel, model in zip(flat[len(CURVES) :], latent, strict=True):
        panels.title(panel, style.label(spec, "models", model))
        for run, history in histories.items():
            for column in dimensions[run] if run[0] == model else []:
                _line(panel, history, column, model, spec)
        # Early in training, KL may be a hundred times as large as at the end.
        panel.set_yscale("symlog", linthresh=0.1)
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.set_ylim(bottom=0)
    for row in axes[len(curves) :]:
        row[0].set_ylabel("nats")
    for panel in axes[-1]:
        panel.set_xlabel("gradient steps")
    return figure


def _line(axes: Axes, history: pd.DataFrame, column: str, model: str, spec: TrainingSpec) -> None:
    line = style.line(spec, "models", model, size=3.0)
    line.set(data=(history["step"], history[column]), lw=0.9, mew=0.3, alpha=0.8)
    axes.add_line(line)
    axes.autoscale_view()


def _logarithmic(axes: Axes) -> None:
    """Makes the y axis logarithmic, with plain numbers, if the losses fall so far that the last ones would be flat."""
    low, high = axes.dataLim.intervaly
    if high < STEEP * low:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@stage
def main(
    job: Job,
    *,
    dataset: str,  # id of the dataset
    histories: list[Path],  # of the spec's runs
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: TrainingSpec = job.spec
    runs = [(model, seed) for model, seed in spec["runs"]]
    found = {run: read_table(path) for run, path in zip(runs, histories, strict=True)}
    missing = [(model, seed) for model, seed in spec["missing"]]
    style.save(plot(found, missing, spec, style.label(spec, "datasets", dataset)), png, pdf)


if __name__ == "__main__":
    main()
