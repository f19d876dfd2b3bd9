"""Pictures of test images: what is where in the tiles, and which outcome a mask has."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from helpers.study import SHAPE, blob, random_draws, write_dataset, write_samples
from PIL import Image

from segunc.evaluation.predictions import Prediction
from segunc.page import browser
from segunc.runtime.errors import UserError


def picture(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))


def prediction(probability: np.ndarray, masks: np.ndarray) -> Prediction:
    return Prediction(masks=masks, probability=probability, uncertainty=probability, exact=True)


def test_each_tile_is_in_its_place() -> None:
    annotations = np.stack([blob(1), blob(2)])
    probability = np.linspace(0, 1, blob(1).size).reshape(SHAPE)
    masks = np.stack([blob(radius).astype(bool) for radius in (0, 1, 2)])
    image = np.full((3, *SHAPE), 200, np.uint8)
    pictures = browser.draw(image, annotations, [prediction(probability, masks)], SHAPE, columns=6)
    assert picture(pictures.thumbnail).shape == (*SHAPE, 3)
    sheet = picture(pictures.tiles)
    height, width = SHAPE
    tiles = sheet.reshape(2, height, 6, width, 3).transpose(0, 2, 1, 3, 4)
    for column in range(2):
        assert (tiles[0, column] == 255 * annotations[column][..., None]).all()
    assert (tiles[0, 2:] == browser.PAPER).all()
    assert np.abs(tiles[1, 0, ..., 0] / 255 - probability).max() <= 0.5 / (browser.LEVELS - 1) + 1e-9
    assert (tiles[1, 1, 0, 0] == browser.ENTROPY[0]).all() and (tiles[1, 1, -1, -1] == browser.ENTROPY[-1]).all()
    for column in range(3):
        assert (tiles[1, 2 + column] == 255 * masks[column][..., None]).all()
    assert (tiles[1, 5] == browser.PAPER).all()


def test_large_images_are_averaged_over_areas() -> None:
    """Half of the area decides; thumbnails have at most 128 pixels."""
    mask = np.zeros((256, 256), bool)
    mask[:100] = True
    probability = np.where(mask, 0.6, 0.2)
    size = browser.tile_size(mask.shape, tiles=10**5)
    assert size == (70, 70)
    pictures = browser.draw(
        np.zeros((1, 256, 256), np.uint8), mask[None], [prediction(probability, mask[None])], size, 6
    )
    assert picture(pictures.thumbnail).shape == (128, 128, 3)
    sheet = picture(pictures.tiles)
    assert sheet.shape == (140, 420, 3)
    assert (sheet[:27, :70] == 255).all() and (sheet[28:70, :70] == 0).all()
    assert set(sheet[70:97, :70, 0].ravel()) == {153} and set(sheet[98:, :70, 0].ravel()) == {51}


@pytest.mark.parametrize(
    ("mask", "annotations", "name"),
    [
        (blob(2), [blob(1), blob(2), blob(0)], "found"),
        (1 - blob(4), [blob(1), blob(2), blob(0)], "missed"),
        (blob(0), [blob(2)], "missed"),
        (blob(1), [blob(2), blob(0)], "false alarm"),
        (blob(0), [blob(2), blob(0)], "rightly empty"),
    ],
)
def test_outcomes(mask: np.ndarray, annotations: list[np.ndarray], name: str) -> None:
    found = browser.outcome(prediction(mask.astype(float), mask[None]), np.stack(annotations))
    assert browser.OUTCOMES[found] == name


def written(folder: Path, model: str, draws: np.ndarray, ids: list[str]) -> tuple[Path, Path]:
    """Samples and scores of a model; the score `dice` counts the images, and the last is undefined."""
    samples, scores = folder / f"{model}.h5", folder / f"{model}.csv"
    write_samples(samples, ids, draws)
    names = ["image_id", "annotator_distance", *(score.name for score in browser.SCORES)]
    rows = [
        [one, "0.25", *(["0.123456"] if i + 1 < len(ids) else ["nan"]) * len(browser.SCORES)]
        for i, one in enumerate(ids)
    ]
    scores.write_text("".join(",".join(row) + "\n" for row in [names, *rows]), encoding="utf-8")
    return samples, scores


def test_the_data_of_the_page(tmp_path: Path) -> None:
    records = write_dataset(tmp_path / "data.h5")
    ids = [record.image_id for record in records]
    one, other = (written(tmp_path, name, random_draws(6, seed), ids) for seed, name in enumerate(("one", "other")))
    tested = browser.read(tmp_path / "data.h5", [one[0], other[0]], [one[1], other[1]], seed=0)
    data = tested.data
    assert data["images"]["id"] == ids and data["images"]["votes"] == [0, 1, 2, 3, 4, 4]
    assert data["images"]["annotators"] == [4] * 6 and data["images"]["disagreement"] == [0.25] * 6
    assert [model["samples"] for model in data["models"]] == [4, 4]
    assert data["models"][1]["scores"]["dice"] == [0.1235] * 5 + [None]
    assert (data["tile"], data["columns"]) == (SHAPE, 6)
    assert len(tested.thumbnails) == len(tested.tiles) == 1 and len(tested.tiles[0]) == 6
    assert picture(base64.b64decode(tested.tiles[0][0])).shape == (3 * SHAPE[0], 6 * SHAPE[1], 3)


def test_without_models_there_are_the_annotators(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data.h5")
    tested = browser.read(tmp_path / "data.h5", [], [], seed=0)
    assert tested.data["models"] == [] and len(tested.thumbnails[0]) == 6


def test_scores_of_other_images(tmp_path: Path) -> None:
    ids = [record.image_id for record in write_dataset(tmp_path / "data.h5")]
    samples, scores = written(tmp_path, "one", random_draws(6), ids)
    text = scores.read_text(encoding="utf-8")
    scores.write_text(text.replace("003", "300"), encoding="utf-8")
    with pytest.raises(UserError, match=r"one\.csv has scores of other images than the dataset has"):
        browser.read(tmp_path / "data.h5", [samples], [scores], seed=0)
