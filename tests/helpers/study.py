"""A tiny dataset and samples of it, written as `prepare` and `sample` write them; and what tests of scores share."""

import csv
import gzip

import h5py
import numpy as np

from segunc.data.store import ImageRecord, write_store
from segunc.metrics.ged import SIZES, distances, diversity, study_estimator, u_statistic, v_statistic
from segunc.metrics.uncertainty import entropy

# Not square, not a multiple of 8 pixels, and annotated off the centre, so that swapped axes or bits show.
SHAPE = (7, 9)


def from_centre():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - 2.5, x - 3.5)


def blob(radius):
    """A disc; radius 0, 1 and 2 mark 0, 4 and 12 pixels."""
    return (from_centre() < radius).astype(np.uint8)


def write_dataset(path, annotators=4, images=6, truth=False, missing=(), exclusions=None):
    """`images` images in each split, two per patient; slot k of image i does not exist if (i, k) is in `missing`.

    No annotator marks image 0, and each later image has one more annotator who does, with another radius. Ids look like
    missing values and numbers on purpose.
    """
    records = []
    for split in ("train", "val", "test"):
        for i in range(images):
            masks = [blob((1 + i / 2 + k / 2) if k < i else 0) for k in range(annotators)]
            masks = [None if (i, k) in missing else mask for k, mask in enumerate(masks)]
            probability = np.mean([m for m in masks if m is not None], axis=0) if truth else None
            image = np.full((1, *SHAPE), i, np.uint8)
            names = ("NA" if i == 1 else f"{i:03}", f"{i // 2:02}", f"{split}{i // 2}")
            records.append(ImageRecord(image, masks, *names, split, probability))
    attributes = {"spec": {}, "raw": {}, "exclusions": exclusions or {}}
    write_store(path, records, lambda patients, published: published, attributes)
    return [record for record in records if record.split == "test"]


def write_samples(path, image_ids, draws, kind="independent"):
    """draws: float (N, S, H, W) in [0, 1]. The validation images have the ids and the means of the test images."""
    mean = draws.mean(axis=1)
    masks = (draws > 0.5).reshape(*draws.shape[:2], -1)
    clipped = draws.clip(1e-8, 1 - 1e-8)
    half = {
        "predictive_entropy": entropy(mean),
        "expected_entropy": entropy(draws).mean(axis=1),
        "mutual_information": entropy(mean) - entropy(draws).mean(axis=1),
        "expected_log_foreground": np.log(clipped).mean(axis=1),
        "expected_log_background": np.log(1 - clipped).mean(axis=1),
        "validation_probability": mean,
    }
    with h5py.File(path, "w") as file:
        file["samples"] = np.packbits(masks, axis=-1)
        file["mean_probability"] = mean.astype(np.float32)
        for name, values in half.items():
            file[name] = values.astype(np.float16)
        for name in ("image_id", "validation_image_id"):
            file.create_dataset(name, data=list(image_ids), dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = draws.shape[-2:]
        file.attrs["draws"] = kind


def random_draws(images, seed=0, draws=16):
    """Smooth discs of random radii, in [0, 1]."""
    generator = np.random.default_rng(seed)
    radii = generator.uniform(0, 5, (images, draws, 1, 1))
    return 1 / (1 + np.exp(2 * (from_centre() - radii)))


def energy_distances(samples, annotations, *, exact):
    """All estimates of the generalised energy distance of one image, and the diversity, by the metrics' names."""
    of_image = distances(samples, annotations, exact=exact)
    scores = {f"ged_{n}": v_statistic(of_image, n) for n in SIZES}
    scores |= {"ged_u": u_statistic(of_image), "ged_study_16": study_estimator(of_image)}
    return scores | {"diversity": diversity(of_image)}


def score_files(folder):
    """The files of `evaluate` and `baselines`, by the first part of their names."""
    names = ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")
    return {name.split(".")[0]: folder / name for name in names}


def read_images(path):
    """Rows of an `images.csv`, scores as floats."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v if k in TEXTS else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def read_pixels(path):
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


TEXTS = ("dataset", "model", "image_id", "group_id", "patient_id")


def run(module, monkeypatch, job=None, **options):
    """Runs a stage's `main` as the command line would, or with the job that the workflow passes.

    An option that is a list is several words, a dict repeated `--name key=value`.
    """
    arguments = [module.__name__]
    for name, value in options.items():
        if isinstance(value, dict):
            arguments += [word for key, of_key in value.items() for word in (f"--{name}", f"{key}={of_key}")]
            continue
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *map(str, values)]
    monkeypatch.setattr("sys.argv", arguments)
    module.main(job=job)
