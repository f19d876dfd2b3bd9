"""Figure: what does each strategy pick? Foreground, disagreement, patients and lesions of each round's picks.

The study explains why uncertainty does not help by what it picks (large foreground, annotators who disagree), but shows
single images only. Reads the table `active_learning`.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.figures import strategy_style as strategies
from segunc.figures import style
from segunc.runtime.stage import Job, stage

QUANTITIES = {
    "picked_foreground": "marked pixels (%)",
    "picked_disagreement": "annotators' IoU distance",
    "picked_patients": "different patients",
    "picked_groups": "different lesions",
}
COUNTS = ("picked_patients", "picked_groups")
START, PICKS = "dotted", (0, (5, 2.5))
"""How the references are dashed."""


def draw(table: pd.DataFrame, labels: strategies.Labels) -> Figure:
    """A row per dataset, a panel per quantity, a line per strategy: means over models and seeds.

    Reference of the shares is the start set, which is drawn at random, that of the counts is the number of picks, which
    they cannot exceed. A line has a gap where a round is missing, and above a dataset the strategies without data are
    named. table: `active_learning`.
    """
    if table.empty:
        return style.nothing("no data")
    datasets, _, names = strategies.every(table, labels)
    shares = table.assign(picked_foreground=100 * table["picked_foreground"])
    handles = [*(strategies.line(name, names, labels) for name in names)]
    handles += [strategies.level_handle("start set", START), strategies.level_handle("number of picks", PICKS)]
    models, seeds = (table[name].nunique() for name in ("model", "seed"))
    most = strategies.at_most(table, ["dataset", "strategy", "round"])
    note = f"mean of {most}{strategies.count(models, 'model')} and {strategies.count(seeds, 'seed')}"
    of_dataset = [shares[shares["dataset"] == dataset] for dataset in datasets]
    headings = [labels["datasets"].get(dataset, dataset) for dataset in datasets]
    missing = [_missing(own, names, labels) for own in of_dataset]
    rows = [strategies.Row(heading, len(QUANTITIES), lost) for heading, lost in zip(headings, missing, strict=True)]
    figure, axes = strategies.panels(rows, handles, note)
    for row, own in zip(axes, of_dataset, strict=True):
        means = own.groupby(["strategy", "round"])[["images", *QUANTITIES]].mean()
        for panel, quantity in zip(row, QUANTITIES, strict=True):
            panel.set_title(QUANTITIES[quantity], loc="left", fontsize=8)
            strategies.budget_axis(panel, table["images"])
            _panel(panel, means, quantity, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _missing(rows: pd.DataFrame, names: list[str], labels: strategies.Labels) -> str:
    """The strategies that the panels of a dataset lack; none if the panels are empty, as these say so themselves."""
    lost = strategies.missing(rows, names)
    return "; ".join(labels["strategies"].get(name, name) for name in lost) if len(lost) < len(names) else ""


def _panel(axes: Axes, means: pd.DataFrame, quantity: str, names: list[str], labels: strategies.Labels) -> None:
    """One quantity; means: `images` and the quantities by strategy and round."""
    rounds = means.index.get_level_values("round")
    picked = means[rounds > 0]
    if picked[quantity].isna().all():
        style.empty(axes, "no data" if picked.empty else "one mask per image")
        return
    for name in names:
        line = strategies.line(name, names, labels)
        own = picked[picked.index.get_level_values("strategy") == name].droplevel("strategy")
        curve = own.reindex(range(1, rounds.max() + 1))
        line.set_data(curve["images"], curve[quantity])
        axes.add_line(line)
    if quantity in COUNTS:
        images = means["images"].groupby(level="round").first()
        strategies.level(axes, (images.diff() / images.index.to_series().diff()).max(), PICKS)
        axes.locator_params("y", integer=True)
    else:
        strategies.level(axes, means.loc[rounds == 0, quantity].iloc[0], START)
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
    labels = job.spec["labels"]
    style.save(draw(style.read_table(table), labels), png, pdf)


if __name__ == "__main__":
    main()
