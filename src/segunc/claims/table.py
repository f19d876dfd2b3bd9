"""All claims, and `claims.csv`: their parts and verdicts."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from segunc.claims import active_learning, main_grid
from segunc.claims.study import Study
from segunc.claims.verdicts import Part, of_claim, of_part, p_value

OVERALL = "all datasets"
"""Stands for all of them together; no dataset can have this id."""
WHOLE = "all"
"""Stands for all parts of a claim."""
NUMBERS = ["estimate", "ci_low", "ci_high", "detectable", "n_seeds", "n_images", "n_patients", "effective_patients"]
COLUMNS = ["claim", "part", "dataset", "model", "estimand", "side", "margin", *NUMBERS[:3], "p", *NUMBERS[3:]]
COLUMNS += ["verdict", "note"]


class Claim(NamedTuple):
    """A claim with a verdict of its own."""

    text: str
    """A sentence without its full stop."""
    parts: Callable[[Study], list[Part]]
    """Its parts on one dataset."""


CLAIMS: Mapping[str, Claim] = {
    "1": Claim("Every model is less certain where it is wrong", main_grid.less_certain_where_wrong),
    "2": Claim("MC-dropout is never completely certain", main_grid.never_certain),
    "3": Claim("Uncertainty is low where annotators agree and high where they do not", main_grid.more_where_disputed),
    "3b": Claim("Where annotators differ, entropy is above 0.7 bit", main_grid.high_where_disputed),
    "3c": Claim("The more annotators differ, the higher the entropy", main_grid.more_at_a_tie),
    "4": Claim("The plain U-Net's uncertainty is competitive", main_grid.competitive_unet),
    "5": Claim("GED ranks Prob. U-Net, MC-dropout, ensemble, U-Net in this order", main_grid.order_by_ged),
    "5_index": Claim("The same order with the study's ensemble (labels by index)", main_grid.order_by_ged_with_index),
    "6": Claim(
        "Uncertainty sampling is no better than random (cross-entropy)", active_learning.no_gain_in_cross_entropy
    ),
    "6_dice": Claim("Uncertainty sampling is no better than random (Dice)", active_learning.no_gain_in_dice),
    "7_disputed": Claim("Uncertainty sampling picks disputed images", active_learning.disputed_picks),
    "7_large": Claim("Uncertainty sampling picks images with much foreground", active_learning.large_picks),
    "7_split": Claim("Uncertainty sampling picks images that only some annotators mark", active_learning.split_picks),
    "8": Claim("Samples beat the level sets of their own mean probability", main_grid.own_level_sets),
    "9": Claim("Probabilistic models beat the level sets of a plain U-Net", main_grid.level_sets_of_unet),
    **{
        f"10_{name}": Claim(f"{what} finds bad masks", partial(main_grid.finds_bad_masks, score=score))
        for name, score, what in (
            ("mean", "u_mean_entropy", "Mean entropy, the study's score,"),
            ("foreground", "u_foreground_entropy", "Mean entropy over the predicted foreground"),
            ("patch", "u_patch_entropy", "The largest mean entropy of a patch"),
            ("pairwise", "u_pairwise", "The distance between samples"),
        )
    },
}
"""By id, in the order of the tables."""


def claims(studies: Mapping[str, Study]) -> pd.DataFrame:
    """`claims.csv`, from the studies by dataset: for each claim a row per part, dataset by dataset.

    A row of the whole claim follows the parts of a dataset. With several datasets, one more is about those on which the
    claim can be judged.
    """
    rows = []
    for key, claim in CLAIMS.items():
        everywhere = []
        for dataset, study in studies.items():
            parts = claim.parts(study)
            rows += [_row(key, dataset, part) for part in parts]
            rows.append(_whole(key, dataset, parts))
            everywhere += [part for part in parts if any(other.estimate for other in parts)]
        if len(studies) > 1:
            rows.append(_whole(key, OVERALL, everywhere))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(key: str, dataset: str, part: Part) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": key, "part": part.name, "dataset": dataset, "model": " - ".join(part.models)}
    row |= {"estimand": part.estimand, "side": "above" if part.above else "below", "margin": part.margin}
    if part.estimate:
        row |= {name: getattr(part.estimate, name) for name in NUMBERS} | {"p": p_value(part.estimate, part.margin)}
    return row | {"verdict": of_part(part), "note": part.note}


def _whole(key: str, dataset: str, parts: list[Part]) -> dict[str, Any]:
    notes = dict.fromkeys(part.note for part in parts if part.note and part.needed)
    note = "; ".join(notes) if parts else "nothing of it in the grid"
    row = {"claim": key, "part": WHOLE, "dataset": dataset, "estimand": CLAIMS[key].text}
    return row | {"verdict": of_claim(parts), "note": note}
