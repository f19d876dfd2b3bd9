"""The test images of one dataset for the image browser: pictures of them, and the scores of every model.

Each image has two pictures in WebP: a thumbnail, and the *tiles*, one picture of the annotators' masks (its first row)
and of the mean probability, the predictive entropy and some samples of each model (a row each).
"""

import base64
import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from segunc.data.result_csv import open_csv
from segunc.data.store import Images, read_split
from segunc.evaluation.predictions import Prediction, annotations_of, read_predictions
from segunc.metrics.registry import METRICS
from segunc.runtime.errors import UserError

SAMPLES = 4
"""Masks of a model that are shown; fewer if it has fewer."""
LARGEST, SMALLEST = 128, 32
"""Pixels of the longer side of a tile."""
PIXELS = 5e8
"""Of all tiles of a dataset, from which tiles are smaller (`benchmarks/report.py` has the size of the page)."""
LEVELS = 16
"""Shades of a probability and of an entropy: few compress well."""
ENTROPY = colormaps["inferno"](np.linspace(0, 1, LEVELS), bytes=True)[:, :3]
"""(LEVELS, 3), uint8: the colours of `figures.uncertainty_maps`."""
PAPER = 128
"""Grey of places without a tile."""
BLOCK = 50
"""Images whose pictures the page unpacks together."""


class Score(NamedTuple):
    """A column of `images.csv` that the page shows of each model."""

    name: str
    label: str
    higher_is_better: bool | None


SCORES = (
    *(Score(name, METRICS[name].label, METRICS[name].higher_is_better) for name in ("ged_u", "dice", "cross_entropy")),
    Score("u_mean_entropy", "mean entropy (bit)", None),
    Score("u_pairwise", "sample disagreement", None),
)
"""In the order of the page."""
OUTCOMES = ("found", "missed", "false alarm", "rightly empty")
"""Of a model's mask, the thresholded mean, against the majority of the annotators: it overlaps with theirs; it does not
overlap with theirs; it marks something where they do not; neither marks anything."""


class Pictures(NamedTuple):
    """One image, as WebP."""

    thumbnail: bytes
    tiles: bytes


class Tested(NamedTuple):
    """The test images of a dataset."""

    data: dict[str, Any]
    """For the page, as JSON: `images` and `scores` by column, `models`, `outcomes`, the geometry of the tiles."""
    thumbnails: list[list[str]]
    """In base64, in blocks of BLOCK images."""
    tiles: list[list[str]]
    """The same."""


def read(data: Path, samples: Sequence[Path], scores: Sequence[Path], seed: int) -> Tested:
    """The test images of a seed with what each model predicts for them.

    Parameters
    ----------
    data
        Store of the dataset.
    samples, scores
        Samples file and `images.csv` of each model, all of this seed.
    seed
        Of the training runs.

    Raises
    ------
    UserError
        If a file is missing or damaged, or of other images.
    """
    test = read_split(data, "test", seed)
    rows = [_read_scores(path, test) for path in scores]
    columns = max(2 + SAMPLES, test.masks.shape[1])
    size = tile_size(test.images.shape[2:], len(test.image_id) * columns * (1 + len(samples)))
    thumbnails, tiles, outcomes = [], [], []
    counts = [0] * len(samples)
    for i, predictions in enumerate(_together(samples, test)):
        annotations = annotations_of(test, i)
        pictures = draw(test.images[i], annotations, predictions, size, columns)
        thumbnails.append(base64.b64encode(pictures.thumbnail).decode())
        tiles.append(base64.b64encode(pictures.tiles).decode())
        outcomes.append([outcome(prediction, annotations) for prediction in predictions])
        counts = [min(SAMPLES, len(prediction.masks)) for prediction in predictions]
    of_models = [[of_image[model] for of_image in outcomes] for model in range(len(samples))]
    return Tested(
        {
            "tile": size,
            "columns": columns,
            "block": BLOCK,
            "images": {
                "id": test.image_id.tolist(),
                "patient": test.patient_id.tolist(),
                "annotators": test.annotated.sum(axis=1).tolist(),
                "votes": test.masks.any(axis=(2, 3)).sum(axis=1).tolist(),
                "foreground": [_short(annotations_of(test, i).mean()) for i in range(len(test.image_id))],
                "disagreement": _column(rows, "annotator_distance", len(test.image_id)),
            },
            "models": [
                {
                    "samples": count,
                    "outcomes": own,
                    "scores": {score.name: [_short(float(row[score.name])) for row in scored] for score in SCORES},
                }
                for count, scored, own in zip(counts, rows, of_models, strict=True)
            ],
        },
        _blocks(thumbnails),
        _blocks(tiles),
    )


def _column(rows: Sequence[Sequence[dict[str, str]]], name: str, images: int) -> list[float | None]:
    """A score that is the same for every model."""
    return [_short(float(row[name])) for row in rows[0]] if rows else [None] * images


def _read_scores(path: Path, test: Images) -> list[dict[str, str]]:
    """The rows of an `images.csv`, in the order of the images."""
    with open_csv(path) as file:
        rows = list(csv.DictReader(file))
    if [row["image_id"] for row in rows] != test.image_id.tolist():
        raise UserError(f"{path} has scores of other images than the dataset has; run snakemake, which makes it anew.")
    return rows


def _together(samples: Sequence[Path], test: Images) -> Iterator[tuple[Prediction, ...]]:
    """The predictions of all models, image by image."""
    if samples:
        return zip(*(read_predictions(path, test) for path in samples), strict=True)
    return iter([()] * len(test.image_id))


def _short(value: float) -> float | None:
    """A number with four digits; None if it is undefined."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _blocks(pictures: list[str]) -> list[list[str]]:
    return [pictures[start : start + BLOCK] for start in range(0, len(pictures), BLOCK)]


def tile_size(shape: tuple[int, int], tiles: int) -> tuple[int, int]:
    """Height and width of a tile: those of an image (`shape`), or smaller if the image or all tiles are too large.

    >>> tile_size((128, 128), 200), tile_size((256, 512), 200), tile_size((128, 128), 2500 * 54)
    ((128, 128), (64, 128), (60, 60))
    """
    side = max(SMALLEST, min(LARGEST, math.isqrt(int(PIXELS / max(tiles, 1)))))
    scale = min(1, side / max(shape))
    height, width = (max(1, round(scale * length)) for length in shape)
    return height, width


def outcome(prediction: Prediction, annotations: NDArray) -> int:
    """The position in OUTCOMES of a prediction; annotations: {0, 1} (A, H, W), A >= 1."""
    mask, majority = prediction.probability > 0.5, annotations.mean(axis=0) > 0.5
    if majority.any():
        return 0 if (mask & majority).any() else 1
    return 2 if mask.any() else 3


def draw(
    image: NDArray[np.uint8],
    annotations: NDArray,
    predictions: Sequence[Prediction],
    size: tuple[int, int],
    columns: int,
) -> Pictures:
    """The pictures of one image.

    Parameters
    ----------
    image
        (C, H, W), C = 1 (grey) or 3 (RGB).
    annotations
        (A, H, W), {0, 1}, A <= columns.
    predictions
        Of the models, in the order of the rows.
    size
        Height and width of a tile.
    columns
        Tiles in a row.
    """
    pixels = np.moveaxis(image, 0, -1)
    photo = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    height, width = size
    sheet = np.full(((1 + len(predictions)) * height, columns * width, 3), PAPER, np.uint8)

    def place(row: int, column: int, tile: NDArray[np.uint8]) -> None:
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile

    for column, mask in enumerate(annotations):
        place(0, column, _mask(mask, size))
    for row, prediction in enumerate(predictions, start=1):
        place(row, 0, _shades(prediction.probability, size)[..., None] * np.uint8(255 // (LEVELS - 1)))
        if prediction.uncertainty is not None:
            place(row, 1, ENTROPY[_shades(prediction.uncertainty, size)])
        for column, mask in enumerate(prediction.masks[:SAMPLES], start=2):
            place(row, column, _mask(mask, size))
    return Pictures(
        _webp(photo.resize(tile_size(image.shape[1:], 1)[::-1], Image.Resampling.BOX), quality=75, method=4),
        _webp(Image.fromarray(sheet), lossless=True, quality=50, method=2),
    )


def _shrunk(values: NDArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """A map (H, W), averaged over areas to another size."""
    if values.shape == size:
        return values.astype(np.float32)
    part = Image.fromarray(values.astype(np.float32)).resize(size[::-1], Image.Resampling.BOX)
    return np.asarray(part)


def _mask(mask: NDArray, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask as a tile (H, W, 1): a pixel is white if half of its area is foreground, so that thin parts may vanish."""
    return np.where(_shrunk(mask, size) >= 0.5, np.uint8(255), np.uint8(0))[..., None]


def _shades(values: NDArray, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A map with values in [0, 1] in LEVELS shades."""
    return np.rint(np.clip(_shrunk(values, size), 0, 1) * (LEVELS - 1)).astype(np.uint8)


def _webp(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", **options)
    return file.getvalue()
