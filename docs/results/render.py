"""Writes docs/results.md: the text of results.md.j2 with the numbers of the tables in this folder.

python docs/results/render.py
"""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


@cache
def read(path: str) -> pd.DataFrame:
    """`path`.csv; empty cells are "" or, in columns of numbers, NaN."""
    rows = pd.read_csv(HERE / f"{path}.csv")
    return rows.fillna(dict.fromkeys(rows.select_dtypes(exclude="number"), ""))


def table(path: str, **where: Any) -> list[dict[str, Any]]:
    """The rows of `path`.csv on which columns have these values, by column."""
    rows = read(path)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.to_dict("records")


def only(path: str, **where: Any) -> dict[str, Any]:
    """The only such row."""
    rows = table(path, **where)
    if len(rows) != 1:
        raise LookupError(f"{path}.csv has {len(rows)} rows with {where}")
    return rows[0]


def interval(mean: float, low: float, high: float, form: str = ".3f") -> str:
    """`mean [low, high]`, as all measured numbers are written."""
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def summary(run: str, dataset: str, model: str, metric: str, form: str = ".3f") -> str:
    """A metric of a model, with its interval."""
    row = only(f"{run}/summary", dataset=dataset, model=model, metric=metric)
    return interval(*(row[column] for column in ("mean", "ci_low", "ci_high")), form)


def difference(run: str, dataset: str, metric: str, first: str, second: str) -> tuple[float, float, float]:
    """Mean and interval of `first` minus `second`, whichever way round the table has the pair."""
    path, same = f"{run}/comparisons", {"dataset": dataset, "metric": metric}
    if rows := table(path, **same, model_a=first, model_b=second):
        return tuple(rows[0][column] for column in ("difference", "ci_low", "ci_high"))
    row = only(path, **same, model_a=second, model_b=first)
    return tuple(-row[column] for column in ("difference", "ci_high", "ci_low"))


def closer(run: str, dataset: str, reference: str) -> list[str]:
    """Models and level sets that are closer to the annotators than `reference`: the interval in `ged_u` is below 0."""
    names = [row["model"] for row in _models(run, dataset, "ged_u") if row["model"] != reference]
    return [name for name in names if difference(run, dataset, "ged_u", name, reference)[2] < 0]


def coupled(run: str, dataset: str) -> list[str]:
    """Models whose samples are closer to the annotators than the level sets of their mean: the interval is below 0."""
    return [row["model"] for row in _models(run, dataset, "coupling_gain") if row["ci_high"] < 0]


def _models(run: str, dataset: str, metric: str) -> list[dict[str, Any]]:
    """The rows of a metric, without baselines."""
    rows = table(f"{run}/summary", dataset=dataset, metric=metric)
    return [row for row in rows if not row["model"].startswith("baseline_")]


def page() -> str:
    """The text of docs/results.md."""
    environment = Environment(  # noqa: S701 (it is Markdown, not HTML)
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    environment.globals.update(
        table=table,
        only=only,
        interval=interval,
        summary=summary,
        difference=difference,
        closer=closer,
        coupled=coupled,
    )
    return environment.get_template("results.md.j2").render()


if __name__ == "__main__":
    (HERE.parent / "results.md").write_text(page(), encoding="utf-8")
