"""`answer.md`: what a run says, from its tables."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from segunc.claims.answer import HEADLINES, AnswerSpec, Tables, answer
from segunc.claims.table import CLAIMS, COLUMNS, WHOLE

SPEC: AnswerSpec = {
    "datasets": {"lidc": "LIDC-IDRI", "skin": "Phantom skin"},
    "models": {"unet": "U-Net", "prob_unet": "Prob. U-Net"},
    "unet": "unet",
    "synthetic": ["skin"],
}
EMPTY = ["dataset", "model", "n_empty", "n_marked"]


def claim(key: str, dataset: str, verdict: str, *parts: dict[str, Any], note: str = "") -> list[dict[str, Any]]:
    whole = {"claim": key, "part": WHOLE, "dataset": dataset, "estimand": "", "verdict": verdict, "note": note}
    named = [{"claim": key, "dataset": dataset, "side": "above", "note": "", **part} for part in parts]
    return [*named, whole]


def part(model: str, verdict: str, estimate: float, half: float = 0.1, margin: float = 0.0) -> dict[str, Any]:
    numbers = {"estimate": estimate, "ci_low": estimate - half, "ci_high": estimate + half, "margin": margin}
    return {"part": "a", "model": model, "estimand": f"gain of {model} (bit)", "verdict": verdict, **numbers}


def summary(dataset: str = "lidc", several: bool = True, **changed: Any) -> pd.DataFrame:
    means = {"unet": (0.6, 0.7), "prob_unet": (0.3, 0.65), "unet+levels": (0.4, 0.7)}
    rows = [
        {"dataset": dataset, "model": model, "metric": metric, "mean": mean}
        for model, values in means.items()
        for metric, mean in zip(("ged_u", "dice_cut"), values, strict=True)
    ]
    rows.append({"dataset": dataset, "model": "unet", "metric": "annotator_distance", "mean": 0.5 if several else None})
    counts = {"n_seeds": 3, "n_images": 90, "n_undefined": 10, "n_patients": 50, "effective_patients": 45.0}
    return pd.DataFrame(rows).assign(**counts | changed)


def text(claims: list[dict[str, Any]], **tables: pd.DataFrame) -> str:
    empty = pd.DataFrame(columns=EMPTY)
    found = {"summary": summary(), "empty_masks": empty, "missing": empty, "missing_rounds": empty} | tables
    return answer(Tables(claims=pd.DataFrame(claims, columns=COLUMNS), **found), SPEC)


def test_parts_that_a_correction_leaves_open_have_a_number() -> None:
    rows = claim("8", "lidc", "undecided", part("unet", "contradicted", -0.2), part("prob_unet", "contradicted", -0.3))
    said = text(rows)
    assert "**undecided**; gain of prob_unet (bit): -0.300 [-0.400, -0.200] for Prob. U-Net, claimed to be " in said
    assert "which a correction for all 2 parts leaves open." in said


def test_an_undecided_claim_has_the_number_that_is_most_against_it() -> None:
    rows = claim(
        "8",
        "lidc",
        "undecided",
        part("unet", "undecided", 0.05),
        part("prob_unet", "undecided", -0.05),
        part("dropout", "supported", -0.3),
    )
    said = text(rows)
    assert "gain of prob_unet (bit): -0.050 [-0.150, 0.050] for Prob. U-Net, claimed to be above 0." in said


def test_a_part_without_an_interval_is_not_most_against_a_claim() -> None:
    without = {**part("unet", "undecided", 0.5), "ci_low": np.nan, "ci_high": np.nan}
    rows = claim("8", "lidc", "undecided", without, part("prob_unet", "undecided", 0.05))
    assert "gain of prob_unet (bit): 0.050 [" in text(rows)


def test_a_verdict_has_the_number_that_decided() -> None:
    rows = claim("1", "lidc", "supported", part("unet", "supported", 0.5), part("prob_unet", "supported", 0.2))
    rows += claim("1", "skin", "contradicted", part("unet", "contradicted", -0.4), part("prob_unet", "supported", 0.9))
    lines = text(rows).splitlines()
    assert lines[:2] == ["# Answer", ""]
    assert lines[2:5] == [
        f"- Claim 1: {CLAIMS['1'].text}.",
        "  - LIDC-IDRI: **supported**; gain of prob_unet (bit): 0.200 [0.100, 0.300] for Prob. U-Net,"
        " claimed to be above 0.",
        "  - Phantom skin: **contradicted**; gain of unet (bit): -0.400 [-0.500, -0.300] for U-Net,"
        " claimed to be above 0.",
    ]


def test_without_a_number_there_is_a_reason() -> None:
    rows = claim("6", "lidc", "uninformative", part("unet", "uninformative", 0.1), note="random does not get better")
    assert "LIDC-IDRI: **uninformative**; random does not get better." in text(rows)
    pair = claim("8", "lidc", "undecided", {**part("unet - prob_unet", "undecided", 0.1), "ci_low": np.nan})
    assert "0.100 for U-Net beside Prob. U-Net, claimed" in text(pair)


def test_what_is_not_in_the_run_is_said_once() -> None:
    said = text([row for key in HEADLINES for row in claim(key, "lidc", "not in this run")])
    assert said.count("Not in this run") == 1 and all(CLAIMS[key].text in said for key in HEADLINES)


def test_means_are_in_order_of_the_metric() -> None:
    line = next(line for line in text([]).splitlines() if line.startswith("- LIDC-IDRI"))
    assert line == (
        "- LIDC-IDRI, 100 test images of 50 patients: GED² (lower is better): Prob. U-Net 0.30, level sets of U-Net"
        " 0.40, U-Net 0.60; Dice (higher is better): U-Net 0.70, Prob. U-Net 0.65."
    )
    assert "GED²" not in text([], summary=summary(several=False))


def test_models_that_beat_the_level_sets_of_their_own_mean_are_named() -> None:
    gains = {"unet": (0.4, 0.3, 0.5), "prob_unet": (-0.031, -0.05, -0.012), "dropout": (0.01, -0.02, 0.04)}
    spec: AnswerSpec = {**SPEC, "models": {**SPEC["models"], "dropout": "MC-dropout"}}
    rows = [
        {"dataset": "lidc", "model": model, "metric": "coupling_gain", "mean": mean, "ci_low": low, "ci_high": high}
        for model, (mean, low, high) in {**gains, "unet+levels": (0.0, 0.0, 0.0)}.items()
    ]
    empty = pd.DataFrame(columns=EMPTY)
    claims = pd.DataFrame(columns=COLUMNS)
    for several in (True, False):
        table = pd.concat([summary(several=several), pd.DataFrame(rows)])
        said = answer(Tables(claims, table, empty, empty, empty), spec)
        assert ("Do samples beat the level sets of their own mean" in said) == several
        sentence = (
            "  - LIDC-IDRI: yes: Prob. U-Net -0.031 [-0.050, -0.012]; undecided: MC-dropout 0.010 [-0.020, 0.040]; "
            "no: U-Net 0.400 [0.300, 0.500]."
        )
        assert (sentence in said.splitlines()) == several


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"summary": summary("skin")}, "Phantom skin is synthetic: the numbers say nothing about patients."),
        ({"summary": summary(n_seeds=1)}, "LIDC-IDRI: with one seed, the numbers are about these networks"),
        ({"summary": summary(effective_patients=7.2)}, "the test images weigh as much as 7 patients"),
        (
            {
                "empty_masks": pd.DataFrame(
                    [("lidc", "unet", 30, 100)], columns=["dataset", "model", "n_empty", "n_marked"]
                )
            },
            "U-Net predicts nothing on 30 of 100 images of LIDC-IDRI on which at least half",
        ),
        ({"missing": pd.DataFrame({"dataset": ["lidc"] * 2})}, "The scores of 2 models are missing"),
        ({"missing_rounds": pd.DataFrame({"dataset": ["lidc"]})}, "`active_missing.csv` says why"),
    ],
)
def test_warnings(tables: dict[str, pd.DataFrame], sentence: str) -> None:
    assert "Before you rely on it" not in text([])
    said = text([], **tables)
    assert sentence in said.split("Before you rely on it:")[1]
