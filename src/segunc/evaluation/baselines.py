"""Baselines, with which the models' scores must be compared: GED alone proves little where masks are small.

All need the data alone. Each is scored on the test images of every seed, which differ between seeds if there are folds.
None has maps that need several probability maps: expected entropy, mutual information, mean logs. The level sets of a
model's mean probability, a baseline as well, are scored with the model.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images, read_split
from segunc.evaluation.predictions import Prediction, annotations_of, best_cut
from segunc.evaluation.scores import SCORES, Scored, identity, inputs_of, score, score_image
from segunc.masks import pairwise_iou
from segunc.metrics.ged import Distances, annotator_distance
from segunc.metrics.levels import LEVELS
from segunc.metrics.probability import brier_floor
from segunc.metrics.registry import ENERGY_DISTANCES, METRICS
from segunc.metrics.uncertainty import entropy


def empty(shape: tuple[int, int]) -> Prediction:
    """`baseline_empty`: no foreground on any image. shape: (H, W)."""
    return Prediction(np.zeros((1, *shape), bool), np.zeros(shape), None, exact=True)


def blind(train: Images, validation: Images) -> Prediction:
    """`baseline_blind`: the same 16 masks for every image, made from the training images alone (image-agnostic).

    The areas are the LEVELS-quantiles of the areas of all existing training masks, including empty ones; each mask has
    that many pixels, those that are foreground most often. The cut is chosen on the validation images.
    """
    areas = np.rint(np.quantile(train.masks.sum(axis=(2, 3), dtype=np.int64)[train.annotated], LEVELS))
    often_first = np.argsort(-train.masks.sum(axis=(0, 1), dtype=np.int64), axis=None, kind="stable")
    rank = np.empty(often_first.size, np.int64)
    rank[often_first] = np.arange(rank.size)
    sampled = rank.reshape(train.masks.shape[2:]) < areas[:, None, None]
    share = sampled.mean(axis=0)
    return Prediction(sampled, share, None, exact=True, cut=best_cut([share] * len(validation.images), validation))


def annotator(annotations: NDArray) -> dict[str, float]:
    """`baseline_annotator`: the scores of each annotator as a prediction of the others, averaged (inter-annotator).

    Energy distances are on the models' scale: D is the diversity of all A annotators, as for a model, not of A - 1. So
    they are what one more annotator is expected to have, (1 + 1 / A) D_U (`segunc.metrics.ged`), also with level sets,
    which are the mask itself.

    annotations: (A, H, W). Returns SCORES by name, all NaN if there is only one annotator.
    """
    if len(annotations) == 1:
        return dict.fromkeys(SCORES, float("nan"))
    between = 1 - pairwise_iou(annotations, annotations)
    of_all = {"annotator_distance": annotator_distance(between), "brier_floor": brier_floor(annotations)}
    scores = []
    for i, mask in enumerate(annotations.astype(bool)):
        prediction = Prediction(mask[None], mask.astype(np.float64), None, exact=True)
        against_others = score(inputs_of(prediction, np.delete(annotations, i, axis=0), truth=None))
        distances = Distances(np.delete(between[i], i)[None], np.zeros((1, 1)), between, exact=True)
        energy = {name: METRICS[name].function(distances) for name in ENERGY_DISTANCES}
        scores.append(against_others | energy | of_all)
    return {name: float(np.mean([one[name] for one in scores])) for name in SCORES}


def readings(annotations: NDArray, cut: float) -> Prediction:
    """`baseline_readings`: the annotations themselves, each equally likely, and their frequency as the probability.

    Their GED^2 is 0 from A samples on, and no map has a lower cross-entropy. A model cannot be expected to reach that,
    because it would have to know these readings, not only the distribution of readers that they are a sample of.

    annotations: (A, H, W).
    """
    frequency = annotations.mean(axis=0)
    return Prediction(annotations.astype(bool), frequency, entropy(frequency), exact=True, cut=cut)


def from_data(data: Path, dataset: str, seed: int) -> Iterator[Scored]:
    """Scores of the baselines on every test image of the seed."""
    train, validation, test = (read_split(data, split, seed) for split in ("train", "val", "test"))
    same = {"baseline_empty": empty(test.masks.shape[2:]), "baseline_blind": blind(train, validation)}
    images = range(len(test.image_id))
    for name, prediction in same.items():
        for i in images:
            yield score_image(dataset, name, seed, test, i, prediction)
    for i in images:
        row = identity(dataset, "baseline_annotator", seed, test, i) | annotator(annotations_of(test, i))
        yield Scored(row, {}, None)
    frequencies = (annotations_of(validation, i).mean(axis=0) for i in range(len(validation.image_id)))
    cut = best_cut(frequencies, validation)
    for i in images:
        yield score_image(dataset, "baseline_readings", seed, test, i, readings(annotations_of(test, i), cut))
