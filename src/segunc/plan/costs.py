"""What the jobs cost: seconds on a GPU or on CPU cores, and bytes, from the shapes of images and networks.

A network's time is taken as the sum of three parts, each with a rate that belongs to the device: multiply-adds, values
that its layers write (which is what small networks wait for), and passes of a batch through a U-Net (which is what a
GPU waits for). All other jobs take a constant and a time per image. These are assumptions, and `segunc plan` prints
them; where the benchmarks of runs are there, they set the scale.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from segunc.config.schema import Config, Dataset

CPU = np.array([1 / 150e9, 1 / 0.25e9, 1e-3])
GPU = np.array([1 / 20e12, 1 / 60e9, 5e-3])
"""Seconds per multiply-add, per value written and per pass of a batch, of a CPU core and of a GPU, in bfloat16."""
RATES_FROM = (
    "of a CPU core: 150 G multiply-adds/s, 0.25 G activations/s, 1 ms per pass "
    "(fitted to the 20 minutes on two cores of docs/results.md)",
    "of a GPU: 20 T multiply-adds/s, 60 G activations/s, 5 ms per pass (a guess for a data-centre GPU: not measured)",
)

STOPS_AFTER = 5
"""Patiences after which a training with early stopping is taken to end, if its budget does not end it before."""
BATCH = 32
"""Images per pass of sampling and validation."""
VALIDATION_DRAWS = 8

STARTUP = {"network": 5.0, "figure": 4.0, "other": 1.0}
"""Seconds until a program computes: imports, reading the store."""
PER_IMAGE = {"evaluate": 2.5e-3, "baselines": 2e-3, "baseline_threshold": 3e-3}
"""Seconds per test image of 64x64 pixels."""
PER_ROW = {"make_tables": 1e-3, "active_tables": 2e-3}
"""Seconds per row that is read: of an image's scores, of a round's."""
CPU_JOBS_FROM = "1 s per job and 2 to 3 ms per test image of 64x64 (the default grid on two cores)"

JOB_BYTES = 5 * 4096
"""Log, benchmark, record and what Snakemake remembers of a job: small files, a block each."""
FIGURE_BYTES = 300e3
TABLE_BYTES = 200e3
SCORE_BYTES = 600
"""Per test image: its row of scores and of the histograms."""


class Raw(NamedTuple):
    """What a dataset is like before it is prepared."""

    images: int
    channels: int
    annotators: int
    seconds: float
    """To read and prepare one image."""
    source: str


RAW = {
    "lidc_slices": Raw(12_816, 1, 4, 3e-3, "the slices of the HPU-Net release of LIDC-IDRI"),
    "hpunet_crops": Raw(12_816, 1, 4, 3e-3, "the HPU-Net release of LIDC-IDRI"),
    "lidc_pickle": Raw(15_096, 1, 4, 2e-3, "the PyTorch Probabilistic U-Net's release of LIDC-IDRI"),
    "isic_challenge": Raw(2_594, 3, 1, 0.2, "ISIC 2018 task 1, training"),
}
UNKNOWN = Raw(5_000, 3, 4, 0.05, "a guess")


class Data(NamedTuple):
    """The images of a dataset, as far as costs depend on them."""

    train: int
    val: int
    test: int
    channels: int
    annotators: int
    size: int
    """Height and width in pixels."""
    bytes: float
    """Of the store."""
    seconds: float
    """To prepare it."""
    source: str
    """Empty if the store was counted."""

    @property
    def images(self) -> int:
        return self.train + self.val + self.test


def data_of(dataset: Dataset, store: Path) -> Data:
    """The images that a dataset has, counted in its store; expected if that is not made yet (or not readable)."""
    raw = _raw(dataset)
    split = dataset.split
    val, test = round(split.val * raw.images), round(split.test * raw.images)
    train = raw.images - val - test
    channels, annotators, source = raw.channels, raw.annotators, raw.source
    try:
        with h5py.File(store, "r") as file:
            names = file["split"].asstr()[:]
            train, val, test = (int((names == side).sum()) for side in ("train", "val", "test"))
            channels, annotators, source = file["images"].shape[1], file["masks"].shape[1], ""
    except (OSError, KeyError):
        pass
    images = train + val + test
    pixels = images * dataset.size**2
    # As measured on LIDC-IDRI, ISIC 2018 and phantoms: images compress little, masks to a fiftieth.
    size = 0.85 * pixels * channels + 0.02 * pixels * annotators
    return Data(train, val, test, channels, annotators, dataset.size, size, images * raw.seconds, source)


def _raw(dataset: Dataset) -> Raw:
    if dataset.format == "phantom":
        options = dataset.options
        images = options["patients"] * options["images_per_patient"]
        channels, annotators = (1, 4) if options["kind"] == "lung" else (3, 1)
        return Raw(images, channels, annotators, 4e-3, "the phantom's options")
    return RAW.get(dataset.format, UNKNOWN)


def train_work(spec: Mapping[str, Any], data: Data, active: bool, steps: int | None = None) -> NDArray[np.float64]:
    """Work of a training: multiply-adds, values written, passes of a batch. `spec` is `segunc.config.train_spec`.

    `steps` are those that were taken, if that is known; else they are expected.
    """
    training = spec["training"]
    if steps is None:
        steps = expected_steps(training, data)
    forward, first, each = _per_image(spec, data)
    batch = training["batch_size"]
    # The backward pass costs twice the forward pass.
    work = 3 * steps * batch * _with_passes(forward, spec, data, batch)
    if not active:
        validations = math.ceil(steps / _validate_every(training, data))
        per_image = first + VALIDATION_DRAWS * each
        work += validations * data.val * _with_passes(per_image, spec, data, BATCH)
    return work


def sample_work(spec: Mapping[str, Any], data: Data, images: int, draws: int) -> NDArray[np.float64]:
    """Work of that many draws per image, in the same units; without draws of one plain pass, for features."""
    forward, first, each = _per_image(spec, data)
    return images * _with_passes(first + draws * each if draws else forward, spec, data, BATCH)


def expected_steps(training: Mapping[str, Any], data: Data) -> int:
    """Gradient steps of a training: its budget, or fewer if it stops early."""
    steps = budget(training, data)
    if training["patience"] is not None:
        steps = min(steps, STOPS_AFTER * training["patience"] * _validate_every(training, data))
    return steps


def budget(training: Mapping[str, Any], data: Data) -> int:
    """Gradient steps that a training may take."""
    return training["steps"] or training["epochs"] * math.ceil(data.train / training["batch_size"])


def _validate_every(training: Mapping[str, Any], data: Data) -> int:
    return training["validate_every"] or math.ceil(data.train / training["batch_size"])


def _per_image(spec: Mapping[str, Any], data: Data) -> tuple[NDArray, NDArray, NDArray]:
    """Multiply-adds and values written per image, (2,) each: of a forward pass in training; of sampling, what is done
    once and what is done for each draw. A method that is not known here counts as a U-Net, run anew for each draw."""
    backbone, pixels = spec["backbone"], data.size**2
    encoder, decoder = _levels(backbone["filters"], backbone["convolutions"], data.channels)
    nothing = np.zeros(2)
    down, up = sum(encoder, nothing), sum(decoder, nothing)
    shallow, whole = sum(encoder[: len(encoder) // 2], nothing), down + up
    match spec["method"]:
        case "unet":
            parts = whole, whole, nothing
        case "ensemble":
            members = spec["options"]["members"]
            parts = members * whole, members * whole, nothing
        case "mc_dropout":
            parts = whole, shallow, whole - shallow
        case "prob_unet":
            width = backbone["filters"][0]
            # Prior and posterior have encoders of their own; a draw runs the last 1x1 convolutions.
            parts = whole + 2 * down, whole + down, np.array([2.0 * width**2, 2.0 * width])
        case _:
            parts = whole, nothing, whole
    in_training, once, each = parts
    return pixels * in_training, pixels * once, pixels * each


def _levels(filters: Sequence[int], convolutions: int, channels: int) -> tuple[list[NDArray], list[NDArray]]:
    """Multiply-adds and values written per pixel of the image, for each level of the U-Net's encoder and decoder."""

    def block(c_in: int, c_out: int, level: int) -> NDArray[np.float64]:
        multiply_adds = 9 * (c_in * c_out + (convolutions - 1) * c_out**2)
        return np.array([multiply_adds, convolutions * c_out]) / 4**level

    encoder = [block(a, b, level) for level, (a, b) in enumerate(pairwise([channels, *filters]))]
    decoder = [block(a + b, a, level) for level, (a, b) in enumerate(pairwise(filters))]
    return encoder, decoder


def _with_passes(work: NDArray, spec: Mapping[str, Any], data: Data, batch: int) -> NDArray[np.float64]:
    """Appends the passes of a batch of which an image has a share, counted in U-Nets."""
    encoder, decoder = _levels(spec["backbone"]["filters"], spec["backbone"]["convolutions"], data.channels)
    unet = data.size**2 * sum(values for _, values in [*encoder, *decoder])
    return np.append(work, work[1] / unet / batch)


def weights_bytes(spec: Mapping[str, Any], data: Data) -> float:
    """Size of `weights.pt`: float32 weights."""
    filters, convolutions = spec["backbone"]["filters"], spec["backbone"]["convolutions"]
    encoder, decoder = _levels(filters, convolutions, data.channels)
    # A level's weights: its multiply-adds, without the shrinking image.
    sizes = [4 * sum(4**level * block[0] for level, block in enumerate(part)) for part in (encoder, decoder)]
    networks = {"ensemble": spec["options"].get("members", 1)}.get(spec["method"], 1)
    return networks * sum(sizes) + (2 * sizes[0] if spec["method"] == "prob_unet" else 0) + 50e3


def samples_bytes(config: Config, data: Data) -> float:
    """Size of a samples file: a bit per draw and pixel, a float32 and three float16 per pixel, compressed to half."""
    return 0.55 * data.test * data.size**2 * (config.draws / 8 + 4 + 3 * 2)
