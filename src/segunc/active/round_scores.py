"""Scores of a round's network: means over the test images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from segunc.data.store import Images
from segunc.evaluation.predictions import unpack
from segunc.evaluation.scores import annotations_of
from segunc.learning.sampling import sample
from segunc.metrics.ged import energy_distances
from segunc.metrics.overlap import dice
from segunc.metrics.probability import cross_entropy


def mean_scores(
    weights: dict[str, Any], test: Images, spec: Mapping[str, Any], device: torch.device, what: str
) -> dict[str, float]:
    """Means over the test images of four of the scores of `segunc.evaluation.scores`; `spec` is `segunc.config.specs.sample`."""
    arrays, draws = sample(weights, test.images, spec["draws"], spec["seed"], device, what)
    rows = []
    for i, probability in enumerate(arrays["mean_probability"]):
        annotations, masks = annotations_of(test, i), unpack(arrays["samples"][i], probability.shape)
        distances = energy_distances(masks, annotations, exact=draws == "exact")
        rows.append(
            {
                "cross_entropy": cross_entropy(probability, annotations),
                "dice": dice(probability > 0.5, annotations),
                "ged_16": distances["ged_16"],
                "ged_u_16": distances["ged_u_16"],
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
