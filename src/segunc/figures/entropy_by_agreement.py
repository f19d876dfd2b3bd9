"""Figure: is a model uncertain where annotators disagree? Pixel entropy by how far they agree.

After figure 5 of the study. Reads the tables `uncertainty_by_agreement` and `entropy_histograms`. Datasets without a
pixel on which annotators differ, such as those with one annotator, are named below and get no panel.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from segunc.figures import distributions, style
from segunc.runtime.stage import Job, stage

AGREEMENTS = {"agree": "all agree", "somewhat": "somewhat agree", "disagree": "disagree (a tie)"}


def draw(means: pd.DataFrame, histograms: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """A panel per dataset; means: `uncertainty_by_agreement`, histograms: `entropy_histograms`, labels: id -> label."""
    known = means[means["mean"].notna()]
    # A dataset without any number is missing: nobody knows about its annotators.
    uncontested = set(known["dataset"]) - set(known.loc[known["agreement"] != "agree", "dataset"])
    every = style.ordered(means["dataset"], labels)
    shown = [name for name in every if name not in uncontested]
    rest = ", ".join(labels.get(name, name) for name in every if name in uncontested)
    note = f"Not shown, because no two annotations of an image differ there: {rest}." if rest else ""
    if not shown:
        return style.nothing(note or "no data")
    return distributions.draw(means, histograms, "agreement", AGREEMENTS, shown, labels, note)


@stage
def main(
    job: Job,
    *,
    means: Path,  # uncertainty_by_agreement.csv
    histograms: Path,  # entropy_histograms.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    style.save(draw(style.read_table(means), style.read_table(histograms), labels), png, pdf)


if __name__ == "__main__":
    main()
