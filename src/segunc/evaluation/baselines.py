"""Baselines, with which the models' scores must be compared: GED alone proves little where masks are small.

`baseline_empty`, `baseline_blind`, `baseline_annotator` and `baseline_oracle` need the data alone; they have seed 0, as
they are the same for every seed. `baseline_threshold` needs the samples of a U-Net and has the U-Net's seed.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import read_split
from segunc.evaluation.predictions import Prediction, read_predictions
from segunc.evaluation.scores import SCORES, Scored, annotations_of, identity, score, score_image
from segunc.metrics.uncertainty import entropy

SAMPLES = 16
# The reversed bits of 0 to 15: any aligned block of n = 4 or 8 of these numbers is spread evenly over the range.
LEVELS = np.array([(int(f"{i:04b}"[::-1], 2) + 0.5) / SAMPLES for i in range(SAMPLES)])
"""Midpoints (i + 0.5) / 16 of 16 equal parts of [0, 1]."""


def empty(shape: tuple[int, int]) -> Prediction:
    """`baseline_empty`: no foreground on any image. shape: (H, W)."""
    return Prediction(np.zeros((SAMPLES, *shape), bool), np.zeros(shape), None, exact=True)


def blind(masks: NDArray, annotated: NDArray[np.bool_]) -> Prediction:
    """`baseline_blind`: the same 16 masks for every image, made from the training split alone (image-agnostic).

    masks: {0, 1} (N, A, H, W) and annotated: (N, A), as in the store. The areas are the LEVELS-quantiles of the areas
    of all existing training masks, including empty ones; each mask has that many pixels, those that are foreground
    most often.
    """
    shape = masks.shape[2:]
    areas = np.rint(np.quantile(masks.sum(axis=(2, 3), dtype=np.int64)[annotated], LEVELS))
    often_first = np.argsort(-masks.sum(axis=(0, 1), dtype=np.int64), axis=None, kind="stable")
    rank = np.empty(often_first.size, np.int64)
    rank[often_first] = np.arange(rank.size)
    sampled = rank.reshape(shape) < areas[:, None, None]
    return Prediction(sampled, sampled.mean(axis=0), None, exact=True)


def annotator(annotations: NDArray) -> dict[str, float]:
    """`baseline_annotator`: the scores of each annotator as a prediction of the others, averaged (inter-annotator).

    annotations: (A, H, W). Returns SCORES by name, all NaN if there is only one annotator.
    """
    if len(annotations) == 1:
        return dict.fromkeys(SCORES, float("nan"))
    scores = []
    for i, mask in enumerate(annotations):
        prediction = Prediction(np.repeat(mask[None], SAMPLES, axis=0), mask, None, exact=True)
        scores.append(score(prediction, np.delete(annotations, i, axis=0), truth=None))
    return {name: float(np.mean([one[name] for one in scores])) for name in SCORES}


def oracle(annotations: NDArray, generator: np.random.Generator) -> Prediction:
    """`baseline_oracle`: a perfect model, whose 16 independent samples are annotations of the image.

    annotations: (A, H, W). The probability is the annotators' frequency, so the cross-entropy is the lowest possible.
    Its V-statistics show what a perfect sampler gets: D / n, not 0 (`segunc.metrics.ged`).
    """
    sampled = annotations[generator.integers(len(annotations), size=SAMPLES)]
    frequency = annotations.mean(axis=0)
    return Prediction(sampled, frequency, entropy(frequency), exact=False)


def threshold(unet: Prediction) -> Prediction:
    """`baseline_threshold`: the U-Net's probability map, thresholded at the 16 LEVELS (a random threshold).

    A sampler without cost: its threshold is uniform in [0, 1]. The levels represent 16 equal parts of that range, each
    equally often, so the samples are exact, and the probability and its entropy are the U-Net's own.
    """
    return unet._replace(masks=unet.probability > LEVELS[:, None, None], exact=True)


def from_data(data: Path, dataset: str) -> Iterator[Scored]:
    """Scores of the baselines that need the data alone, on every test image."""
    train, test = read_split(data, "train"), read_split(data, "test")
    generator = np.random.default_rng(0)
    same = {"baseline_empty": empty(test.masks.shape[2:]), "baseline_blind": blind(train.masks, train.annotated)}
    images = range(len(test.image_id))
    for name, prediction in same.items():
        for i in images:
            yield score_image(dataset, name, 0, test, i, prediction)
    for i in images:
        yield Scored(identity(dataset, "baseline_annotator", 0, test, i) | annotator(annotations_of(test, i)), {})
    for i in images:
        yield score_image(dataset, "baseline_oracle", 0, test, i, oracle(annotations_of(test, i), generator))


def from_unet(data: Path, samples: Path, dataset: str, seed: int) -> Iterator[Scored]:
    """Scores of `baseline_threshold` on every test image, from the U-Net's samples."""
    test = read_split(data, "test")
    for i, unet in enumerate(read_predictions(samples, test.image_id)):
        yield score_image(dataset, "baseline_threshold", seed, test, i, threshold(unet))
