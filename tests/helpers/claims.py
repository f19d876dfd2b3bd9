"""Studies with planted effects: simulated scores and picks, so that the right verdict on each claim is known.

Effects are in units of a score's standard deviation over images, relative to the margin of each part: at 0 the truth
lies at the margin of every part, above 0 the claim is true, below it is false.
"""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pandas as pd

from segunc.active.tables import UNITS, Curves
from segunc.claims.study import PICKS, Study

ROLES = {name: name for name in ("unet", "ensemble", "ensemble_index", "mc_dropout", "prob_unet")}
# Standard deviations, in units of the score's: of patients and images, of which two models share the larger part, of
# trainings, of trainings on a patient, and of trainings on an image.
SHARED, OWN, TRAINING, BY_PATIENT, NOISE = 0.6, 0.35, 0.15, 0.2, 0.3

Truth = Mapping[str, Mapping[str, float]]
"""Means by model and score."""


UNIT = {"error": 0.02, "border": 0.02, "ged": 0.2, "coupling": 0.2, "dice": 0.15}


def unit(score: str) -> float:
    """Standard deviation of a score over images."""
    return next((sd for start, sd in UNIT.items() if score.startswith(start)), 0.1)


def cohort(patients: int, rng: np.random.Generator) -> np.ndarray:
    """The patient of each image: 2 to 40 images for each, skewed as in LIDC-IDRI."""
    return np.repeat(np.arange(patients), 2 + np.minimum(rng.geometric(1 / 10, patients), 38))


def latent(patient: np.ndarray, models: int, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """(models, seeds, images): deviations from the mean."""
    patients, images = patient[-1] + 1, len(patient)
    normal = rng.standard_normal
    own = normal((models, 1, patients))[..., patient] + normal((models, 1, images))
    shared = normal(patients)[patient] + normal(images)
    of_training = normal((models, seeds, 1)) * TRAINING + normal((models, seeds, patients))[..., patient] * BY_PATIENT
    return SHARED * shared + OWN * own + of_training + NOISE * normal((models, seeds, images))


def scores(truth: Truth, patients: int, seeds: int, rng: np.random.Generator, annotators: int = 4) -> pd.DataFrame:
    """The scores of the truth, as `Study.images` has them.

    `cross_entropy` is log-normal. `u_...` has the correlation with the error that is given as its mean.
    """
    patient = cohort(patients, rng)
    columns = {}
    for score in next(iter(truth.values())):
        means = np.array([own[score] for own in truth.values()])[:, None, None]
        z = latent(patient, len(truth), seeds, rng)
        if score == "cross_entropy":
            columns[score] = means * np.exp(0.3 * z - 0.045)
        elif score.startswith("u_"):
            error = (0.5 - columns["dice"]) / unit("dice")
            columns[score] = means * error + np.sqrt(1 - means**2) * z
        else:
            columns[score] = means + unit(score) * z
    shape = (len(truth), seeds, len(patient))
    ids = {"model": np.array(list(truth))[:, None, None], "seed": np.arange(seeds)[:, None]}
    ids |= {"image_id": np.arange(len(patient)), "patient_id": patient}
    ids |= {"annotators": np.array(annotators), "pixels_tp": np.array(100), "pixels_tn": np.array(900)}
    frame = pd.DataFrame({name: np.broadcast_to(of, shape).ravel() for name, of in {**ids, **columns}.items()})
    return frame.set_index(UNITS)


def study_of(truth: Truth, patients: int, seeds: int, rng: np.random.Generator, annotators: int = 4) -> Study:
    """A study of the main grid alone."""
    images = scores(truth, patients, seeds, rng, annotators)
    return Study({model: ROLES[model] for model in truth}, images, {}, {}, pd.DataFrame(columns=PICKS), "")


# The truth by claim, from the effect of each model.

Effects = Mapping[str, float]


def same_for_all(effects: Effects, **means: Callable[[float], float]) -> Truth:
    return {model: {score: of(effect) for score, of in means.items()} for model, effect in effects.items()}


def where_wrong(effects: Effects) -> Truth:
    return same_for_all(
        effects,
        entropy_right=lambda e: 0.1,
        entropy_wrong=lambda e: 0.2 + 0.1 * e,
        entropy_tp=lambda e: 0.5,
        entropy_fp=lambda e: 0.5 + 0.1 * e,
        entropy_tn=lambda e: 0.1,
        entropy_fn=lambda e: 0.1 + 0.1 * e,
        border_auroc_band=lambda e: 0.78,
        error_auroc_band=lambda e: 0.80 + 0.02 * e,
    )


def certain(effects: Effects) -> Truth:
    dropout = 0.05 - 0.1 * effects["mc_dropout"]
    shares = {model: dropout + 0.05 + 0.1 * effect for model, effect in effects.items()} | {"mc_dropout": dropout}
    return {model: {"certain_tp": share, "certain_tn": share} for model, share in shares.items()}


def where_disputed(effects: Effects) -> Truth:
    return same_for_all(
        effects,
        entropy_agree=lambda e: 0.5,
        entropy_disputed=lambda e: 0.7 + 0.1 * e,
        entropy_somewhat=lambda e: 0.7,
        entropy_disagree=lambda e: 0.7 + 0.1 * e,
    )


def competitive(effects: Effects) -> Truth:
    """At effect 0, images are ranked equally well by all models, so part 4iii is true; the U-Net's effect is unused."""
    truth = same_for_all(
        effects,
        error_auroc_band=lambda e: 0.81 - 0.02 * e,
        cross_entropy=lambda e: 0.05 * (0.95 + 0.1 * e),
        dice=lambda e: 0.5,
        u_foreground_entropy=lambda e: min(0.8 - 0.3 * e, 0.95),
    )
    of_unet = {"error_auroc_band": 0.80, "cross_entropy": 0.05, "dice": 0.5, "u_foreground_entropy": 0.8}
    return truth | {"unet": of_unet}


def ordered(effects: Effects) -> Truth:
    """The effect of a model is its distance to the better neighbour."""
    ged, truth = 0.4, {}
    for model in ("prob_unet", "mc_dropout", "ensemble", "unet"):
        ged += 0.2 * effects[model] if truth else 0.0
        truth[model] = {"ged_u": ged}
    return truth


def coupled(effects: Effects) -> Truth:
    return same_for_all(effects, coupling_gain=lambda e: -0.2 * e)


def beyond_unet(effects: Effects) -> Truth:
    return same_for_all(effects, ged_u=lambda e: 0.5 - 0.2 * e, ged_levels=lambda e: 0.5)


def ranked(effects: Effects) -> Truth:
    return same_for_all(effects, dice=lambda e: 0.5, u_foreground_entropy=lambda e: 0.3 * e)


PLANTED: Mapping[str, tuple[Callable[[Effects], Truth], tuple[str, ...]]] = {
    "1": (where_wrong, ("unet", "mc_dropout", "prob_unet")),
    "2": (certain, ("mc_dropout", "unet", "prob_unet")),
    "3": (where_disputed, ("unet", "mc_dropout", "prob_unet")),
    "3b": (where_disputed, ("unet", "mc_dropout", "prob_unet")),
    "3c": (where_disputed, ("unet", "mc_dropout", "prob_unet")),
    "4": (competitive, ("unet", "mc_dropout", "prob_unet")),
    "5": (ordered, ("unet", "ensemble", "mc_dropout", "prob_unet")),
    "8": (coupled, ("unet", "mc_dropout", "prob_unet")),
    "9": (beyond_unet, ("unet", "mc_dropout", "prob_unet")),
    "10_foreground": (ranked, ("unet", "mc_dropout", "prob_unet")),
}
"""By claim: its truth, and the models."""


def planted(claim: str, effect: float, weakest: float, patients: int, seeds: int, rng: np.random.Generator) -> Study:
    """A study with the effect in each part of a claim about the main grid, but the effect `weakest` in one model's."""
    truth, models = PLANTED[claim]
    of_model = dict.fromkeys(models, effect) | {"prob_unet" if claim != "5" else "mc_dropout": weakest}
    return study_of(truth(of_model), patients, seeds, rng)


def learning(
    advantage: float, gain: float, patients: int, seeds: int, rng: np.random.Generator, rounds: int = 3
) -> Study:
    """A study of active learning in which uncertainty sampling lowers the area under the curve of `cross_entropy`.

    advantage: by this share of random's area, and by as much it raises that of Dice. gain: by how much random lowers
    the cross-entropy from its first round to its last, as a share.
    """
    patient = cohort(patients, rng)
    labelled = np.linspace(50, 50 + 50 * rounds, rounds + 1)
    progress = np.linspace(0, 1, rounds + 1)
    # The first round is the same for both, so the advantage is made up for in the others.
    share = np.where(progress > 0, advantage / (1 - 0.5 / rounds), 0.0)
    index = pd.MultiIndex.from_tuples(
        [(seed, *ids) for seed, ids in product(range(seeds), enumerate(patient))], names=UNITS
    )
    curves = {}
    # The networks of a seed agree more than trainings of two models, whatever their round and strategy.
    image = SHARED * (rng.standard_normal(patients)[patient] + rng.standard_normal(len(patient)))
    z = image[:, None] + 0.3 * np.stack([latent(patient, 2, seeds, rng) for _ in progress], axis=-1)
    z[:, :, :, 0] = z[0, :, :, 0]
    z = z.reshape(2, -1, rounds + 1)
    for strategy, factor, own in (("random", 1.0, z[0]), ("entropy", 1 - share, z[1])):
        cross_entropy = 0.06 * (1 - gain * progress) * factor * np.exp(0.3 * own - 0.045)
        dice = 0.5 + 0.2 * gain * progress + (1 - factor) + 0.15 * own
        both = {"cross_entropy": cross_entropy, "dice_cut": dice}
        curves["unet", strategy] = Curves(index, labelled, both)
    empty = scores({"unet": {}}, patients, seeds, rng)
    return Study({"unet": "unet"}, empty[:0], {"unet": "unet"}, curves, pd.DataFrame(columns=PICKS), "entropy")


def picking(excess: float, seeds: int, rng: np.random.Generator, rounds: int = 3) -> Study:
    """A study of picks that have the excess over each margin, in standard deviations of one round's random picks."""
    pools = {"disputed_pixels": (130.0, 26.0, 1.25), "foreground": (0.03, 0.006, 1.25)}
    pools |= {"disputed_share": (0.8, 0.03, 0.05), "split_votes": (0.6, 0.07, 0.05)}
    rows = []
    for seed, round_, (measure, (pool, sd, margin)) in product(range(seeds), range(1, rounds + 1), pools.items()):
        expected = (pool * margin if margin > 1 else pool + margin) + excess * sd
        picks = expected + sd * rng.standard_normal()
        rows.append(("lidc", "unet", "entropy", seed, round_, measure, picks, pool, sd, 50))
    study = learning(0.0, 0.2, 8, 2, rng)
    return study._replace(picks=pd.DataFrame(rows, columns=PICKS))
