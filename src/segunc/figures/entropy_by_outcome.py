"""Figure: is a model uncertain where it is wrong? Pixel entropy of true and false positives and negatives.

After figure 4 of the study. Reads the tables `uncertainty_by_outcome` and `entropy_histograms`.
"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from segunc.figures import distributions, style

OUTCOMES = {"tp": "true positives", "fp": "false positives", "fn": "false negatives", "tn": "true negatives"}


def plot(means: pd.DataFrame, histograms: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """A panel per dataset.

    means: `uncertainty_by_outcome`; histograms: `entropy_histograms`; labels: by dataset and model.
    """
    datasets = style.ordered(means["dataset"], labels)
    if not datasets:
        return style.empty_figure("no data")
    return distributions.plot(means, histograms, "outcome", OUTCOMES, datasets, labels)


main = distributions.program(plot)

if __name__ == "__main__":
    main()
