"""Figure: which strategy learns fastest? Test scores against the number of labelled images.

After figure 8 of the study, but with the seeds and with intervals over patients and seeds. Reads the tables
`active_learning` and `active_seeds` and, for the line of the models that were trained on the whole training split, the
table `summary`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.specs import TableSpec
from segunc.metrics.registry import METRICS
from segunc.runtime.stage import Job, stage

COLUMNS = 4
"""Largest number of models in a row."""
MARGIN = 0.08
"""Space above and below the curves, as a share of their range."""
BEYOND = 0.25
"""How far a band may lie outside an axis that spans the curves, as a share of its range, and still be shown."""
SMALLEST = 0.01
"""Smallest range of the y axis: smaller differences do not matter, and ticks would need too many digits."""
FULL: dict[str, Any] = {"color": style.GREY, "ls": "dotted", "lw": 1.0}
"""Look of the line of models that were trained on all images."""


@style.applied()
def plot(table: pd.DataFrame, seeds: pd.DataFrame, full_data: pd.Series, metric: str, spec: TableSpec) -> Figure:
    """A panel per dataset and model, a line per strategy: the mean over images and seeds; thin lines are seeds.

    table: `active_learning`; seeds: `active_seeds`; of both, the rows of the metric are plotted; full_data: score by
    dataset and model, where it is known. The panels of a dataset have one y axis, which spans the means, the seeds and
    the bands. A band is the interval of a strategy; one far wider than the curves is left out, or it would hide them.
    Where data is missing, a line has a gap, an empty panel shows `no data`, and a note above names the strategies.
    """
    table, seeds = (rows[rows["metric"] == metric] for rows in (table, seeds))
    if table.empty:
        return style.empty_figure(spec, "no data")
    datasets, models = style.all_of(spec, "datasets", table["dataset"]), style.all_of(spec, "models", table["model"])
    names = style.all_of(spec, "strategies", table["strategy"])
    here = set(zip(table["dataset"], table["model"], strict=True))
    full_data = full_data[np.array([cell in here for cell in full_data.index], dtype=bool)]
    columns = panels.most_columns(spec, COLUMNS)
    cells = [(dataset, models[i : i + columns]) for dataset in datasets for i in range(0, len(models), columns)]
    axis, bands = {}, {}
    for dataset in datasets:
        own, of_seeds = (of[of["dataset"] == dataset] for of in (table, seeds))
        full = full_data[full_data.index.get_level_values(0) == dataset]
        curves = [*own["mean"], *of_seeds["mean"], *full]
        low, high = _axis(curves, metric)
        room = BEYOND * (high - low)
        for (model, name), interval in own.groupby(["model", "strategy"])[["ci_low", "ci_high"]]:
            bands[dataset, model, name] = bool(((interval >= low - room) & (interval <= high + room)).all(axis=None))
            curves += [*interval["ci_low"], *interval["ci_high"]] if bands[dataset, model, name] else []
        axis[dataset] = _axis(curves, metric)

    handles: list[Artist] = [style.line(spec, "strategies", name) for name in names]
    if len(full_data):
        handles.append(Line2D([], [], **FULL, label="main grid (all images)"))
    rows = []
    for dataset, shown in cells:
        own = table[table["dataset"] == dataset]
        heading = style.label(spec, "datasets", dataset) if shown[0] == models[0] else None
        scarce = set(own.loc[style.few(own), "strategy"])
        few = ", ".join(style.label(spec, "strategies", name) for name in names if name in scarce)
        rows.append(panels.Row(heading, len(shown), _missing(own, shown, names, spec), few))
    figure, axes = panels.panels(spec, rows, handles, _note(table, bands.values(), metric, spec))
    for row, (dataset, shown) in zip(axes, cells, strict=True):
        row[0].set_ylabel(f"test {METRICS[metric].label}")
        for panel, model in zip(row, shown, strict=True):
            panels.title(panel, style.label(spec, "models", model))
            panels.budget_axis(panel, table["images"])
            panel.set_ylim(axis[dataset])
            runs, own = (of[(of["dataset"] == dataset) & (of["model"] == model)] for of in (table, seeds))
            if runs.empty:
                style.mark_empty(panel)
            for name in names:
                _curve(panel, runs, own, name, bands.get((dataset, model, name), False), spec)
            if np.isfinite(level := full_data.get((dataset, model), np.nan)):
                panel.axhline(level, **FULL, zorder=2)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _axis(values: Sequence[float], metric: str) -> tuple[float, float]:
    """Limits of a y axis that spans the values, of which some may be NaN."""
    if not np.isfinite(values).any():
        return 0, 1
    low, high = np.nanmin(values), np.nanmax(values)
    half = max((0.5 + MARGIN) * (high - low), SMALLEST / 2)
    lowest, middle = METRICS[metric].low, (low + high) / 2
    return middle - half if lowest is None else max(middle - half, lowest), middle + half


def _note(table: pd.DataFrame, bands: Collection[bool], metric: str, spec: TableSpec) -> str:
    """What lines and bands are, and which direction is better; bands: whether each is shown."""
    fewest, most = table["n_seeds"].min(), table["n_seeds"].max()
    note = f"mean of {'at most ' if fewest < most else ''}{style.count(most, 'seed')}"
    note += " (thin lines: single seeds)" if most > 1 else ""
    of_what = f"{style.interval(spec)} for new patients{' and trainings' if most > 1 else ''}"
    if any(bands):
        note += f"; bands: {of_what}{'' if all(bands) else ', left out where it is far wider than the curves'}"
    else:
        note += f"; no bands, because the {of_what} is far wider than the curves"
    better = METRICS[metric].higher_is_better
    return note if better is None else f"{note}; {'higher' if better else 'lower'} is better"


def _missing(runs: pd.DataFrame, models: list[str], names: list[str], spec: TableSpec) -> str:
    """The strategies without data in panels of a row, and in which, if not all in with data; runs: of one dataset."""
    lost = {model: panels.without_picks(own, names) for model in models if len(own := runs[runs["model"] == model])}
    parts = []
    for name in names:
        without = [style.label(spec, "models", model) for model in lost if name in lost[model]]
        if without:
            where = f" with {', '.join(without)}" if len(without) < len(lost) else ""
            parts.append(style.label(spec, "strategies", name) + where)
    return "; ".join(parts)


def _curve(axes: Axes, runs: pd.DataFrame, seeds: pd.DataFrame, strategy: str, has_band: bool, spec: TableSpec) -> None:
    """Plots one strategy in the panel of one dataset and model; there is a gap in the line where a round is missing."""
    own, of_seeds = (of[of["strategy"] == strategy] for of in (runs, seeds))
    if own.empty:
        return
    rounds = range(own["round"].max() + 1)
    curve = own.set_index("round").reindex(rounds)
    line = style.line(spec, "strategies", strategy)
    line.set_data(curve["images"], curve["mean"])
    axes.add_line(line)
    if of_seeds["seed"].nunique() > 1:
        for _, of_seed in of_seeds.groupby("seed"):
            thin = of_seed.set_index("round").reindex(rounds)
            axes.plot(thin["images"], thin["mean"], color=line.get_color(), lw=0.5, alpha=0.5, zorder=2)
    if has_band:
        band = curve["images"], curve["ci_low"], curve["ci_high"]
        axes.fill_between(*band, color=line.get_color(), alpha=0.14, lw=0, zorder=1)


@stage
def main(
    job: Job,
    *,
    table: Path,  # active_learning.csv
    seeds: Path,  # active_seeds.csv
    metric: str,  # whose curves are plotted
    summary: Path | None = None,  # summary.csv, for the line of models trained on all images
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    full_data = pd.Series(index=pd.MultiIndex.from_arrays([[], []]), dtype=float)
    if summary:
        scores = read_table(summary)
        full_data = scores[scores["metric"] == metric].set_index(["dataset", "model"])["mean"].dropna()
    figure = plot(read_table(table), read_table(seeds), full_data, metric, job.spec)
    style.save(figure, png, pdf)


if __name__ == "__main__":
    main()
