"""A prepared dataset as files, for training elsewhere: images, masks of all annotators, ids, patients and splits.

Two layouts: `images`, which the raw format `folder` reads back, and that of nnU-Net 2, whose raters the raw format
`raters` reads back.
"""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segunc.data.hdf5 import open_hdf5
from segunc.data.store import BATCH, parts_of, splits_of
from segunc.runtime.errors import UserError

Label = Literal["majority", "random", "each"]
"""Label map of a training case of nnU-Net: what at least half of its annotators marked, what a random one of them
marked, or a case for each of them."""
TEMPLATE = """Predictions of the images in expected.csv, each in a file of its own:

    <id>.npy     probability of foreground, float (height, width), or several of them, (samples, height, width)
    <id>.png     the same as 8 or 16 bits of grey, or a mask of 0 and 255

The .npy file beside this one is an example. Instead of <id>, a file may be called as in the column file.
"""


class Exported(NamedTuple):
    """One image of a store."""

    image: NDArray[np.uint8]
    """(C, H, W)"""
    masks: Mapping[int, NDArray[np.uint8]]
    """{0, 1} (H, W) by the slot of each annotator who saw the image."""
    image_id: str
    group_id: str
    patient_id: str
    part: str
    """Its split, or `fold 0`, `fold 1` and so on."""


def flat_name(image_id: str) -> str:
    """An image's id as the name of a file: `patient/slice` is `patient__slice`."""
    return image_id.replace("/", "__")


def export_images(store: Path, to: Path) -> int:
    """Writes `images/<id>.png`, `masks/annotator_<slot>/<id>.png`, `images.csv` and `template/` into the folder `to`.

    Masks are 0 and 255. `images.csv` has a row per image: id, patient, group, and its split; with folds, that of each
    seed instead (`split_seed0` and so on). `template/` shows what predictions look like. Returns the number of images.

    Raises UserError if `to` exists and is not empty, or as `open_hdf5` does.
    """
    with _new_folder(to) as folder, open_hdf5(store) as file:
        splits = _splits(file)
        rows = []
        for number, (one, of_seed) in enumerate(zip(_images(file), zip(*splits.values(), strict=True), strict=True)):
            _save(folder / "images" / f"{one.image_id}.png", one.image)
            for slot, mask in one.masks.items():
                _save(folder / f"masks/annotator_{slot}" / f"{one.image_id}.png", 255 * mask[None])
            about = {"image": one.image_id, "patient": one.patient_id, "group": one.group_id}
            rows.append(about | dict(zip(splits, of_seed, strict=True)))
            if number == 0:
                _write_example(folder / "template", one)
        _write_csv(folder / "images.csv", rows)
        height, width = file["images"].shape[2:]
        expected = [{"id": row["image"], "file": flat_name(row["image"]) + ".npy"} for row in rows]
        _write_csv(folder / "template/expected.csv", [row | {"height": height, "width": width} for row in expected])
    return len(rows)


def export_nnunet(store: Path, to: Path, label: Label, seed: int) -> int:
    """Writes a raw dataset of nnU-Net 2 into the folder `to`, which is called `Dataset<three digits>_<name>`.

    `imagesTr` has the training and validation images of the seed, `imagesTs` its test images. `labelsTr` and `labelsTs`
    have a label map per case: that of `label` for training and validation, the majority for test. `labels_raters` has
    those of all annotators. The first fold of `splits_final.json` is the seed's own; if the dataset has folds, each of
    the others validates on another one. `cases.csv` has image, patient, group and split of each case. Returns the
    number of cases.

    Raises UserError if `to` has another name, or exists and is not empty, or as `open_hdf5` does.
    """
    number, _, name = to.name.removeprefix("Dataset").partition("_")
    if not (to.name.startswith("Dataset") and len(number) == 3 and number.isdigit() and name):
        raise UserError(f"{to} is not called Dataset<three digits>_<name>, which nnU-Net needs; try Dataset101_mine.")
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str]] = []
    with _new_folder(to) as folder, open_hdf5(store) as file:
        for one, split in zip(_images(file), splits_of(file, seed), strict=True):
            part = "Ts" if split == "test" else "Tr"
            for slot, mask in one.masks.items():
                _save(folder / "labels_raters" / f"{flat_name(one.image_id)}_{slot}.png", mask[None])
            for suffix, mask in _label_maps(one.masks, label if part == "Tr" else "majority", rng):
                case = flat_name(one.image_id) + suffix
                _save(folder / f"images{part}" / f"{case}_0000.png", one.image)
                _save(folder / f"labels{part}" / f"{case}.png", mask[None])
                about = {"case": case, "image": one.image_id, "patient": one.patient_id, "group": one.group_id}
                rows.append(about | {"split": str(split), "part": one.part})
        trained = [row for row in rows if row["split"] != "test"]
        _write_json(
            folder / "dataset.json",
            {
                "channel_names": {"0": "grey"} if file["images"].shape[1] == 1 else {"0": "R", "1": "G", "2": "B"},
                "labels": {"background": 0, "foreground": 1},
                "numTraining": len(trained),
                "file_ending": ".png",
            },
        )
        _write_json(folder / "splits_final.json", _cross_validation(trained))
        _write_csv(folder / "cases.csv", [{name: row[name] for name in row if name != "part"} for row in rows])
    return len(rows)


def _images(file: h5py.File) -> Iterator[Exported]:
    """The images of an open store, read in blocks. Raises UserError if two would have files of the same name."""
    texts = {name: file[name].asstr()[:].tolist() for name in ("image_id", "group_id", "patient_id")}
    seen: dict[str, str] = {}
    for image_id in texts["image_id"]:
        if (other := seen.setdefault(flat_name(image_id), image_id)) != image_id:
            raise UserError(f"{other} and {image_id} would have files of the same name; rename one of these images.")
    part, _ = parts_of(file)
    for start in range(0, len(part), BATCH):
        block = slice(start, start + BATCH)
        images, masks, annotated = (file[name][block] for name in ("images", "masks", "annotated"))
        for row, image in enumerate(images):
            own = {int(slot): masks[row, slot] for slot in np.flatnonzero(annotated[row])}
            about = {name: values[start + row] for name, values in texts.items()}
            yield Exported(image, own, **about, part=str(part[start + row]))


def _splits(file: h5py.File) -> dict[str, NDArray[np.str_]]:
    """The split (N,) of each image: of every seed, by the name of a column, if the dataset has folds."""
    if "split" in file:
        return {"split": splits_of(file, 0)}
    return {f"split_seed{seed}": splits_of(file, seed) for seed in range(len(parts_of(file)[1]))}


def _label_maps(
    masks: Mapping[int, NDArray[np.uint8]], label: Label, rng: np.random.Generator
) -> Sequence[tuple[str, NDArray[np.uint8]]]:
    """The label maps of an image, each with what to append to the name of its case."""
    if label == "each":
        return [(f"__{slot}", mask) for slot, mask in masks.items()]
    if label == "random":
        return [("", masks[int(rng.choice(list(masks)))])]
    return [("", (np.mean(list(masks.values()), axis=0) >= 0.5).astype(np.uint8))]


def _cross_validation(trained: Sequence[Mapping[str, str]]) -> list[dict[str, list[str]]]:
    """Cases of training and validation by fold of nnU-Net, from the rows of all of them."""
    own = next((row["part"] for row in trained if row["split"] == "val"), None)
    parts = sorted({row["part"] for row in trained if row["part"] != own and row["part"].startswith("fold")})
    return [
        {
            "train": [row["case"] for row in trained if row["part"] != part],
            "val": [row["case"] for row in trained if row["part"] == part],
        }
        for part in (own, *parts)
    ]


@contextmanager
def _new_folder(to: Path) -> Iterator[Path]:
    """A folder that has the name `to` once it is complete; after any error, there is none."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to} exists and is not an empty folder; name a new one.")
    beside = to.with_name(f".{to.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.replace(to)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Writes (C, H, W), C = 1 or 3, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)


def _write_example(folder: Path, one: Exported) -> None:
    folder.mkdir()
    (folder / "README.txt").write_text(TEMPLATE, encoding="utf-8")
    np.save(folder / f"{flat_name(one.image_id)}.npy", np.mean(list(one.masks.values()), axis=0, dtype=np.float32))


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
