"""Figure: is a model uncertain where it is wrong? Pixel entropy of true and false positives and negatives.

After figure 4 of the study. Reads the tables `uncertainty_by_outcome` and `entropy_histograms`.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from segunc.figures import distributions, style
from segunc.runtime.stage import Job, stage

OUTCOMES = {"tp": "true positives", "fp": "false positives", "fn": "false negatives", "tn": "true negatives"}


def draw(means: pd.DataFrame, histograms: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """A panel per dataset; means: `uncertainty_by_outcome`, histograms: `entropy_histograms`, labels: id -> label."""
    datasets = style.ordered(means["dataset"], labels)
    if not datasets:
        return style.nothing("no data")
    return distributions.draw(means, histograms, "outcome", OUTCOMES, datasets, labels)


@stage
def main(
    job: Job,
    *,
    means: Path,  # uncertainty_by_outcome.csv
    histograms: Path,  # entropy_histograms.csv
    png: Path,  # file to write
    pdf: Path,  # file to write
) -> None:
    labels = job.spec["labels"]
    style.save(draw(style.read_table(means), style.read_table(histograms), labels), png, pdf)


if __name__ == "__main__":
    main()
