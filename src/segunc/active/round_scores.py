"""`images.csv` of an acquisition round: ROUND_SCORES of its network on each test image."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segunc.data.result_csv import open_csv
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


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all files. Raises UserError if a file is damaged (`open_csv`)."""
    texts = dict.fromkeys([*CELL, "image_id", "patient_id"], str)
    # A model may be called `nan`, and so is an undefined score.
    undefined = {name: ["nan"] for name in ROUND_SCORES}
    files = []
    for path in paths:
        with open_csv(path) as file:
            files.append(pd.read_csv(file, usecols=COLUMNS, dtype=texts, keep_default_na=False, na_values=undefined))  # type: ignore[arg-type]
    return pd.concat(files, ignore_index=True) if files else pd.DataFrame(columns=COLUMNS)
