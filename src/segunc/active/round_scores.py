"""Scores of the network of an acquisition round: means over the test images."""

from typing import Any

import numpy as np
import torch

from segunc.data.store import Images
from segunc.evaluation.predictions import Prediction, unpack
from segunc.evaluation.scores import annotations_of, inputs_of
from segunc.learning.sampling import sample
from segunc.learning.train_spec import SampleSpec
from segunc.metrics.registry import METRICS, ROUND_SCORES


def mean_scores(
    weights: dict[str, Any], test: Images, spec: SampleSpec, device: torch.device, what: str
) -> dict[str, float]:
    """Means of ROUND_SCORES over the test images; spec: that of the step `sample`."""
    arrays, draws = sample(weights, test.images, spec["draws"], spec["seed"], device, what)
    rows = []
    for i, mean in enumerate(arrays["mean_probability"]):
        masks, entropy = unpack(arrays["samples"][i], mean.shape), arrays["predictive_entropy"][i].astype(np.float32)
        inputs = inputs_of(Prediction(masks, mean, entropy, draws == "exact"), annotations_of(test, i), truth=None)
        rows.append({name: METRICS[name](inputs) for name in ROUND_SCORES})
    return {name: float(np.mean([row[name] for row in rows])) for name in ROUND_SCORES}
