"""Writes docs/results.md: the text of results.md.j2 with the numbers of the tables in this folder.

python docs/results/render.py
"""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from segunc.claims.answer import deciding_part
from segunc.claims.table import CLAIMS, WHOLE
from segunc.claims.verdicts import NOT_IN_THIS_RUN

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


def verdicts(run: str, dataset: str) -> list[dict[str, Any]]:
    """The claims that a run can judge on a dataset: `key`, `text`, `verdict`, `part` that decided, `restriction`."""
    rows = read(f"{run}/claims")
    found = []
    for key, claim in CLAIMS.items():
        own = rows[(rows["claim"] == key) & (rows["dataset"] == dataset)]
        verdict = own.loc[own["part"] == WHOLE, "verdict"].item()
        if verdict != NOT_IN_THIS_RUN:
            part, restriction = deciding_part(own)
            found.append(
                {
                    "key": key.replace("_", ", "),
                    "text": claim.text,
                    "verdict": verdict,
                    "part": None if part is None else part.to_dict(),
                    "restriction": restriction,
                }
            )
    return found


def part(run: str, dataset: str, claim: str, name: str, model: str) -> dict[str, Any]:
    """A part of a claim; `model` may be a pair, `a - b`."""
    return only(f"{run}/claims", dataset=dataset, claim=claim, part=name, model=model)


def verdict(run: str, dataset: str, *keys: str) -> str:
    """The verdict that these claims share, capitalised; raises LookupError if they differ."""
    rows = [only(f"{run}/claims", dataset=dataset, claim=key, part=WHOLE) for key in keys]
    found = {row["verdict"] for row in rows}
    if len(found) > 1:
        raise LookupError(f"claims {', '.join(keys)} are {' and '.join(sorted(found))}")
    return found.pop().capitalize()


def p_value(p: float) -> str:
    """`p = 0.02`; with few trainings, smaller numbers say little."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def hours(path: str, **where: Any) -> float:
    """Hours of CPU time in a table of costs; a list of values stands for any of them."""
    rows = read(path)
    for name, value in where.items():
        rows = rows[rows[name].isin(value if isinstance(value, list) else [value])]
    return float(rows["cpu_seconds"].sum()) / 3600


def jobs(run: str, step: str, python: str) -> int:
    """How many jobs of a step ran with a version of Python, which tells the machines of a run apart."""
    return sum(row["jobs"] for row in table(f"{run}/costs", step=step, python=python))


def curve(strategy: str, round: int, run: str = "real") -> str:
    """Mean cross-entropy of a strategy in a round."""
    row = only(f"{run}/active_learning", dataset="lidc", strategy=strategy, metric="cross_entropy", round=round)
    return f"{row['mean']:.4f}"


def planned(preset: str, step: str) -> dict[str, Any]:
    """What `segunc plan` expected of a step of a preset."""
    return only("plan", preset=preset, step=step)


def planned_hours(presets: list[str]) -> float:
    """Core-hours that `segunc plan` expected of these presets, without a GPU."""
    return sum(planned(preset, "total")["core_hours"] for preset in presets)


def picked(run: str, strategy: str, measure: str, column: str = "picks") -> float:
    """Mean of a measure of the picks, or of the pool, over rounds and seeds."""
    rows = table(f"{run}/active_picks", strategy=strategy, measure=measure)
    return sum(row[column] for row in rows) / len(rows)


def largest_difference(first: str, second: str, dataset: str, metric: str) -> float:
    """The largest difference between two runs in the mean of a metric, of the models and level sets of both."""
    means = [{row["model"]: row["mean"] for row in _models(run, dataset, metric)} for run in (first, second)]
    return max(abs(means[0][model] - means[1][model]) for model in means[0].keys() & means[1].keys())


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
        verdicts=verdicts,
        part=part,
        verdict=verdict,
        p_value=p_value,
        hours=hours,
        jobs=jobs,
        curve=curve,
        planned=planned,
        planned_hours=planned_hours,
        picked=picked,
        largest_difference=largest_difference,
    )
    return environment.get_template("results.md.j2").render()


if __name__ == "__main__":
    (HERE.parent / "results.md").write_text(page(), encoding="utf-8")
