"""CPU time of the scores of synthetic test images, in total and by measure."""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter

from segunc.data.store import Images
from segunc.evaluation import scores
from segunc.evaluation.predictions import MAPS, Prediction, annotations_of, read_predictions
from segunc.metrics.registry import METRICS, Inputs
from segunc.metrics.uncertainty import entropy


def synthetic(count: int, size: int, samples: int, annotators: int) -> tuple[Images, list[Prediction]]:
    """Annotations are blobs with radii of a tenth to a quarter of the side, a fifth of them empty; samples are soft."""
    rng = np.random.default_rng(0)
    grid = np.mgrid[:size, :size]
    masks = np.zeros((count, annotators, size, size), np.uint8)
    predictions = []
    for i in range(count):
        field = 0.1 * size * gaussian_filter(rng.standard_normal((size, size)), 4)
        far = np.hypot(*(grid - rng.uniform(0.4 * size, 0.6 * size, (2, 1, 1)))) + field
        radius = rng.uniform(0.1, 0.25) * size
        drawn = rng.normal(radius, 0.15 * radius, annotators) * (rng.random(annotators) > 0.2)
        masks[i] = far < drawn[:, None, None]
        p = 1 / (1 + np.exp(far - rng.normal(radius, 0.15 * radius, samples)[:, None, None]))
        mean, expected = p.mean(axis=0, dtype=np.float32), entropy(p).mean(axis=0).astype(np.float32)
        clipped = p.clip(1e-8, 1 - 1e-8)
        logs = [np.log(q).mean(axis=0).astype(np.float32) for q in (clipped, 1 - clipped)]
        predictive = entropy(mean).astype(np.float32)
        predictions.append(Prediction(p > 0.5, mean, predictive, False, expected, predictive - expected, *logs))
    ids = np.array([f"{i}" for i in range(count)])
    images = np.zeros((count, 1, size, size), np.uint8)
    return Images(images, masks, np.ones((count, annotators), bool), ids, ids, ids, None), predictions


def write_samples(path: Path, images: Images, predictions: list[Prediction]) -> None:
    """A samples file as the stage `sample` writes it, whose validation images are the test images."""
    arrays = {
        "samples": np.packbits([p.masks.reshape(len(p.masks), -1) for p in predictions], axis=-1),
        "mean_probability": np.array([p.probability for p in predictions]),
        "validation_probability": np.array([p.probability for p in predictions], np.float16),
        **{name: np.array([getattr(p, field) for p in predictions], np.float16) for field, name in MAPS.items()},
    }
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip", shuffle=True)
        for name in ("image_id", "validation_image_id"):
            file.create_dataset(name, data=images.image_id.astype(object), dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = images.masks.shape[-2:]
        file.attrs["draws"] = "independent"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--annotators", type=int, default=4)
    options = parser.parse_args()
    images, predictions = synthetic(options.images, options.size, options.samples, options.annotators)
    print(f"{vars(options)}\nms per image")

    def report(name: str, function: Callable[[], object]) -> None:
        start = time.process_time()
        function()
        print(f"{1000 * (time.process_time() - start) / options.images:8.2f}  {name}")

    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.h5"
        write_samples(samples, images, predictions)
        files = [Path(folder) / name for name in ("images.csv", "pixels.csv.gz", "calibration.csv.gz")]

        def evaluate() -> None:
            found = enumerate(read_predictions(samples, images, images))
            scores.write(files, (scores.score_image("d", "m", 0, images, i, prediction) for i, prediction in found))

        report("stage evaluate, with as many validation images", evaluate)
        report("read samples", lambda: list(read_predictions(samples, images)))
        report("read samples and choose the cut", lambda: list(read_predictions(samples, images, images)))

    inputs = [scores.inputs_of(p, annotations_of(images, i), None) for i, p in enumerate(predictions)]
    shared = [name for name, value in vars(Inputs).items() if isinstance(value, cached_property)]
    functions = {
        **{name: attrgetter(name) for name in shared},
        **METRICS,
        "image-level uncertainty": scores._aggregated,
        "groups of pixels": scores._of_groups,
        "histograms": scores.entropy_histograms,
    }
    for name, function in functions.items():
        report(name, lambda function=function: [function(one) for one in inputs])


if __name__ == "__main__":
    main()
