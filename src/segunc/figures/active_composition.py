"""Figure: what does each strategy pick? Each round's picks, compared with random picks from the same pool.

The study explains why uncertainty does not help by what it picks (large foreground, annotators who disagree), but shows
single images only. This figure shows it for all picks. Reads the table `active_picks`.
"""

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from segunc.figures import strategy_style, style
from segunc.figures.specs import ActiveLabels, ActiveSpec
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


def plot(table: pd.DataFrame, labels: ActiveLabels) -> Figure:
    """A row per dataset, a panel per measure, a line per strategy: picks divided by what random picks would have.

    The mean of the picks over models and seeds is divided by that of random picks from the same pools, so 1 is what
    `random` has on average. The grey band has 95 % of such means of random picks, if all models of a seed have the same
    picks. A line has a gap where a round is missing. A note above each dataset names the strategies without data.
    table: `active_picks`.
    """
    if table.empty:
        return style.empty_figure("no data")
    datasets, _, names = strategy_style.ids_in_order(table, labels)
    handles: list[Artist] = [strategy_style.line(name, names, labels) for name in names]
    handles.append(Patch(color=style.PALE, lw=0, label="95% of random picks"))
    models, seeds = (table[name].nunique() for name in ("model", "seed"))
    most = strategy_style.at_most(table, ["dataset", "strategy", "round", "measure"])
    note = f"picks ÷ random picks from the same pool; mean of {most}{style.count(models, 'model')}"
    note += f" and {style.count(seeds, 'seed')}"
    of_dataset = [table[table["dataset"] == dataset] for dataset in datasets]
    headings = [labels["datasets"].get(dataset, dataset) for dataset in datasets]
    missing = [_missing(own, names, labels) for own in of_dataset]
    rows = [strategy_style.Row(heading, len(MEASURES), lost) for heading, lost in zip(headings, missing, strict=True)]
    figure, axes = strategy_style.panels(rows, handles, note)
    for row, own in zip(axes, of_dataset, strict=True):
        for panel, (measure, title) in zip(row, MEASURES.items(), strict=True):
            panel.set_title(title, loc="left", fontsize=8)
            strategy_style.budget_axis(panel, table["round"])
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
            panel.set_xlim(0.5, table["round"].max() + 0.5)
            _panel(panel, own[own["measure"] == measure], measure, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("round")
    return figure


def _missing(rows: pd.DataFrame, names: list[str], labels: ActiveLabels) -> str:
    """The strategies without data in a dataset's panels; empty if no strategy has data, as the panels then say so."""
    lost = strategy_style.without_picks(rows, names)
    return "; ".join(labels["strategies"].get(name, name) for name in lost) if len(lost) < len(names) else ""


def _panel(axes: Axes, rows: pd.DataFrame, measure: str, names: list[str], labels: ActiveLabels) -> None:
    """Plots one measure of one dataset."""
    if rows["picks"].isna().all():
        style.mark_empty(axes, "one mask\nper image" if len(rows) and measure in ONE_ANNOTATOR else "no data")
        return
    rounds = range(1, rows["round"].max() + 1)
    means = rows.groupby(["strategy", "round"])[["picks", "pool"]].mean()
    ratio = (means["picks"] / means["pool"].where(means["pool"] > 0)).unstack("strategy")
    for name in names:
        line = strategy_style.line(name, names, labels)
        line.set_data(rounds, ratio[name].reindex(rounds) if name in ratio else np.full(len(rounds), np.nan))
        axes.add_line(line)
    spread = RANGE * _null_sd(rows).reindex(rounds)
    # Bars, because there may be one round only.
    axes.bar(rounds, 2 * spread, bottom=1 - spread, width=1, color=style.PALE, lw=0, zorder=1)
    axes.axhline(1, color=style.GREY, lw=0.8, zorder=2)
    axes.use_sticky_edges = False
    axes.autoscale_view(scalex=False)
    axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))


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
    spec: ActiveSpec = job.spec
    style.save(plot(style.read_table(table), spec["labels"]), png, pdf)


if __name__ == "__main__":
    main()
