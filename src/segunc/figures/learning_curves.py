"""Figure: which strategy learns fastest? Test scores against the number of labelled images.

After figure 8 of the study, with several seeds. Reads the table `active_learning` and, for the level of the models that
were trained on the whole training split, the table `summary`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.evaluation.seed_statistics import mean_over_seeds
from segunc.figures import strategy_style as strategies
from segunc.figures import style
from segunc.runtime.stage import Job, stage

METRICS = {"cross_entropy": "test cross-entropy (nats)", "dice": "test Dice", "ged_16": "test GED² (16 samples)"}
COLUMNS = 4
"""Most models in a row."""
MARGIN = 0.07
"""Share of the range of all runs that is left free above and below."""
SMALLEST = 0.01
"""Smallest range of a panel: below it, differences are none that matter, and ticks need too many digits."""


def draw(
    table: pd.DataFrame, full_data: pd.Series, metric: str, confidence: float, labels: strategies.Labels
) -> Figure:
    """A panel per dataset and model, a line per strategy: mean over seeds, with a band of Student's t interval.

    table: `active_learning`; full_data: score by dataset and model, where it is known. A panel is as high as its runs
    are apart, and cuts off a band that is wider: with two or three seeds the interval may span several panels. Where
    there is no data, a line has a gap, a panel says so, and above its panels a row names the strategies.
    """
    if table.empty:
        return style.nothing("no data")
    datasets, models, names = strategies.every(table, labels)
    cells = [(dataset, models[i : i + COLUMNS]) for dataset in datasets for i in range(0, len(models), COLUMNS)]
    headings = [labels["datasets"].get(d, d) if shown[0] == models[0] else "" for d, shown in cells]
    handles = [strategies.line(name, names, labels) for name in names]
    if full_data.index.isin(table.set_index(["dataset", "model"]).index).any():
        handles.append(strategies.level_handle("trained on all images", "dotted"))
    seeds = table["seed"].nunique()
    most = strategies.at_most(table, ["dataset", "model", "strategy", "round"])
    mean = f"mean of {most}{seeds} seeds with {100 * confidence:g}% t interval"
    note = mean if seeds > 1 else "one seed: no interval"
    rows = [
        strategies.Row(heading, len(shown), _missing(table[table["dataset"] == dataset], shown, names, labels))
        for heading, (dataset, shown) in zip(headings, cells, strict=True)
    ]
    figure, axes = strategies.panels(rows, handles, note)
    for row, (dataset, shown) in zip(axes, cells, strict=True):
        row[0].set_ylabel(METRICS[metric])
        for panel, model in zip(row, shown, strict=True):
            panel.set_title(labels["models"].get(model, model), loc="left", fontsize=8)
            strategies.budget_axis(panel, table["images"])
            runs = table[(table["dataset"] == dataset) & (table["model"] == model)]
            _panel(panel, runs, full_data.get((dataset, model), np.nan), metric, confidence, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _missing(runs: pd.DataFrame, models: list[str], names: list[str], labels: strategies.Labels) -> str:
    """The strategies that panels of a row lack, and which panels if not all with data; runs: of the row's dataset."""
    lost = {model: strategies.missing(own, names) for model in models if len(own := runs[runs["model"] == model])}
    parts = []
    for name in names:
        without = [labels["models"].get(model, model) for model in lost if name in lost[model]]
        if without:
            panels = f" with {', '.join(without)}" if len(without) < len(lost) else ""
            parts.append(labels["strategies"].get(name, name) + panels)
    return "; ".join(parts)


def _panel(
    axes: Axes,
    runs: pd.DataFrame,
    full_data: float,
    metric: str,
    confidence: float,
    names: list[str],
    labels: strategies.Labels,
) -> None:
    """One dataset and model."""
    if not np.isfinite(runs[metric]).any():
        style.empty(axes)
        return
    for name in names:
        own = runs[runs["strategy"] == name]
        if own.empty:
            continue
        # With the missing rounds in between, where lines have gaps.
        rounds = range(own["round"].max() + 1)
        images = own.groupby("round")["images"].first().reindex(rounds).to_numpy()
        curves = own.pivot(index="round", columns="seed", values=metric).reindex(rounds)
        means = [mean_over_seeds(values, confidence) for values in curves.to_numpy()]
        line = strategies.line(name, names, labels)
        line.set_data(images, [mean.mean for mean in means])
        axes.add_line(line)
        low, high = [mean.low for mean in means], [mean.high for mean in means]
        axes.fill_between(images, low, high, color=line.get_color(), alpha=min(0.14, 0.5 / len(names)), lw=0, zorder=1)
    if np.isfinite(full_data):
        strategies.level(axes, full_data, "dotted")
    values = np.append(runs[metric].to_numpy(dtype=float), full_data)
    low, high = np.nanmin(values), np.nanmax(values)
    half = max((0.5 + MARGIN) * (high - low), SMALLEST / 2)
    # No metric is negative.
    axes.set_ylim(max((low + high) / 2 - half, 0), (low + high) / 2 + half)


@stage
def main(
    job: Job,
    *,
    table: Path,  # active_learning.csv
    metric: str,
    summary: Path | None = None,  # summary.csv, for the line of the full-data models
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    full_data = pd.Series(index=pd.MultiIndex.from_arrays([[], []]), dtype=float)
    if summary:
        scores = style.read_table(summary)
        full_data = scores[scores["metric"] == metric].set_index(["dataset", "model"])["mean"].dropna()
    figure = draw(style.read_table(table), full_data, metric, job.spec["confidence"], labels)
    style.save(figure, png, pdf)


if __name__ == "__main__":
    main()
