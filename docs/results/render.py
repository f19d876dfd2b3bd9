"""Writes docs/results.md: the text of results.md.j2 with the numbers of the tables in this folder.

python docs/results/render.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


def table(run: str, name: str, **where: Any) -> pd.DataFrame:
    """The rows of a table of a run on which columns have these values."""
    rows = pd.read_csv(HERE / run / f"{name}.csv", float_precision="round_trip")
    for column, value in where.items():
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    return rows


def row(run: str, name: str, **where: Any) -> Any:
    """The only such row."""
    rows = table(run, name, **where)
    if len(rows) != 1:
        raise LookupError(f"{run}/{name}.csv has {len(rows)} rows with {where}")
    return rows.iloc[0]


def interval(found: Any, value: str = "mean", digits: int = 3, signed: bool = False) -> str:
    """`mean [95 % interval]` of a row; nothing but the mean where there is no interval."""
    sign = "+" if signed else ""
    low, high = ("ci_low", "ci_high") if value in ("mean", "difference", "estimate") else (f"{value}_low", f"{value}_high")
    text = f"{found[value]:{sign}.{digits}f}"
    return text if pd.isna(found[low]) else f"{text} [{found[low]:{sign}.{digits}f}, {found[high]:{sign}.{digits}f}]"


def summary(run: str, dataset: str, model: str, metric: str, digits: int = 3) -> str:
    """A metric of a model with its interval."""
    return interval(row(run, "summary", dataset=dataset, model=model, metric=metric), digits=digits)


def difference(run: str, dataset: str, metric: str, first: str, second: str) -> dict[str, Any]:
    """Mean, interval and corrected p of `first` minus `second`, whichever way round the table has the pair."""
    rows = table(run, "comparisons", dataset=dataset, metric=metric, model_a=[first, second], model_b=[first, second])
    if len(rows) != 1:
        raise LookupError(f"{run}/comparisons.csv has {len(rows)} rows of {metric}, {first} and {second} on {dataset}")
    found = rows.iloc[0]
    sign = 1 if found.model_a == first else -1
    low, high = sorted((sign * found.ci_low, sign * found.ci_high))
    return {"difference": sign * found.difference, "ci_low": low, "ci_high": high, "p_holm": found.p_holm}


def page() -> str:
    """The text of docs/results.md."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    environment.globals.update(
        table=table, row=row, interval=interval, summary=summary, difference=difference, rows=rows_of
    )
    return environment.get_template("results.md.j2").render()


def rows_of(found: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, one after the other."""
    return (line for _, line in found.iterrows())


if __name__ == "__main__":
    (HERE.parent / "results.md").write_text(page(), encoding="utf-8")
