"""`answer.md`: what a run says, in about ten sentences."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypedDict

import numpy as np
import pandas as pd

from segunc.claims.table import CLAIMS, OVERALL, WHOLE
from segunc.claims.verdicts import (
    CONTRADICTED,
    NOT_IN_THIS_RUN,
    SUPPORTED,
    UNDECIDED,
    UNINFORMATIVE,
)
from segunc.evaluation.headline import has_several_annotators, interval, labels_of_models
from segunc.evaluation.tables import GAIN
from segunc.level_rows import levels_of

HEADLINES = ("1", "2", "3", "4", "5", "6", "7_large", "8", "9", "10_foreground")
"""The claims of which the answer has a sentence each."""
SHOWN = {"ged_u": "GED² (lower is better)", "dice_cut": "Dice (higher is better)"}
"""Metrics whose means the answer lists; the first only where an image has several annotators."""
EMPTY_SHARE = 0.05
"""A warning is given from this share of empty masks."""
FEW_PATIENTS = 20
"""A warning is given below this number of effective patients."""


class AnswerSpec(TypedDict):
    """The spec of the step `answer`."""

    datasets: dict[str, str]
    """Labels by id."""
    models: dict[str, str]
    """Labels by id."""
    unet: str
    """Id of the plain U-Net; empty if there is none."""
    synthetic: list[str]
    """Ids of the datasets that are phantoms."""


class Tables(NamedTuple):
    """What the answer is made of, as `results/tables` has it."""

    claims: pd.DataFrame
    summary: pd.DataFrame
    empty_masks: pd.DataFrame
    missing: pd.DataFrame
    """Scores of the main grid."""
    missing_rounds: pd.DataFrame
    """Scores of rounds of active learning."""


def answer(tables: Tables, spec: AnswerSpec) -> str:
    """`answer.md`, in Markdown: a sentence per claim, the models' means and coupling gains, warnings, what is missing.

    The number beside a verdict is of the part that decided: of a supported claim the part nearest to its margin, of a
    contradicted one the part farthest on the other side of it, else the unsupported part nearest to that side.
    """
    whole = tables.claims[tables.claims["part"] == WHOLE]
    warnings = list(_warnings(tables, spec))
    lines = ["# Answer", ""]
    lines += [f"- {sentence}" for sentence in _verdicts(tables.claims, spec)]
    absent = [key for key in HEADLINES if (whole.loc[whole["claim"] == key, "verdict"] == NOT_IN_THIS_RUN).all()]
    if absent:
        lines.append(f"- Not in this run: {'; '.join(CLAIMS[key].text for key in absent)}.")
    lines += [f"- {sentence}" for sentence in _means(tables.summary, spec)]
    lines += _gains(tables.summary, spec)
    if warnings:
        lines += ["", "Before you rely on it:", "", *(f"- {sentence}" for sentence in warnings)]
    return "\n".join(lines) + "\n"


def _verdicts(claims: pd.DataFrame, spec: AnswerSpec) -> Iterator[str]:
    """An item per claim that the run has data for, with one below it per dataset: the verdict and a number."""
    for key in HEADLINES:
        rows = claims[(claims["claim"] == key) & (claims["dataset"] != OVERALL)]
        found = []
        for dataset, own in rows.groupby("dataset", sort=False):
            verdict = own.loc[own["part"] == WHOLE, "verdict"].iloc[0]
            if verdict != NOT_IN_THIS_RUN:
                found.append(f"{_label(str(dataset), spec['datasets'])}: **{verdict}**; {_evidence(own, spec)}.")
        if found:
            yield "\n".join(
                [f"Claim {key.replace('_', ' ')}: {CLAIMS[key].text}.", *(f"  - {sentence}" for sentence in found)]
            )


def deciding_part(rows: pd.DataFrame) -> tuple[pd.Series | None, str]:
    """The part that decided the verdict on a claim on one dataset, of its rows in `claims.csv`, and a restriction.

    None if no part has a number that decided; the restriction then says why. Otherwise it is empty but for parts that
    are contradicted on their own, and not as one of several.
    """
    of_claim = rows[rows["part"] == WHOLE].iloc[0]
    verdict, note = of_claim["verdict"], of_claim["note"] if isinstance(of_claim["note"], str) else ""
    measured = rows[(rows["part"] != WHOLE) & rows["estimate"].notna()]
    parts = measured[measured["verdict"] != SUPPORTED if verdict == UNDECIDED else measured["verdict"] == verdict]
    if parts.empty or (verdict == UNINFORMATIVE and note):
        return None, note or "no number"
    above = parts["side"] == "above"
    # By how much the interval is within the claimed range, or beyond it, in the unit of the part.
    inside = np.where(above, parts["ci_low"] - parts["margin"], parts["margin"] - parts["ci_high"])
    outside = np.where(above, parts["margin"] - parts["ci_high"], parts["ci_low"] - parts["margin"])
    against = -inside if verdict == SUPPORTED else outside
    # With few patients, there is no interval.
    chosen = parts.iloc[int(np.nan_to_num(against, nan=-np.inf).argmax())]
    if verdict == UNDECIDED and chosen["verdict"] == CONTRADICTED:
        return chosen, f"which a correction for all {len(measured)} parts leaves open"
    return chosen, ""


def _evidence(rows: pd.DataFrame, spec: AnswerSpec) -> str:
    """The number of the part that decided the verdict on a claim on one dataset, or why there is none."""
    part, restriction = deciding_part(rows)
    if part is None:
        return restriction
    models = " beside ".join(_label(model, spec["models"]) for model in str(part["model"]).split(" - "))
    value = interval(part["estimate"], part["ci_low"], part["ci_high"], digits=3)
    said = f"{part['estimand']}: {value} for {models}, claimed to be {part['side']} {part['margin']:g}"
    return f"{said}, {restriction}" if restriction else said


def _means(summary: pd.DataFrame, spec: AnswerSpec) -> Iterator[str]:
    """A sentence per dataset: on how many images, and the means of the models in order of the metric."""
    for dataset, rows in summary.groupby("dataset", sort=False):
        levels = levels_of(spec["unet"])
        models = rows[rows["model"].isin([*spec["models"], levels])]
        listed = []
        for metric, title in SHOWN.items():
            own = models[(models["metric"] == metric) & models["mean"].notna()]
            if own.empty or (metric == "ged_u" and not has_several_annotators(rows)):
                continue
            own = own[own["model"] != levels] if metric != "ged_u" else own
            own = own.sort_values("mean", ascending=metric == "ged_u", kind="stable")
            values = [
                f"{_label(row['model'], labels_of_models(spec['models']))} {row['mean']:.2f}"
                for row in own.to_dict("records")
            ]
            listed.append(f"{title}: {', '.join(values)}")
        if listed:
            count = int((rows["n_images"] + rows["n_undefined"]).max())
            tested = f"{count} test images of {rows['n_patients'].max()} patients"
            yield f"{_label(str(dataset), spec['datasets'])}, {tested}: {'; '.join(listed)}."


def _gains(summary: pd.DataFrame, spec: AnswerSpec) -> Iterator[str]:
    """An item with one below it per dataset: which models beat the level sets of their own mean, in order of gain."""
    found = []
    for dataset, rows in summary.groupby("dataset", sort=False):
        own = rows[(rows["metric"] == GAIN) & rows["model"].isin(spec["models"]) & rows["mean"].notna()]
        if own.empty or not has_several_annotators(rows):
            continue
        listed: dict[str, list[str]] = {"yes": [], "undecided": [], "no": []}
        for row in own.sort_values("mean", kind="stable").to_dict("records"):
            verdict = "yes" if row["ci_high"] < 0 else "no" if row["ci_low"] > 0 else "undecided"
            value = interval(row["mean"], row["ci_low"], row["ci_high"], digits=3)
            listed[verdict].append(f"{_label(row['model'], spec['models'])} {value}")
        said = "; ".join(f"{verdict}: {', '.join(models)}" for verdict, models in listed.items() if models)
        found.append(f"  - {_label(str(dataset), spec['datasets'])}: {said}.")
    if found:
        yield "- Do samples beat the level sets of their own mean probability (coupling gain below 0)?"
        yield from found


def _warnings(tables: Tables, spec: AnswerSpec) -> Iterator[str]:
    """Sentences that limit what the numbers say."""
    datasets = [str(name) for name in dict.fromkeys([*tables.summary["dataset"], *tables.claims["dataset"]])]
    if synthetic := [_label(name, spec["datasets"]) for name in datasets if name in spec["synthetic"]]:
        verb = "are" if len(synthetic) > 1 else "is"
        yield f"{' and '.join(synthetic)} {verb} synthetic: the numbers say nothing about patients."
    for dataset, rows in tables.summary.groupby("dataset", sort=False):
        label, scored = _label(str(dataset), spec["datasets"]), rows[rows["model"].isin(spec["models"])]
        if scored.empty:
            continue
        if scored["n_seeds"].max() == 1:
            yield f"{label}: with one seed, the numbers are about these networks, not about the methods."
        effective = scored["effective_patients"].max()
        if effective < FEW_PATIENTS:
            yield f"{label}: the test images weigh as much as {effective:.0f} patients; the intervals are rough."
    for row in tables.empty_masks.to_dict("records"):
        if row["n_empty"] > EMPTY_SHARE * row["n_marked"]:
            where = f"{row['n_empty']} of {row['n_marked']} images of {_label(row['dataset'], spec['datasets'])}"
            model = _label(row["model"], spec["models"])
            yield f"{model} predicts nothing on {where} on which at least half of the annotators mark something."
    for missing, what in ((tables.missing, "models"), (tables.missing_rounds, "rounds of active learning")):
        if len(missing):
            table = "missing" if what == "models" else "active_missing"
            yield f"The scores of {len(missing)} {what} are missing: `{table}.csv` says why."


def _label(name: str, labels: Mapping[str, str]) -> str:
    return labels.get(name, name)
