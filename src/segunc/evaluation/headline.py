"""The metrics that matter first, model by model, as text: for `summary.md` and `summary.tex`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segunc.evaluation.tables import BESIDE_LEVELS, GAIN
from segunc.level_rows import levels_of, with_levels
from segunc.metrics.registry import METRICS

SIGNIFICANT = 0.05
"""A model is marked as best if it differs from each other one with a corrected p below this."""
AUGRC = ("foreground", "entropy")
"""The aggregation and map of the uncertainty whose AUGRC is shown."""
BASELINES = {
    "baseline_empty": "empty mask",
    "baseline_blind": "image-agnostic masks",
    "baseline_annotator": "one annotator",
    "baseline_readings": "the annotators' masks",
}
"""What a baseline is called in text, by id."""


class Headline(NamedTuple):
    """The headline table of one dataset."""

    columns: list[str]
    """Titles, with an arrow up where higher is better."""
    rows: dict[str, list[str]]
    """By the label of the model or level sets: `mean [low, high]` or an en dash, by column. Empty text
    where level sets have no value of their own."""
    best: dict[int, str]
    """The label of the model that is better than each other one, by the position of the column."""


class Column(NamedTuple):
    """A column of a headline table."""

    title: str
    values: Mapping[str, str]
    """By id of the model or level sets."""
    metric: str = ""
    """That of the comparisons in which a model can be best; empty if there are none."""
    of_samples: bool = False
    """Whether it depends on the samples, so that level sets have values of their own."""


def labels_of_models(models: Mapping[str, str]) -> dict[str, str]:
    """Labels of models, of their level sets and of baselines by id."""
    return {**BASELINES, **with_levels(models)}


def headline(
    summary: pd.DataFrame, comparisons: pd.DataFrame, failures: pd.DataFrame, models: Mapping[str, str], unet: str
) -> dict[str, Headline]:
    """Dice, GED², coupling gain, difference to the level sets of the U-Net, cross-entropy and AUGRC, by dataset.

    The tables are `summary.csv`, `comparisons.csv` and `failure_detection.csv`; `models` are labels by id, and
    `unet` is the id of the U-Net, empty if there is none. GED² and level sets are left out where images have one
    annotator, and so are datasets and columns without any value.
    """
    labels = labels_of_models(models)
    tables = {}
    for dataset, rows in summary.groupby("dataset", sort=False):
        own = comparisons[comparisons["dataset"] == dataset]
        failed = failures[(failures["dataset"] == dataset) & (failures["aggregation"] == AUGRC[0])]
        shown = [str(model) for model in dict.fromkeys(rows["model"]) if model in models]
        levels = [levels_of(model) for model in shown]
        gains = _means(rows[rows["model"].isin(shown)], GAIN, digits=3)
        augrc = _texts(failed[failed["map"] == AUGRC[1]], "augrc", "augrc_low", "augrc_high")
        columns = [
            Column("Dice ↑", _means(rows, "dice_cut"), "dice_cut"),
            Column("GED² ↓", _means(rows, "ged_u"), "ged_u", of_samples=True),
            Column(f"{METRICS[GAIN].label} ↓", gains, of_samples=True),
            Column("− level sets of the U-Net", _beside_levels(own, unet), of_samples=True),
            Column("cross-entropy ↓", _means(rows, "cross_entropy"), "cross_entropy"),
            Column("AUGRC ↓", augrc),
        ]
        several = has_several_annotators(rows)
        columns = [column for column in columns if column.values and (several or not column.of_samples)]
        if columns:
            tables[str(dataset)] = Headline(
                [column.title for column in columns],
                {models[model]: [column.values.get(model, "–") for column in columns] for model in shown}
                | {labels[name]: [_of_levels(name, column) for column in columns] for name in levels if several},
                {i: models[best] for i, one in enumerate(columns) if (best := _best(own, one.metric, shown))},
            )
    return tables


def has_several_annotators(rows: pd.DataFrame) -> bool:
    """Whether an image of a dataset has several annotators, from its rows of `summary.csv`."""
    return bool(rows.loc[rows["metric"] == "annotator_distance", "mean"].notna().any())


def _of_levels(name: str, column: Column) -> str:
    return column.values.get(name, "") if column.of_samples else ""


def _means(rows: pd.DataFrame, metric: str, digits: int = 2) -> dict[str, str]:
    return _texts(rows[rows["metric"] == metric], "mean", "ci_low", "ci_high", digits=digits)


def _texts(rows: pd.DataFrame, mean: str, low: str, high: str, key: str = "model", digits: int = 2) -> dict[str, str]:
    """`mean [low, high]` by model, of those that have a mean."""
    return {str(row[key]): interval(row[mean], row[low], row[high], digits) for row in _defined(rows, mean)}


def _defined(rows: pd.DataFrame, column: str) -> list[dict[Any, Any]]:
    return rows[rows[column].notna()].to_dict("records")


def interval(mean: float, low: float, high: float, digits: int = 2) -> str:
    """`0.30 [0.24, 0.35]`, or the mean alone if there is no interval."""
    # Adding 0 makes a rounded -0.00 a 0.00.
    texts = [f"{round(value, digits) + 0:.{digits}f}" for value in (mean, low, high)]
    return texts[0] if np.isnan(low) else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _beside_levels(comparisons: pd.DataFrame, unet: str) -> dict[str, str]:
    """GED² of models and level sets minus that of the level sets of the U-Net's mean probability, by id."""
    found = comparisons[(comparisons["metric"] == BESIDE_LEVELS) & (comparisons["model_b"] == levels_of(unet))]
    return _texts(found, "difference", "ci_low", "ci_high", key="model_a", digits=3)


def _best(comparisons: pd.DataFrame, metric: str, models: Sequence[str]) -> str:
    """The model that is better than each other one in the metric, if there is one; else empty text."""
    higher = metric == "dice_cut"
    rows = comparisons[(comparisons["metric"] == metric) & (comparisons["p_holm"] < SIGNIFICANT)]
    better = [
        (row["model_a"], row["model_b"]) if (row["difference"] > 0) == higher else (row["model_b"], row["model_a"])
        for row in rows.to_dict("records")
    ]
    wins = {model: {other for first, other in better if first == model and other in models} for model in models}
    return next((model for model, beaten in wins.items() if beaten == {*models} - {model} and beaten), "")
