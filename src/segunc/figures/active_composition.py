"""Figure: what does each strategy pick? Foreground, disagreement, patients and lesions of each round's picks.

The study explains why uncertainty does not help by what it picks (large foreground, annotators who disagree), but shows
single images only. This figure shows it for all picks. Reads the table `active_learning`.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.figures import strategy_style, style
from segunc.figures.specs import ActiveLabels, ActiveSpec
from segunc.runtime.stage import Job, stage

QUANTITIES = {
    "picked_foreground": "foreground pixels (%)",
    "picked_disagreement": "annotators' IoU distance",
    "picked_patients": "different patients",
    "picked_groups": "different lesions",
}
COUNTS = ("picked_patients", "picked_groups")
INITIAL, PICKS = "dotted", (0, (5, 2.5))
"""Dashes of the two reference lines."""


def plot(table: pd.DataFrame, labels: ActiveLabels) -> Figure:
    """A row per dataset, a panel per quantity, a line per strategy: means over models and seeds.

    Foreground and disagreement are compared with the initial labelled set, which is sampled at random. Counts of
    patients and lesions are compared with the number of picks, which they cannot exceed. A line has a gap where a round
    is missing. A note above each dataset names the strategies without data. table: `active_learning`.
    """
    if table.empty:
        return style.empty_figure("no data")
    datasets, _, names = strategy_style.ids_in_order(table, labels)
    shares = table.assign(picked_foreground=100 * table["picked_foreground"])
    handles = [*(strategy_style.line(name, names, labels) for name in names)]
    handles += [
        strategy_style.reference_handle("initial labelled set", INITIAL),
        strategy_style.reference_handle("number of picks", PICKS),
    ]
    models, seeds = (table[name].nunique() for name in ("model", "seed"))
    most = strategy_style.at_most(table, ["dataset", "strategy", "round"])
    note = f"mean of {most}{style.count(models, 'model')} and {style.count(seeds, 'seed')}"
    of_dataset = [shares[shares["dataset"] == dataset] for dataset in datasets]
    headings = [labels["datasets"].get(dataset, dataset) for dataset in datasets]
    missing = [_missing(own, names, labels) for own in of_dataset]
    rows = [strategy_style.Row(heading, len(QUANTITIES), lost) for heading, lost in zip(headings, missing, strict=True)]
    figure, axes = strategy_style.panels(rows, handles, note)
    for row, own in zip(axes, of_dataset, strict=True):
        means = own.groupby(["strategy", "round"])[["images", *QUANTITIES]].mean()
        for panel, quantity in zip(row, QUANTITIES, strict=True):
            panel.set_title(QUANTITIES[quantity], loc="left", fontsize=8)
            strategy_style.budget_axis(panel, table["images"])
            _panel(panel, means, quantity, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _missing(rows: pd.DataFrame, names: list[str], labels: ActiveLabels) -> str:
    """The strategies without data in a dataset's panels; empty if no strategy has data, as the panels then say so."""
    lost = strategy_style.without_picks(rows, names)
    return "; ".join(labels["strategies"].get(name, name) for name in lost) if len(lost) < len(names) else ""


def _panel(axes: Axes, means: pd.DataFrame, quantity: str, names: list[str], labels: ActiveLabels) -> None:
    """Plots one quantity; means: `images` and the quantities, indexed by strategy and round."""
    rounds = means.index.get_level_values("round")
    picked = means[rounds > 0]
    if picked[quantity].isna().all():
        style.mark_empty(axes, "no data" if picked.empty else "one mask per image")
        return
    for name in names:
        line = strategy_style.line(name, names, labels)
        own = picked[picked.index.get_level_values("strategy") == name].droplevel("strategy")
        curve = own.reindex(range(1, rounds.max() + 1))
        line.set_data(curve["images"], curve[quantity])
        axes.add_line(line)
    if quantity in COUNTS:
        images = means["images"].groupby(level="round").first()
        strategy_style.reference_line(axes, (images.diff() / images.index.to_series().diff()).max(), PICKS)
        axes.locator_params("y", integer=True)
    else:
        strategy_style.reference_line(axes, means.loc[rounds == 0, quantity].iloc[0], INITIAL)
    axes.autoscale_view(scalex=False)
    axes.set_ylim(0, 1.03 * axes.get_ylim()[1])


@stage
def main(
    job: Job,
    *,
    table: Path,  # active_learning.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    spec: ActiveSpec = job.spec
    style.save(plot(style.read_table(table), spec["labels"]), png, pdf)


if __name__ == "__main__":
    main()
