"""Figure: is a model uncertain where annotators disagree? Pixel entropy by how far they agree.

After figure 5 of the study. Reads the tables `uncertainty_by_agreement` and `entropy_histograms`. Datasets without a
pixel on which annotators differ, such as those with one annotator, get no panel and are named in a note.
"""

import pandas as pd
from matplotlib.figure import Figure

from segunc.figures import distributions, style
from segunc.figures.specs import TableSpec

AGREEMENTS = {"agree": "all agree", "somewhat": "somewhat agree", "disagree": "disagree (a tie)"}


@style.applied()
def plot(means: pd.DataFrame, histograms: pd.DataFrame, spec: TableSpec) -> Figure:
    """A panel per dataset with disagreement; means: `uncertainty_by_agreement`; histograms: `entropy_histograms`."""
    known = means[means["mean"].notna()]
    # A dataset without any number gets a panel: its scores are missing, so whether annotators differ is unknown.
    uncontested = set(known["dataset"]) - set(known.loc[known["agreement"] != "agree", "dataset"])
    datasets = style.ordered(spec, "datasets", means["dataset"])
    shown = [name for name in datasets if name not in uncontested]
    rest = ", ".join(style.label(spec, "datasets", name) for name in datasets if name in uncontested)
    note = f"Not shown, because no two annotations of an image differ there: {rest}." if rest else ""
    if not shown:
        return style.empty_figure(spec, note or "no data")
    return distributions.plot(means, histograms, "agreement", AGREEMENTS, shown, spec, note)


main = distributions.program(plot)

if __name__ == "__main__":
    main()
