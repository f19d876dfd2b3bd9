"""Figure: what does each strategy pick? Foreground, disagreement, patients and lesions of each round's picks.

The study explains why uncertainty does not help by what it picks (large foreground, annotators who disagree), but shows
single images only. Reads the table `active_learning`.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segunc.figures import strategies, style
from segunc.stage import stage

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
    they cannot exceed. table: `active_learning`.
    """
    if table.empty:
        return style.nothing("no data")
    datasets, models, names = strategies.present(table, labels)
    shares = table.assign(picked_foreground=100 * table["picked_foreground"])
    handles = [*(strategies.line(name, names, labels) for name in names)]
    handles += [strategies.level_handle("start set", START), strategies.level_handle("number of picks", PICKS)]
    note = f"mean of {strategies.count(len(models), 'model')} and {strategies.count(table['seed'].nunique(), 'seed')}"
    rows = [(labels["datasets"].get(dataset, dataset), len(QUANTITIES)) for dataset in datasets]
    figure, axes = strategies.panels(rows, handles, note)
    for row, dataset in zip(axes, datasets, strict=True):
        means = shares[shares["dataset"] == dataset].groupby(["strategy", "round"])[["images", *QUANTITIES]].mean()
        for panel, quantity in zip(row, QUANTITIES, strict=True):
            panel.set_title(QUANTITIES[quantity], loc="left", fontsize=8)
            _panel(panel, means, quantity, names, labels)
    for panel in axes[-1]:
        panel.set_xlabel("labelled images")
    return figure


def _panel(axes: Axes, means: pd.DataFrame, quantity: str, names: list[str], labels: strategies.Labels) -> None:
    """One quantity; means: `images` and the quantities by strategy and round."""
    picked = means.drop(0, level="round")
    strategies.budget_axis(axes, means["images"])
    if picked[quantity].isna().all():
        axes.set(yticks=[])
        axes.text(0.5, 0.5, "one mask per image", transform=axes.transAxes, ha="center", color=style.GREY)
        return
    for name in names:
        line = strategies.line(name, names, labels)
        curve = picked.xs(name)
        line.set_data(curve["images"], curve[quantity])
        axes.add_line(line)
    if quantity in COUNTS:
        strategies.level(axes, means.xs(names[0])["images"].diff().max(), PICKS)
        axes.locator_params("y", integer=True)
    else:
        strategies.level(axes, means.xs(0, level="round")[quantity].iloc[0], START)
    axes.autoscale_view(scalex=False)
    axes.set_ylim(0, 1.03 * axes.get_ylim()[1])


@stage
def main() -> None:
    parser = style.parser(__doc__)
    parser.add_argument("--table", type=Path, required=True, help="active_learning.csv")
    args = parser.parse_args()
    labels = args.spec["labels"]
    style.save(draw(style.read_table(args.table), labels), args.png, args.pdf)


if __name__ == "__main__":
    main()
