"""`images.csv` of an acquisition round: ROUND_SCORES of its network on each test image."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segunc.data.store import Images
from segunc.evaluation.predictions import Prediction, annotations_of
from segunc.evaluation.scores import inputs_of
from segunc.metrics.registry import METRICS, ROUND_SCORES
from segunc.runtime.files import write_atomically

CELL = ["dataset", "model", "strategy"]
ROUND = [*CELL, "seed", "round"]
COLUMNS = [*ROUND, "images", "image_id", "patient_id", *ROUND_SCORES]
"""`images` is the number of labelled images."""


def write(path: Path, round_: Mapping[str, Any], test: Images, predictions: Iterable[Prediction]) -> None:
    """Writes a row per test image; round_: ROUND and `images` by name; predictions: in the order of the images."""
    with write_atomically(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for i, prediction in enumerate(predictions):
            inputs = inputs_of(prediction, annotations_of(test, i), truth=None)
            scores = {name: f"{METRICS[name](inputs):.9g}" for name in ROUND_SCORES}
            writer.writerow({**round_, "image_id": test.image_id[i], "patient_id": test.patient_id[i], **scores})
