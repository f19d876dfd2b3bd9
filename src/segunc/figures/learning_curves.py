"""Figure: which strategy learns fastest? Test scores against the number of labelled images.

After figure 8 of the study, but with intervals over patients and seeds. Reads the table `active_learning` and, for the
line of the models that were trained on the whole training split, the table `summary`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.figures import strategy_style, style
from segunc.figures.specs import ActiveLabels, ActiveSpec
from segunc.metrics.registry import METRICS
from segunc.runtime.stage import Job, stage

COLUMNS = 4
"""Largest number of models in a row."""
MARGIN = 0.4
"""Space above and below the curves, as a share of their range."""
SMALLEST = 0.01
"""Smallest range of the y axis: smaller differences do not matter, and ticks would need too many digits."""


def plot(table: pd.DataFrame, full_data: pd.Series, metric: str, confidence: float, labels: ActiveLabels) -> Figure:
    """A panel per dataset and model, a line per strategy: mean over images and seeds, with its interval as a band.

    table: `active_learning`, of which the rows of the metric are plotted; full_data: score by dataset and model, where
    it is known; confidence: of the intervals, in (0, 1). The y axis spans the curves and cuts off wider bands: these
    show how well a mean is known for new patients, which is common to all strategies. Where data is missing, a line has
    a gap, an empty panel shows `no data`, and a note above names the strategies.
    """
    table = table[table["metric"] == metric]
    if table.empty:
        return style.empty_figure("no data")
    datasets, models, names = strategy_style.ids_in_order(table, labels)
    cells = [(dataset, models[i : i + COLUMNS]) for dataset in datasets for i in range(0, len(models), COLUMNS)]
    headings = [labels["datasets"].get(d, d) if shown[0] == models[0] else "" for d, shown in cells]
    handles = [strategy_style.line(name, names, labels) for name in names]
    if full_data.index.isin(table.set_index(["dataset", "model"]).index).any():
        handles.append(strategy_style.reference_handle("trained on all images", "dotted"))
    fewest, seeds = table["n_seeds"].min(), table["n_seeds"].max()
    of_seeds = f"mean of {'at most ' if fewest < seeds else ''}{style.count(seeds, 'seed')}"
    band = f"{100 * confidence:g}% interval for new patients{' and trainings' if seeds > 1 else ''}"
    note = f"{of_seeds} with {band}{_direction(metric)}"
    rows = [
        strategy_style.Row(heading, len(shown), _missing(table[table["dataset"] == dataset], shown, names, labels))
        for heading, (dataset, shown) in zip(headings, cells, strict=True)
    ]
    figure, axes = strategy_style.panels(rows, handles, note)
    for row, (dataset, shown) in zip(axes, cells, strict=True):
        row[0].set_ylabel(f"test {METRICS[metric].label}")
        for panel, model in zip(row, shown, strict=True):
            room = panel.get_position().width * figure.get_size_inches()[0]
            title = style.wrapped(labels["models"].get(model, model), room, 8, lines=1)
            panel.set_title(title, loc="left", fontsize=8)
            strategy_style.budget_axis(panel, table["images"])
            runs = table[(table["dataset"] == dataset) & (table["model"] == model)]
            _panel(panel, runs, full_data.get((dataset, model), np.nan), metric, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _direction(metric: str) -> str:
    """`; higher is better`, or nothing where neither direction is."""
    higher_is_better = METRICS[metric].higher_is_better
    return "" if higher_is_better is None else f"; {'higher' if higher_is_better else 'lower'} is better"


def _missing(runs: pd.DataFrame, models: list[str], names: list[str], labels: ActiveLabels) -> str:
    """The strategies without data in panels of a row, and in which, if not in all with data; runs: of one dataset."""
    lost = {
        model: strategy_style.without_picks(own, names) for model in models if len(own := runs[runs["model"] == model])
    }
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
    names: list[str],
    labels: ActiveLabels,
) -> None:
    """Plots one dataset and model."""
    if runs.empty:
        style.mark_empty(axes)
        return
    for name in names:
        own = runs[runs["strategy"] == name]
        if own.empty:
            continue
        # Includes missing rounds, at which lines have gaps.
        curve = own.set_index("round").reindex(range(own["round"].max() + 1))
        line = strategy_style.line(name, names, labels)
        line.set_data(curve["images"], curve["mean"])
        axes.add_line(line)
        band = curve["images"], curve["ci_low"], curve["ci_high"]
        axes.fill_between(*band, color=line.get_color(), alpha=min(0.14, 0.5 / len(names)), lw=0, zorder=1)
    if np.isfinite(full_data):
        strategy_style.reference_line(axes, full_data, "dotted")
    values = np.append(runs["mean"], full_data)
    low, high = np.nanmin(values), np.nanmax(values)
    half = max((0.5 + MARGIN) * (high - low), SMALLEST / 2)
    lowest = METRICS[metric].low
    bottom = (low + high) / 2 - half
    axes.set_ylim(bottom if lowest is None else max(bottom, lowest), (low + high) / 2 + half)


@stage
def main(
    job: Job,
    *,
    table: Path,  # active_learning.csv
    metric: str,  # whose curves are plotted
    summary: Path | None = None,  # summary.csv, for the line of models trained on all images
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: ActiveSpec = job.spec
    full_data = pd.Series(index=pd.MultiIndex.from_arrays([[], []]), dtype=float)
    if summary:
        scores = style.read_table(summary)
        full_data = scores[scores["metric"] == metric].set_index(["dataset", "model"])["mean"].dropna()
    figure = plot(style.read_table(table), full_data, metric, spec["confidence"], spec["labels"])
    style.save(figure, png, pdf)


if __name__ == "__main__":
    main()
