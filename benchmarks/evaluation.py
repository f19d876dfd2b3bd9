"""CPU time of sampling and scoring beside that of the networks' forward passes, and of the scores by measure.

    python benchmarks/evaluation.py [--size 128] [--samples 16] [--annotators 4]

The networks have the study's shape and are untrained; what is scored are synthetic samples, softer and larger than
most. Exits with 1 if sampling and scoring a model take more than 1.25 times its forward passes, or scoring an image
more than 10 ms.
"""

import argparse
import importlib
import json
import platform
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from segunc.data.store import ImageRecord, Images, write_store
from segunc.evaluation import scores
from segunc.evaluation.predictions import MAPS, Prediction, annotations_of, read_predictions
from segunc.learning import sampling
from segunc.learning.device import select_device
from segunc.learning.passes import sampling_batch
from segunc.learning.weights import write_weights
from segunc.metrics.registry import METRICS, Inputs
from segunc.metrics.uncertainty import entropy
from segunc.networks.shape import Backbone, DataStatistics

BACKBONE = {"filters": [32, 64, 128, 192], "convolutions": 3, "normalisation": "batch"}
"""The study's."""
METHODS = {"unet": 1, "ensemble": 4, "mc_dropout": None, "prob_unet": None}
"""Samples per image; None is as many as asked for."""
RATIO, MILLISECONDS = 1.25, 10.0
"""The most that sampling and scoring may take, in forward passes, and scoring alone, per image of the default size."""


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
            of_image = (1, *values.shape[1:])
            file.create_dataset(
                name, data=values, chunks=of_image, compression="gzip", compression_opts=1, shuffle=True
            )
        for name in ("image_id", "validation_image_id"):
            file.create_dataset(name, data=images.image_id.astype(object), dtype=h5py.string_dtype())
        file.attrs["height"], file.attrs["width"] = images.masks.shape[-2:]
        file.attrs["draws"] = "independent"


def cpu_milliseconds(function: Callable[[], object], images: int, repeats: int = 3) -> float:
    """Least CPU time of the function, per image."""
    least = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        function()
        least = min(least, time.process_time() - start)
    return 1000 * least / images


def evaluate(folder: Path, images: Images, predictions: list[Prediction]) -> float:
    """Milliseconds per image of the stage `evaluate`, with as many validation images."""
    samples = folder / "samples.h5"
    write_samples(samples, images, predictions)
    files = [folder / name for name in ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")]

    def stage() -> None:
        found = enumerate(read_predictions(samples, images, images))
        scores.write(files, (scores.score_with_levels("d", "m", 0, images, i, prediction) for i, prediction in found))

    return cpu_milliseconds(stage, len(predictions))


def forward_and_sample(folder: Path, method: str, count: int, size: int, draws: int) -> tuple[float, float]:
    """Milliseconds per image of a model's forward passes alone, and of `write_samples`."""
    rng, empty = np.random.default_rng(0), np.zeros((size, size), np.uint8)
    pixels = rng.integers(0, 256, (count, 1, size, size), np.uint8)
    store, weights, samples = folder / "store.h5", folder / "weights.pt", folder / "samples.h5"
    records = (ImageRecord(image, [empty], f"{i}", f"{i}", f"{i}") for i, image in enumerate(pixels))
    write_store(store, records, lambda patients, published: ["test"] * count, {})
    data = DataStatistics([0.5], [0.3], 0.05)
    network = importlib.import_module(f"segunc.models.{method}").build(data, Backbone(**BACKBONE)).eval()
    trained = {"method": method, "options": {}, "backbone": BACKBONE, "training": {"precision": "float32"}}
    write_weights(weights, {"spec": json.dumps(trained), "data": data._asdict(), "state": network.state_dict()})
    network = network.to(memory_format=torch.channels_last)
    cpu, batch = torch.device("cpu"), sampling_batch(pixels.shape, "cpu")
    parts = (torch.from_numpy(pixels).float() / 255).split(batch)

    @torch.no_grad()
    def forward() -> None:
        generator = torch.Generator().manual_seed(0)
        for part in parts:
            network.sample(part, draws, generator)

    def sample() -> None:
        sampling.write_samples(samples, store, weights, {"draws": draws, "seed": 0}, cpu, method)

    return cpu_milliseconds(forward, count), cpu_milliseconds(sample, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200, help="that are scored")
    parser.add_argument("--sampled", type=int, default=16, help="images that are sampled from each network")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--annotators", type=int, default=4)
    options = parser.parse_args()
    select_device("cpu", 1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy", "h5py"))
    print(f"{vars(options)}\nPython {platform.python_version()}, {versions}; {platform.machine()}, one thread")
    print("CPU time in ms per image, least of 3\n forward   sample evaluate   ratio")
    slow = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for method, outcomes in METHODS.items():
            count = outcomes or options.samples
            scored = evaluate(folder, *synthetic(options.images, options.size, count, options.annotators))
            forward, sampled = forward_and_sample(folder, method, options.sampled, options.size, options.samples)
            ratio = (sampled + scored) / forward
            print(f"{forward:8.2f} {sampled:8.2f} {scored:8.2f} {ratio:7.2f}  {method}, {count} samples", flush=True)
            slow += [f"{method} takes {ratio:.2f} times its forward passes"] * (ratio > RATIO)
            slow += [f"scoring {method} takes {scored:.1f} ms"] * (scored > MILLISECONDS)

    images, predictions = synthetic(options.images, options.size, options.samples, options.annotators)
    inputs = [scores.inputs_of(p, annotations_of(images, i), None) for i, p in enumerate(predictions)]
    shared = [name for name, value in vars(Inputs).items() if isinstance(value, cached_property)]
    functions = {
        **{name: attrgetter(name) for name in shared},
        **METRICS,
        "image-level uncertainty": scores._aggregated,
        "groups of pixels": scores._of_groups,
        "histograms": scores.entropy_histograms,
        "level sets": scores.level_scores,
    }
    print("what scores take")
    for name, function in functions.items():
        # What the first call computes, others find; so it is called once.
        taken = cpu_milliseconds(lambda function=function: [function(one) for one in inputs], options.images, 1)
        print(f"{taken:8.2f}  {name}")
    if slow:
        raise SystemExit("; ".join(slow))


if __name__ == "__main__":
    main()
