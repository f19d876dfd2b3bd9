"""`summary.md`: the summary table for reading."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from segunc.evaluation.headline import Headline, interval, labels_of_models
from segunc.evaluation.statistics import LEAST_DF, LEAST_PATIENTS, NETWORKS
from segunc.evaluation.tables import INTERVAL, is_baseline, is_model
from segunc.level_rows import is_levels
from segunc.metrics.registry import METRICS

BLOCKS = {
    "Samples against annotators": (
        "ged_u",
        "ged_levels",
        "coupling_gain",
        "diversity",
        "hm_iou",
        "d_max",
        "d_max_sample",
    ),
    "GED² by number of samples": ("ged_1", "ged_4", "ged_8", "ged_16", "ged_64", "ged_study_16"),
    "Mask of the mean probability": ("dice_cut", "iou_cut", "dice", "iou", "soft_dice_loss"),
    "Mean probability": ("cross_entropy", "brier", "brier_floor", "ece", "truth_rmse"),
    "Maps of uncertainty": (
        "error_auroc_band",
        "border_auroc_band",
        "centre_auroc_band",
        "error_auroc",
        "ncc",
        "s_ncc",
    ),
}
"""Metrics by title; the others come last."""
OF_SAMPLES = ("Samples against annotators", "GED² by number of samples")
"""The blocks with rows for level sets, which have all else from their model."""
DISTANCE = "annotator_distance"
"""The metric that is the same for all models, and is told beside the number of images."""
TARGET = "*knows the readers*"
HEADING = "*baselines*"
WIDTH = 118
"""Characters of a line: wider tables are split."""


def summary_markdown(
    table: pd.DataFrame,
    missing: pd.DataFrame,
    heads: Mapping[str, Headline],
    datasets: Mapping[str, str],
    models: Mapping[str, str],
) -> str:
    """`summary.md`: what is missing and why; per dataset the headline metrics and blocks of all, models as rows.

    The tables are `summary.csv` and `missing.csv`; `heads` are by dataset, `datasets` and `models` labels by id.
    """
    labels = labels_of_models(models)
    lines = [
        "# Summary",
        "",
        *_missing_lines(missing, datasets, labels),
        "`mean [low, high]`: the mean over the images of a seed, then over seeds.",
        "The interval holds for new patients and new trainings of the method; with one seed, for new patients alone.",
        f"There is none where fewer than {LEAST_PATIENTS} patients, or {LEAST_DF + 1} effective ones, have a value.",
        "In parentheses: on how many images the value is defined, where not on all. –: on none.",
        "",
        f"{TARGET}: the expected score of a model with independent samples that knows the distribution of readers, of",
        "which the annotators of an image are a sample; no model can be expected to do better.",
        "",
        "Level sets: the 16 level sets of a model's mean probability in the place of its samples. What does not depend",
        "on samples is the same.",
        "",
        "Effective patients: the number of equally large patients that would tell as much.",
    ]
    for dataset, block in table.groupby("dataset", sort=False):
        metrics = list(dict.fromkeys(block["metric"]))
        lines += ["", f"## {datasets.get(str(dataset), dataset)}", "", *_tested(block, labels)]
        if str(dataset) in heads:
            head = heads[str(dataset)]
            lines += ["", "### Headline metrics", "", *_head(head)]
        for title, columns in _blocks(metrics).items():
            of_block = block if title in OF_SAMPLES else block[~block["model"].map(is_levels)]
            lines += ["", f"### {title}", "", *_rows(of_block, columns, labels)]
    shown = list(dict.fromkeys(table["metric"]))
    lines += ["", "## Columns", ""]
    lines += [f"- {METRICS[metric].label} (`{metric}`): {METRICS[metric].meaning}." for metric in shown]
    return "\n".join(lines) + "\n"


def _head(head: Headline) -> Iterator[str]:
    left = [["model"], ["---"], *([model] for model in head.rows)]
    values = zip(*head.rows.values(), strict=True)
    columns = [[title, "---", *of_models] for title, of_models in zip(head.columns, values, strict=True)]
    yield from _tables(left, columns)


def _missing_lines(missing: pd.DataFrame, datasets: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[str]:
    """A warning and an item per dataset and reason; nothing if nothing is missing."""
    if missing.empty:
        return
    yield "**Incomplete.** These are missing, and the numbers below are without them:"
    yield ""
    for (dataset, why), entries in missing.groupby(["dataset", "why"], sort=False):
        by_model = entries.groupby("model", sort=False)["seed"]
        what = ", ".join(
            f"{labels.get(str(model), model)} (seed {', '.join(seeds.astype(str))})" for model, seeds in by_model
        )
        # An error message may contain Markdown.
        reason = re.sub(r"[\\`*<]", r"\\\g<0>", " ".join(str(why).split()))
        yield f"- **{datasets.get(str(dataset), dataset)}**: {what}: {reason}"
    yield ""


def _tested(block: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    """What the numbers of a dataset are from, in sentences."""
    if not _total(block):
        yield "No scores: see above."
        return
    effective = f"{block['effective_patients'].max():.1f}"
    yield f"{_total(block)} test images of {block['n_patients'].max()} patients (effective: {effective})."
    distance = block.loc[block["metric"] == DISTANCE, "mean"].max()
    if np.isfinite(distance):
        yield f"Two annotators of an image differ by D_U = {distance:.3f} (1 - IoU)."
    single = dict.fromkeys(block.loc[block["scope"] == NETWORKS, "model"])
    several = {model for model, rows in block.groupby("model") if rows["n_seeds"].max() > 1}
    if models := [labels.get(model, model) for model in single if model not in several]:
        yield f"One seed: the intervals of {', '.join(models)} are about these networks, not about the methods."


def _total(block: pd.DataFrame) -> int:
    return int((block["n_images"] + block["n_undefined"]).max())


def _blocks(metrics: Sequence[str]) -> dict[str, list[str]]:
    """The metrics of each table by its title."""
    placed = {DISTANCE, *(name for names in BLOCKS.values() for name in names)}
    by_title: Mapping[str, Sequence[str]] = {**BLOCKS, "Others": [name for name in metrics if name not in placed]}
    chosen = {title: [name for name in names if name in metrics] for title, names in by_title.items()}
    return {title: names for title, names in chosen.items() if names}


def _rows(block: pd.DataFrame, columns: Sequence[str], labels: Mapping[str, str]) -> Iterator[str]:
    """The tables of a block, as many as the width needs: the models, the targets, and the baselines."""
    by_model = {str(model): rows.set_index("metric") for model, rows in block.groupby("model", sort=False)}
    total = _total(block)
    targets = block.groupby("metric")["target"].mean()[columns]
    named = {model: labels.get(model, model) for model in by_model}
    of_models = [model for model in by_model if is_model(model)]
    of_levels = [model for model in by_model if is_levels(model)]
    of_baselines = [model for model in by_model if is_baseline(model)]
    left = [
        ["model", "seeds"],
        ["---", "---"],
        *([named[model], str(by_model[model]["n_seeds"].max())] for model in of_models),
        *([named[model], str(by_model[model]["n_seeds"].max())] for model in of_levels),
        *([[TARGET, ""]] if targets.notna().any() else []),
        [HEADING, ""],
        *([named[model], str(by_model[model]["n_seeds"].max())] for model in of_baselines),
    ]
    filled = [
        [
            _titled(metric),
            "---",
            *(_value(by_model[model].loc[metric], total) for model in of_models),
            *(_value(by_model[model].loc[metric], total) for model in of_levels),
            *([_target(targets[metric])] if targets.notna().any() else []),
            "",
            *(_value(by_model[model].loc[metric], total) for model in of_baselines),
        ]
        for metric in columns
    ]
    yield from _tables(left, filled)


def _tables(left: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of as many tables as the width needs, each with the columns on the left and without rows that are empty."""
    for first, several in enumerate(_packed(left, columns)):
        yield from [""] if first else []
        for i, cells in enumerate(left):
            values = [column[i] for column in several]
            if any(values) or cells[0] == HEADING:
                yield _line([*cells, *values])


def _packed(left: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """The columns in groups that are at most WIDTH wide together with those on the left, if one column is."""
    group: list[Sequence[str]] = []
    for column in columns:
        tried = [*group, column]
        widest = max(len(_line([*cells, *(values[i] for values in tried)])) for i, cells in enumerate(left))
        if group and widest > WIDTH:
            yield group
            tried = [column]
        group = tried
    yield group


def _titled(metric: str) -> str:
    """The label of a metric, and an arrow: up if higher is better."""
    higher = METRICS[metric].higher_is_better
    return METRICS[metric].label + {True: " ↑", False: " ↓", None: ""}[higher]


def _target(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _value(row: Any, total: int) -> str:
    if np.isnan(row["mean"]):
        return "–"
    of_some = f" ({row['n_images']})" if row["n_images"] < total else ""
    mean, low, high = (row[name] for name in INTERVAL)
    return interval(mean, low, high, digits=3) + of_some


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
