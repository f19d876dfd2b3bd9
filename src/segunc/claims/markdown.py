"""`claims.md`: the claims for reading."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from segunc.claims.table import CLAIMS, OVERALL, WHOLE
from segunc.claims.verdicts import NOT_IN_THIS_RUN, UNDECIDED

HEAD = """# Claims

Claims 1 to 7 are those of Czolbe et al. 2021, claims 8 to 10 our own.
Quantities and margins were fixed before the run; `docs/claims.md` gives the reasons.
A part is supported if its 95 % interval (over patients and trainings) lies on the claimed side of the margin,
contradicted if it lies on the other side, and otherwise undecided.
A claim is supported if all its parts are, and contradicted if one is after Holm's correction.

- uninformative: the experiment could not have shown an effect.
- these networks only: there is one seed, so nothing is said about the methods.
- not in this run: models, strategies or annotators that the claim is about are missing.
"""


def claims_markdown(table: pd.DataFrame) -> str:
    """`claims.md`, from `claims`: a table of the verdicts, then each claim part by part with its numbers."""
    whole = table[table["part"] == WHOLE]
    verdicts = whole.pivot(index="claim", columns="dataset", values="verdict")
    datasets = list(dict.fromkeys(whole["dataset"]))
    lines = [HEAD, _line(["", "claim", *datasets]), _line(["---"] * (2 + len(datasets)))]
    lines += [_line([key, claim.text, *verdicts.loc[key, datasets]]) for key, claim in CLAIMS.items()]
    for key, rows in table.groupby("claim", sort=False):
        lines += ["", f"## {key}. {CLAIMS[str(key)].text}"]
        for dataset, own in rows.groupby("dataset", sort=False):
            if dataset != OVERALL:
                lines += ["", *_of_dataset(str(dataset), own)]
    return "\n".join(lines) + "\n"


def _of_dataset(dataset: str, rows: pd.DataFrame) -> Iterator[str]:
    """The verdict and its reason, and an item per quantity."""
    whole = rows[rows["part"] == WHOLE].iloc[0]
    yield f"**{dataset}: {whole['verdict']}**{' (' + whole['note'] + ')' if whole['note'] else ''}"
    parts = rows[(rows["part"] != WHOLE) & (rows["verdict"] != NOT_IN_THIS_RUN)]
    if len(parts):
        yield ""
    for (name, estimand), of_quantity in parts.groupby(["part", "estimand"], sort=False):
        claimed = "{side} {margin:g}".format_map(of_quantity.iloc[0])
        found = [
            f"{verdict} for {', '.join(_value(row) for row in of_verdict.to_dict('records'))}"
            for verdict, of_verdict in of_quantity.groupby("verdict", sort=False)
        ]
        yield f"- {name}: {estimand}, claimed to be {claimed}: {'; '.join(found)}."


def _value(row: dict[str, Any]) -> str:
    """The model with its estimate and interval, and with what could have been found if that was not decided."""
    if np.isnan(row["estimate"]):
        return f"`{row['model']}` (undefined)"
    # Adding 0 makes a rounded -0.000 a 0.000.
    estimate, low, high = (f"{round(row[name], 3) + 0:.3f}" for name in ("estimate", "ci_low", "ci_high"))
    interval = "no interval" if np.isnan(row["ci_low"]) else f"[{low}, {high}]"
    known = row["verdict"] == UNDECIDED and not np.isnan(row["detectable"])
    detectable = f", detectable {row['detectable']:.3f}" if known else ""
    return f"`{row['model']}` ({estimate} {interval}{detectable})"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
