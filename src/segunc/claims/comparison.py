"""`paper_comparison.csv`: published numbers beside ours, as far as a run covers them."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from segunc.active.tables import RANDOM, areas
from segunc.claims.published import CURVES, DATA, LABELLED, LIDC, SCORES, TESTS
from segunc.claims.study import Study, mean
from segunc.claims.verdicts import p_value
from segunc.metrics.registry import METRICS

COLUMNS = ["source", "dataset", "model", "quantity", "published", "ours", "ci_low", "ci_high", "n_seeds"]
COLUMNS += ["same_estimator", "note"]
LOSS = "cross_entropy"
SHUFFLED = "its ensemble learns from annotator slots by index"
MEMBERS_DRAWN = ("ged_4", "ged_8", "diversity")
"""Columns that differ from the study's if samples are exact: it draws members of the ensemble with replacement."""


def comparison(studies: Mapping[str, Study]) -> pd.DataFrame:
    """`paper_comparison.csv`: a row per published number and model of the same method.

    `same_estimator` says whether ours is the same quantity in expectation; `note` why not, and how the data differ.
    Networks and their training differ in all rows.
    """
    rows = []
    for dataset, study in studies.items():
        if dataset in DATA:
            data, difference = DATA[dataset]
            for row in (*_scores(study, data), *_tests(study, data), *_curves(study, data)):
                shuffled = any(study.roles.get(model) == "ensemble" for model in row["model"].split(" - "))
                notes = [row["note"], difference, SHUFFLED if shuffled and data == LIDC else ""]
                rows.append({**row, "dataset": dataset, "note": "; ".join(filter(None, notes))})
    return pd.DataFrame(rows, columns=COLUMNS)


def _scores(study: Study, data: str) -> Iterator[dict[str, Any]]:
    for number in (number for number in SCORES if number.data == data):
        for model in _of_method(study.roles, number.method):
            values = study.scores(model)[number.column]
            drawn = number.method == "ensemble" and number.column in MEMBERS_DRAWN
            note = "members drawn with replacement; " * drawn + number.note
            row: dict[str, Any] = {"source": number.source, "model": model}
            row |= {
                "quantity": f"{number.quantity} ({number.statistic})",
                "published": number.value,
                "same_estimator": number.same and not drawn,
                "note": note.rstrip("; "),
            }
            row |= {"ours": values.median()} if number.statistic == "median" else _mean(values, number.column)
            if not np.isnan(row["ours"]):
                yield row


def _tests(study: Study, data: str) -> Iterator[dict[str, Any]]:
    for (of, better, worse), p in TESTS.items():
        for pair in product(_of_method(study.roles, better), _of_method(study.roles, worse)):
            first, second = (study.scores(model)["ged_study_16"] for model in pair)
            estimate = mean(first - second)
            if of == data and estimate:
                two_sided = p_value(estimate, 0.0)
                ours = two_sided / 2 if estimate.estimate < 0 else 1 - two_sided / 2
                yield {
                    "source": "test_results.txt",
                    "model": " - ".join(pair),
                    "quantity": "one-sided p, GED, 16 samples",
                    "published": p,
                    "ours": ours,
                    "n_seeds": estimate.n_seeds,
                    "same_estimator": False,
                    "note": "unpaired, each image counted as a patient",
                }


def _curves(study: Study, data: str) -> Iterator[dict[str, Any]]:
    for (of, method, kind), published in CURVES.items():
        strategy = RANDOM if kind == "random" else study.uncertainty
        for model in _of_method(study.learners, method):
            own = study.curves.get((model, strategy))
            if of != data or own is None:
                continue
            losses = [pd.Series(values, index=own.units) for values in own.scores[LOSS].T]
            rounds = dict(zip(own.labelled.tolist(), losses, strict=True))
            found = [
                (f"test loss, {strategy}, {labelled} images", loss, rounds[labelled])
                for labelled, loss in zip(LABELLED, published, strict=True)
                if labelled in rounds
            ]
            if tuple(rounds) == LABELLED:
                area = float(np.trapezoid(published, LABELLED)) / (LABELLED[-1] - LABELLED[0])
                found.append((f"area under the curve of test loss, {strategy}", area, areas(own, LOSS)))
            for quantity, number, values in found:
                row: dict[str, Any] = {"source": "figure 8", "model": model, "quantity": quantity, "published": number}
                row |= {"same_estimator": False, "note": "loss of one annotator (ensemble: of its members), one run"}
                yield row | _mean(values, LOSS)


def _of_method(roles: Mapping[str, str], method: str) -> list[str]:
    """The models of a method; either order of labels counts as the study's ensemble."""
    return [model for model, role in roles.items() if role.removesuffix("_index") == method]


def _mean(values: pd.Series, column: str) -> dict[str, float]:
    estimate = mean(values, METRICS[column].scale)
    if estimate is None:
        return {"ours": float("nan")}
    interval = {"ours": estimate.estimate, "ci_low": estimate.ci_low, "ci_high": estimate.ci_high}
    return {**interval, "n_seeds": estimate.n_seeds}
