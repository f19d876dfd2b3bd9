"""Claims about models that were trained on all images: 1 to 5 are the study's, 8 to 10 our own.

Each function returns the parts of a claim on one dataset. docs/claims.md has the reasons for quantities and margins.
"""

from itertools import combinations

import pandas as pd
from numpy.typing import NDArray

from segunc.claims.study import Study, mean, share_below, statistic
from segunc.claims.verdicts import Part
from segunc.metrics.ranking import augrc


def less_certain_where_wrong(study: Study) -> list[Part]:
    """Claim 1. A map that never looks at the image passes 1a, hence the other parts."""
    contrasts = (
        ("1a", "entropy_wrong", "entropy_right", 0.10, "entropy of wrong pixels minus that of right ones (bit)"),
        ("1b_fp", "entropy_fp", "entropy_tp", 0.0, "entropy of false positives minus that of true positives (bit)"),
        ("1b_fn", "entropy_fn", "entropy_tn", 0.0, "entropy of false negatives minus that of true negatives (bit)"),
        ("1c", "error_auroc_band", "border_auroc_band", 0.02, "error AUROC near borders minus that of border distance"),
    )
    return [
        study.part(name, [model], estimand, margin, mean(rows[first] - rows[second]))
        for name, first, second, margin, estimand in contrasts
        for model in study.roles
        for rows in [study.scores(model)]
    ]


def never_certain(study: Study) -> list[Part]:
    """Claim 2: literally (2a), and compared with every other model (2b)."""
    dropout = study.named("mc_dropout")
    rows = study.scores(dropout)
    parts = [
        study.part(name, [dropout], f"share of {pixels} below 0.05 bit", 0.05, mean(rows[score]))._replace(above=False)
        for name, score, pixels in (
            ("2a_tp", "certain_tp", "true positives"),
            ("2a_tn", "certain_tn", "true negatives"),
        )
    ]
    estimand = "share of right pixels below 0.05 bit minus that of MC-dropout"
    for model in study.others("mc_dropout"):
        difference = certain_share(study.scores(model)) - certain_share(rows)
        parts.append(study.part("2b", [model, dropout], estimand, 0.05, mean(difference)))
    return parts


def certain_share(rows: pd.DataFrame) -> pd.Series:
    """Share of the right pixels of each image with an entropy below 0.05 bit; NaN if none is right."""
    certain = sum(rows[f"pixels_{group}"] * rows[f"certain_{group}"].fillna(0) for group in ("tp", "tn"))
    right = rows["pixels_tp"] + rows["pixels_tn"]
    return certain / right.where(right > 0)


def more_where_disputed(study: Study) -> list[Part]:
    """Claim 3."""
    estimand = "entropy of pixels on which annotators differ minus that of the others (bit)"
    return _of_entropies(study, "3a", "entropy_disputed", "entropy_agree", 0.20, estimand)


def high_where_disputed(study: Study) -> list[Part]:
    """Claim 3b: the level that the paper names."""
    estimand = "entropy of pixels on which annotators differ (bit)"
    return _of_entropies(study, "3b", "entropy_disputed", "", 0.70, estimand)


def more_at_a_tie(study: Study) -> list[Part]:
    """Claim 3c: the reading "more dispute, more entropy"."""
    estimand = "entropy at a tie of the annotators minus that with a minority (bit)"
    return _of_entropies(study, "3c", "entropy_disagree", "entropy_somewhat", 0.0, estimand)


def _of_entropies(study: Study, name: str, first: str, second: str, margin: float, estimand: str) -> list[Part]:
    """Score `first`, minus `second` if there is one, of every model."""
    parts = []
    for model in study.roles:
        rows = study.scores(model, several=True)
        values = rows[first] - rows[second] if second else rows[first]
        parts.append(study.part(name, [model], estimand, margin, mean(values)))
    return parts


def competitive_unet(study: Study) -> list[Part]:
    """Claim 4: no other model is better than the plain U-Net by more than a margin (non-inferiority)."""
    unet = study.named("unet")
    reference = study.scores(unet)
    parts = []
    for model in study.others("unet"):
        rows = study.scores(model)
        auroc = mean(rows["error_auroc_band"] - reference["error_auroc_band"])
        cross_entropy = statistic(share_below, rows["cross_entropy"], reference["cross_entropy"])
        ranked = [column for own in (reference, rows) for column in (1 - own["dice"], own["u_foreground_entropy"])]
        for name, margin, estimate, estimand in (
            ("4i", 0.01, auroc, "error AUROC near borders minus the U-Net's"),
            ("4ii", 0.05, cross_entropy, "share by which the cross-entropy is below the U-Net's"),
            ("4iii", 0.01, statistic(_augrc_difference, *ranked), "AUGRC of the U-Net minus the model's"),
        ):
            parts.append(study.part(name, [model, unet], estimand, margin, estimate)._replace(above=False))
    return parts


def _augrc_difference(risk: NDArray, uncertainty: NDArray, other_risk: NDArray, other_uncertainty: NDArray) -> float:
    return augrc(risk, uncertainty) - augrc(other_risk, other_uncertainty)


def order_by_ged(study: Study, ensemble: str = "ensemble") -> list[Part]:
    """Claim 5: neighbours in the study's order must differ, and no pair may be in reverse order."""
    order = [study.named(role) for role in ("prob_unet", "mc_dropout", ensemble, "unet")]
    parts = []
    for better, worse in combinations(order, 2):
        scores = [study.scores(model, several=True)["ged_u"] for model in (worse, better)]
        adjacent = order.index(worse) - order.index(better) == 1
        estimand = "GED of the first minus that of the second (unbiased)"
        part = study.part("5", [worse, better], estimand, 0.0, mean(scores[0] - scores[1]))
        parts.append(part if adjacent else part._replace(name="5_pair", needed=False))
    return parts


def order_by_ged_with_index(study: Study) -> list[Part]:
    """Claim 5 with the study's own ensemble, whose member k learns from annotator slot k."""
    return order_by_ged(study, "ensemble_index")


def own_level_sets(study: Study) -> list[Part]:
    """Claim 8: samples say more than their mean, since the pixels of a sample depend on each other (coupling)."""
    estimand = "GED of the level sets of the mean probability minus that of the samples"
    return [
        study.part("8", [model], estimand, 0.0, mean(-study.scores(model, several=True)["coupling_gain"]))
        for model in study.others("unet")
    ]


def level_sets_of_unet(study: Study) -> list[Part]:
    """Claim 9: a probabilistic model beats a plain U-Net that is thresholded at several levels, which costs nothing."""
    unet = study.named("unet")
    reference = study.scores(unet, several=True)["ged_levels"]
    estimand = "GED of the U-Net's level sets minus that of the samples (unbiased)"
    return [
        study.part("9", [model, unet], estimand, 0.0, mean(reference - study.scores(model, several=True)["ged_u"]))
        for model in study.others("unet")
    ]


def finds_bad_masks(study: Study, score: str) -> list[Part]:
    """Claim 10: an uncertainty of images ranks them by the error of their mask better than chance does."""
    return [
        study.part("10", [model], "AUGRC of chance minus that of the uncertainty", 0.0, estimate)
        for model in (study.others("unet") if score == "u_pairwise" else study.roles)
        for rows in [study.scores(model)]
        for estimate in [statistic(_gain_over_chance, 1 - rows["dice"], rows[score])]
    ]


def _gain_over_chance(risk: NDArray, uncertainty: NDArray) -> float:
    return float(risk.mean()) / 2 - augrc(risk, uncertainty)
