"""Figure: has training converged, and is every latent dimension in use? Losses and validation against gradient steps.

Reads the histories of all models and seeds of one dataset.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from segunc.figures import style
from segunc.figures.specs import TrainingSpec
from segunc.figures.strategy_style import Row, budget_axis, panels
from segunc.runtime.stage import Job, stage

LOSSES = {"train_loss": "Training loss", "val_cross_entropy": "Validation cross-entropy"}
GED = "val_ged"
DIMENSION = "kl_"
"""Prefix of the columns of KL(posterior || prior), one per latent dimension."""
STEEP = 5
"""Smallest ratio of losses on a logarithmic axis; in a smaller range it might have a single tick."""
Run = tuple[str, int]
"""Model and seed of a training run."""


def plot(
    histories: Mapping[Run, pd.DataFrame], missing: Sequence[Run], labels: Mapping[str, str], title: str
) -> Figure:
    """Panels of training loss, validation cross-entropy and GED, and one of KL for each model with a latent space.

    A line is a training run; in panels of KL, a latent dimension of a run. histories: rows of `history.csv`; missing:
    the runs without one; labels: by model.
    """
    if not histories:
        return style.empty_figure("no data")
    models = style.models_among([model for model, _ in [*histories, *missing]], labels)
    colours = style.colours(models)
    dimensions = {run: [name for name in rows if name.startswith(DIMENSION)] for run, rows in histories.items()}
    latent = [model for model in models if any(model == run[0] and dimensions[run] for run in histories)]
    columns = len(LOSSES) + 1
    parts = [latent[i : i + columns] for i in range(0, len(latent), columns)]
    rows = [Row(title, columns, "; ".join(f"{labels.get(model, model)} (seed {seed})" for model, seed in missing))]
    rows += [
        Row("" if i else "KL(posterior || prior) per latent dimension", len(part), "") for i, part in enumerate(parts)
    ]
    handles = [Line2D([], [], color=colours[model], lw=1.2, label=labels.get(model, model)) for model in models]
    figure, axes = panels(rows, handles, f"a line per training run: {style.count(len(histories), 'run')}")

    steps = pd.concat([history["step"] for history in histories.values()])
    for panel in (panel for row in axes for panel in row):
        budget_axis(panel, steps)
    for panel, (column, name) in zip(axes[0], [*LOSSES.items(), (GED, "Validation GED²")], strict=True):
        panel.set_title(name, loc="left", fontsize=8)
        for (model, _), history in histories.items():
            _line(panel, history, column, colours[model])
        if column in LOSSES:
            panel.set_ylabel("nats" if column == "train_loss" else "")
            _logarithmic(panel)
    for panel, model in zip((panel for row in axes[1:] for panel in row), latent, strict=True):
        room = panel.get_position().width * figure.get_size_inches()[0]
        panel.set_title(style.wrapped(labels.get(model, model), room, 8, lines=1), loc="left", fontsize=8)
        for run, history in histories.items():
            for column in dimensions[run] if run[0] == model else []:
                _line(panel, history, column, colours[model])
        # Early in training, KL may be a hundred times as large as at the end.
        panel.set_yscale("symlog", linthresh=0.1)
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.set_ylim(bottom=0)
    for row in axes[1:]:
        row[0].set_ylabel("nats")
    for panel in axes[-1]:
        panel.set_xlabel("gradient steps")
    return figure


def _line(axes: Axes, history: pd.DataFrame, column: str, colour: str) -> None:
    axes.plot(history["step"], history[column], color=colour, lw=0.9, marker="o", ms=1.8, alpha=0.8)


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
    labels = spec["labels"]
    runs = [(model, seed) for model, seed in spec["runs"]]
    found = {run: style.read_table(path) for run, path in zip(runs, histories, strict=True)}
    missing = [(model, seed) for model, seed in spec["missing"]]
    style.save(plot(found, missing, labels, labels.get(dataset, dataset)), png, pdf)


if __name__ == "__main__":
    main()
