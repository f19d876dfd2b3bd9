"""Figure: what does each strategy pick? Each round's picks, compared with random picks from the same pool.

The study explains why uncertainty does not help by what it picks (large foreground, annotators who disagree), but shows
single images only. This figure shows it for all picks. Reads the table `active_picks`.
"""

from itertools import product
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segunc.data.result_table import read_table
from segunc.figures import panels, style
from segunc.figures.specs import TableSpec
from segunc.runtime.stage import Job, stage

MEASURES = {
    "disputed_pixels": "disputed pixels",
    "disputed_share": "disputed share",
    "foreground": "foreground",
    "split_votes": "split votes",
    "patients": "patients",
}
"""Titles of the panels by measure."""
ONE_ANNOTATOR = ("disputed_pixels", "disputed_share", "split_votes")
"""Undefined with one annotator."""
RANGE = NormalDist().inv_cdf(0.975)
"""Half the 95 % range of a normal distribution, in standard deviations."""
NARROWEST = 0.2
"""Smallest range of the y axis: smaller differences do not matter, and ticks would need too many digits."""


@style.applied()
def plot(table: pd.DataFrame, spec: TableSpec) -> Figure:
    """A row per dataset, a panel per measure, a line per strategy: picks divided by what random picks would have.

    The mean of the picks over models and seeds is divided by that of random picks from the same pools, so 1 is what
    `random` has on average. The grey band has 95 % of such means of random picks, if all models of a seed have the same
    picks. A line has a gap where a round is missing. A note above each dataset names the strategies without data.
    table: `active_picks`.
    """
    if table.empty:
        return style.empty_figure(spec, "no data")
    datasets = style.all_of(spec, "datasets", table["dataset"])
    names = style.all_of(spec, "strategies", table["strategy"])
    handles: list[Artist] = [style.line(spec, "strategies", name) for name in names]
    handles.append(Patch(color=style.PALE, lw=0, label="95% of random picks"))
    models, seeds = (table[name].nunique() for name in ("model", "seed"))
    most = _at_most(table, ["dataset", "strategy", "round", "measure"])
    note = f"picks ÷ random picks from the same pool; mean of {most}{style.count(models, 'model')}"
    note += f" and {style.count(seeds, 'seed')}"
    defined = table.loc[table["picks"].notna(), "measure"]
    # What a dataset without data would show is not known.
    known = set(datasets) == set(table["dataset"]) and len(defined)
    measures = [name for name in MEASURES if name in set(defined) or not known]
    if len(measures) < len(MEASURES):
        note += "; one mask per image, so nothing is disputed"
    columns = panels.most_columns(spec, len(measures))
    rows, cells = [], []
    for dataset, i in product(datasets, range(0, len(measures), columns)):
        own, shown = table[table["dataset"] == dataset], measures[i : i + columns]
        first = style.label(spec, "datasets", dataset), len(shown), *_notes(own, names, spec)
        rows.append(panels.Row(None, len(shown)) if i else panels.Row(*first))
        cells.append((own, shown))
    figure, axes = panels.panels(spec, rows, handles, note)
    for row, (own, shown) in zip(axes, cells, strict=True):
        for panel, measure in zip(row, shown, strict=True):
            panels.title(panel, MEASURES[measure])
            panels.budget_axis(panel, table["round"])
            panel.set_xlim(0.5, table["round"].max() + 0.5)
            _panel(panel, own[own["measure"] == measure], measure, names, spec)
    for panel in axes[-1]:
        panel.set_xlabel("round")
    return figure


def _at_most(table: pd.DataFrame, point: list[str]) -> str:
    """`at most ` if the points are means of different numbers of rows, else nothing; point: its columns."""
    return "at most " if table.groupby(point).size().nunique() > 1 else ""


def _notes(rows: pd.DataFrame, names: list[str], spec: TableSpec) -> tuple[str, str]:
    """The strategies without data in a dataset's panels, and those with few picks.

    Both are empty if no strategy has data, as the panels then say so.
    """
    lost = panels.without_picks(rows, names)
    picks = rows[rows["picks"].notna()].groupby(["strategy", "round", "measure"])["n_picks"].sum()
    scarce = set(picks.index[picks < style.FEWEST].get_level_values("strategy"))
    few = "; ".join(style.label(spec, "strategies", name) for name in names if name in scarce)
    missing = "; ".join(style.label(spec, "strategies", name) for name in lost)
    return missing if len(lost) < len(names) else "", few


def _panel(axes: Axes, rows: pd.DataFrame, measure: str, names: list[str], spec: TableSpec) -> None:
    """Plots one measure of one dataset."""
    if rows["picks"].isna().all():
        style.mark_empty(axes, "one mask\nper image" if len(rows) and measure in ONE_ANNOTATOR else "no data")
        return
    rounds = range(1, rows["round"].max() + 1)
    means = rows.groupby(["strategy", "round"])[["picks", "pool"]].mean()
    ratio = (means["picks"] / means["pool"].where(means["pool"] > 0)).unstack("strategy")
    for name in names:
        line = style.line(spec, "strategies", name)
        line.set_data(rounds, ratio[name].reindex(rounds) if name in ratio else np.full(len(rounds), np.nan))
        axes.add_line(line)
    spread = RANGE * _null_sd(rows).reindex(rounds)
    # Bars, because there may be one round only.
    axes.bar(rounds, 2 * spread, bottom=1 - spread, width=1, color=style.PALE, lw=0, zorder=1)
    axes.axhline(1, color=style.GREY, lw=0.8, zorder=2)
    axes.use_sticky_edges = False
    axes.autoscale_view(scalex=False)
    low, high = axes.get_ylim()
    half = max((high - low) / 2, NARROWEST / 2)
    axes.set_ylim(max(0, (low + high) / 2 - half), (low + high) / 2 + half)


def _null_sd(rows: pd.DataFrame) -> pd.Series:
    """Standard deviation, by round, of a mean of random picks over seeds, divided by its expectation."""
    relative = rows["null_sd"] / rows["pool"].where(rows["pool"] > 0)
    of_seeds = (relative**2).groupby([rows["round"], rows["seed"]]).mean()
    return np.sqrt(of_seeds.groupby(level="round").agg(lambda of_round: of_round.sum() / len(of_round) ** 2))


@stage
def main(
    job: Job,
    *,
    table: Path,  # active_picks.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    style.save(plot(read_table(table), job.spec), png, pdf)


if __name__ == "__main__":
    main()
