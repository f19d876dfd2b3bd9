"""`summary.md`: the summary table for reading."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from segunc.evaluation.tables import INTERVAL, is_baseline
from segunc.metrics.registry import METRICS


def summary_markdown(table: pd.DataFrame, missing: pd.DataFrame) -> str:
    """`summary.md`: the table of `summary` with one block per dataset, models as rows and metrics as columns.

    It begins with what is missing (`missing_scores`) and why.
    """
    lines = [
        "# Summary",
        "",
        *_missing_lines(missing),
        "`mean [low, high]` over test images, seeds averaged per image; the interval is from a bootstrap of patients.",
        "In parentheses: on how many images the value is defined, where not on all. –: on none.",
    ]
    for dataset, block in table.groupby("dataset", sort=False):
        per_model = {str(model): rows.set_index("metric") for model, rows in block.groupby("model", sort=False)}
        metrics = list(dict.fromkeys(block["metric"]))
        total = int((block["n_images"] + block["n_undefined"]).max())
        tested = f"{total} test images of {block['n_patients'].max()} patients." if total else "No scores: see above."
        lines += ["", f"## {dataset}", "", tested]
        of_samples = [metric for metric in metrics if METRICS[metric].judges_samples]
        for title, columns in (
            ("Draws against annotators", of_samples),
            ("Mean prediction and its uncertainty", [metric for metric in metrics if metric not in of_samples]),
        ):
            lines += ["", f"### {title}", "", _line(["model", "seeds", *columns])]
            lines += [_line(["---"] * (len(columns) + 2))]
            lines += _rows({m: rows for m, rows in per_model.items() if not is_baseline(m)}, columns, total)
            lines += [_line(["*baselines*", *[""] * (len(columns) + 1)])]
            lines += _rows({m: rows for m, rows in per_model.items() if is_baseline(m)}, columns, total)
    shown = list(dict.fromkeys(table["metric"]))
    lines += ["", "## Columns", "", *(f"- `{metric}`: {METRICS[metric].meaning}." for metric in shown)]
    return "\n".join(lines) + "\n"


def _missing_lines(missing: pd.DataFrame) -> Iterator[str]:
    """A warning and an item per dataset and reason; nothing if nothing is missing."""
    if missing.empty:
        return
    yield "**Incomplete.** These are missing, and the numbers below are without them:"
    yield ""
    for (dataset, why), entries in missing.groupby(["dataset", "why"], sort=False):
        by_model = entries.groupby("model", sort=False)["seed"]
        seeds = {str(model): ", ".join(of_model.dropna().astype(str)) for model, of_model in by_model}
        what = ", ".join(f"{model} (seed {numbers})" if numbers else model for model, numbers in seeds.items())
        # An error message may contain Markdown.
        reason = re.sub(r"[\\`*<]", r"\\\g<0>", " ".join(str(why).split()))
        yield f"- **{dataset}**: {what}: {reason}"
    yield ""


def _rows(per_model: dict[str, pd.DataFrame], columns: Sequence[str], total: int) -> Iterator[str]:
    for model, rows in per_model.items():
        values = [_value(rows.loc[metric], total) for metric in columns]
        yield _line([model, str(rows["n_seeds"].iloc[0]), *values])


def _value(row: Any, total: int) -> str:
    if np.isnan(row["mean"]):
        return "–"
    # Adding 0 makes a rounded -0.000 a 0.000.
    mean, low, high = (f"{round(row[name], 3) + 0:.3f}" for name in INTERVAL)
    interval = "" if np.isnan(row["ci_low"]) else f" [{low}, {high}]"
    return mean + interval + (f" ({row['n_images']})" if row["n_images"] < total else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
