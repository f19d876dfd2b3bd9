"""`labelled.csv`: the labelled training images in the order of picking, each with the round in which it was picked."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segunc.data.result_csv import open_csv
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

COLUMNS = ["image_id", "round"]


def read(path: Path, image_ids: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the L labelled images among `image_ids` (those of the training split), and their rounds, (L,) each.

    Raises UserError if the file is damaged (`open_csv`) or names an image that is not a training image.
    """
    position = {image_id: i for i, image_id in enumerate(image_ids.tolist())}
    with open_csv(path) as file:
        rows = [(row["image_id"], int(row["round"])) for row in csv.DictReader(file)]
    for image_id, _ in rows:
        if image_id not in position:
            raise UserError(
                f"{path} names image {image_id}, which the dataset's training split does not have; "
                "pick again from this dataset."
            )
    return np.array([position[image_id] for image_id, _ in rows]), np.array([round_ for _, round_ in rows])


def write(path: Path, image_ids: NDArray[np.str_], rounds: NDArray[np.int64]) -> None:
    """Writes the ids, (L,), and rounds, (L,), of labelled images in this order."""
    with write_atomically(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(image_ids.tolist(), rounds.tolist(), strict=True))
