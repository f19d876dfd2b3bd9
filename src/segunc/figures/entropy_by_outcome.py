"""Figure: is a model uncertain where it is wrong? Pixel entropy of true and false positives and negatives.

After figure 4 of the study. Reads the tables `uncertainty_by_outcome` and `entropy_histograms`.
"""

import pandas as pd
from matplotlib.figure import Figure

from segunc.figures import distributions, style
from segunc.figures.specs import TableSpec

OUTCOMES = {"tp": "true positives", "fp": "false positives", "fn": "false negatives", "tn": "true negatives"}


@style.applied()
def plot(means: pd.DataFrame, histograms: pd.DataFrame, spec: TableSpec) -> Figure:
    """A panel per dataset; means: `uncertainty_by_outcome`; histograms: `entropy_histograms`."""
    datasets = style.ordered(spec, "datasets", means["dataset"])
    if not datasets:
        return style.empty_figure(spec, "no data")
    return distributions.plot(means, histograms, "outcome", OUTCOMES, datasets, spec)


main = distributions.program(plot)

if __name__ == "__main__":
    main()
