"""Single test images: which ones to show, which part of them, and how masks become outlines and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from numpy.typing import NDArray

from segunc.data.store import Images, read_split
from segunc.errors import UserError
from segunc.predictions import Prediction, read_predictions

SMALLEST_WINDOW = 0.4
"""The shown part of an image is at least this share of its width: something around a lesion helps to judge it."""


class Example(NamedTuple):
    """One test image with everything that is shown of it."""

    image_id: str
    image: NDArray[np.uint8]
    """(C, H, W)"""
    annotations: NDArray[np.uint8]
    """(A, H, W): the existing masks."""
    predictions: dict[str, Prediction]
    """By model."""

    @property
    def votes(self) -> int:
        """Annotators who marked something."""
        return int(self.annotations.any(axis=(1, 2)).sum())

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(H, W): what more than half of the annotators marked."""
        return self.annotations.mean(axis=0) > 0.5

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the part to show: a square around all that an annotator or a draw marked or a model
        doubts (more than half a bit)."""
        interest = self.annotations.any(axis=0)
        for prediction in self.predictions.values():
            interest = interest | (prediction.probability > 0.5) | prediction.masks.any(axis=0)
            if prediction.uncertainty is not None:
                interest = interest | (prediction.uncertainty > 0.5)
        return _square_around(interest)

    @property
    def description(self) -> tuple[str, str]:
        """How many annotators marked something (empty if there is only one), and how much."""
        annotators = len(self.annotations)
        votes = f"marked by {self.votes} of {annotators}" if annotators > 1 else ""
        return votes, f"{100 * self.annotations.mean():.2g}% of pixels"


def load(data: Path, samples: Mapping[str, Path], n: int) -> list[Example]:
    """The `chosen` test images; samples: one file per model. Raises UserError if there are none or they do not fit."""
    test = read_split(data, "test")
    if not len(test.image_id):
        raise UserError(f"{data} has no images in its test split; change the dataset's split in the config.")
    rows = chosen(test, n)
    predictions: list[dict[str, Prediction]] = [{} for _ in rows]
    for model, path in samples.items():
        for row, prediction in enumerate(read_predictions(path, test.image_id)):
            if row in rows:
                predictions[rows.index(row)][model] = prediction
    return [
        Example(test.image_id[row], test.images[row], test.masks[row][test.annotated[row]], by_model)
        for row, by_model in zip(rows, predictions, strict=True)
    ]


def chosen(test: Images, n: int) -> list[int]:
    """Rows of n images spread over the whole range of votes and sizes, from most to least; fewer if there are fewer.

    The images are ranked by votes (annotators who marked something), then by share of marked pixels, then by id. From
    the middle of each n-th of the ranking, the nearest image is taken whose patient is not shown yet, or if there is
    none, that is not shown itself. No model has a say in it.
    """
    votes = test.masks.any(axis=(2, 3)).sum(axis=1)
    marked = test.masks.mean(axis=(2, 3)).sum(axis=1) / np.maximum(test.annotated.sum(axis=1), 1)
    ranking = np.lexsort((test.image_id, -marked, -votes))
    rows: list[int] = []
    for part in range(min(n, len(ranking))):
        middle = (part + 0.5) / n * len(ranking) - 0.5
        nearest = ranking[np.argsort(np.abs(np.arange(len(ranking)) - middle), kind="stable")]
        left = [int(row) for row in nearest if row not in rows]
        seen = set(test.patient_id[rows])
        rows.append(next((row for row in left if test.patient_id[row] not in seen), left[0]))
    return sorted(rows, key=ranking.tolist().index)


def _square_around(interest: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest square of the image with all of `interest` and a margin, as large as the image allows."""
    shape = np.array(interest.shape)
    where = np.argwhere(interest)
    low, high = (where.min(axis=0), where.max(axis=0) + 1) if len(where) else (np.zeros(2, int), shape)
    side = min(max(1.3 * (high - low).max(), SMALLEST_WINDOW * shape.min()), shape.min())
    start = np.clip((low + high - side) / 2, 0, shape - side).astype(int)
    return slice(start[0], start[0] + int(side)), slice(start[1], start[1] + int(side))


def show_image(axes: Axes, image: NDArray[np.uint8], window: tuple[slice, slice]) -> None:
    """The part of an image (C, H, W) in the window, grey or RGB."""
    part = np.moveaxis(image[(slice(None), *window)], 0, -1)
    if part.shape[-1] == 1:
        axes.imshow(part[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(part, interpolation="nearest")


def outline(axes: Axes, mask: NDArray, window: tuple[slice, slice], colour: str, dashes: str | tuple) -> None:
    """The border of a mask (H, W) in the window; nothing for an empty one."""
    part = mask[window].astype(float)
    if not part.any():
        return
    # With a rim of zeros, the border closes where the mask meets the edge of the image.
    rim = np.pad(part, 1)
    x, y = np.arange(-1, part.shape[1] + 1), np.arange(-1, part.shape[0] + 1)
    border = axes.contour(x, y, rim, levels=[0.5], colors=[colour], linestyles=[dashes], linewidths=[1.0])
    border.set_path_effects([patheffects.withStroke(linewidth=1.8, foreground="black", alpha=0.6)])
    axes.set(xlim=(-0.5, part.shape[1] - 0.5), ylim=(part.shape[0] - 0.5, -0.5))
