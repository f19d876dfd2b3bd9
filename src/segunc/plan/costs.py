"""Costs of jobs: seconds on a GPU or on CPU cores, and bytes, from the shapes of images and networks.

The time of a network is modelled as a sum of three terms, each with a rate of the device: multiply-adds; values written
by its layers, which bound small networks; and passes of a batch through a U-Net, which bound a GPU. All other jobs take
a constant and a time per image. These are assumptions, and `segunc plan` prints them; the records of earlier runs, if
there are any, scale them.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segunc.config.schema import Dataset
from segunc.data.hdf5 import open_hdf5
from segunc.data.store import splits_of
from segunc.learning.passes import (
    VALIDATION_BATCH,
    VALIDATION_DRAWS,
    sampling_batch,
    selection_begins,
    step_budget,
    validation_interval,
)
from segunc.learning.train_spec import TrainingSpec, TrainSpec, WrapperSpec
from segunc.networks.shape import Backbone
from segunc.networks.work import ModelWork, Work, work_of, wrapped_work
from segunc.runtime.errors import UserError

CPU = np.array([1 / 82e9, 1 / 0.185e9, 1.8e-3])
GPU = np.array([1 / 20e12, 1 / 60e9, 5e-3])
"""Seconds per multiply-add, per value written and per pass of a batch: of a CPU core with AVX2 in float32, fitted to
`benchmarks/training.py` (four models, three shapes: within 7 %), and of a GPU in bfloat16."""
RATES_FROM = (
    "of a CPU core: 82 G multiply-adds/s, 0.185 G activations/s, 1.8 ms per pass "
    "(fitted to training steps on a core with AVX2; newer cores are up to three times as fast)",
    "of a GPU: 20 T multiply-adds/s, 60 G activations/s, 5 ms per pass (a guess for a data-centre GPU: not measured)",
)

STOPS_AFTER = 5
"""Multiple of its patience, counted from where early stopping begins, after which a training run is assumed to end."""

STARTUP = {"network": 5.0, "figure": 4.0, "other": 1.0}
"""Seconds until a program starts to compute: imports, reading the store."""
PER_IMAGE = {"evaluate": 7e-3, "baselines": 20e-3, "active_evaluate": 3e-3, "import_predictions": 3e-3}
"""Seconds per test image of 64x64 pixels."""
PER_ROW = {"tabulate": 1e-3, "active_tabulate": 1e-4, "assemble": 10e-3}
"""Seconds per row read: the scores of an image; in the report with its maps and masks."""
CPU_JOBS_FROM = "1 s per job and 3 to 20 ms per test image of 64x64 (synthetic images on one core)"

JOB_BYTES = 5 * 4096
"""Log, record and Snakemake's metadata of a job: small files, one block of the disk each."""
FIGURE_BYTES = 300e3
TABLE_BYTES = 200e3
PAGE_BYTES, TILES_BYTES = 8e6, 1.5e3
"""The report without test images (figures and tables), and per test image and model."""
SCORE_BYTES = {"evaluate": 1750, "baselines": 2100, "active_evaluate": 130}
"""Per test image: its rows of scores, and its part of the histograms and of the bins of probability."""


class Raw(NamedTuple):
    """Expected size of a dataset that is not prepared yet."""

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


class DatasetSize(NamedTuple):
    """Numbers of images of a dataset, and their shape, as far as costs depend on them."""

    train: int
    val: int
    test: int
    channels: int
    annotators: int
    size: int
    """Height and width in pixels."""
    bytes: float
    """Size of the store."""
    seconds: float
    """Time to prepare it."""
    source: str
    """Where the expected numbers come from; empty if they were counted in the store."""

    @property
    def images(self) -> int:
        return self.train + self.val + self.test


def data_of(dataset: Dataset, store: Path) -> DatasetSize:
    """Size of a dataset, counted in its store; the expected size if there is no readable store.

    If it has folds, the splits are those of seed 0, since the folds of other seeds have about as many images.
    """
    raw = _raw(dataset)
    _, val, test = (round(share * raw.images) for share in dataset.split.shares)
    train = raw.images - val - test
    channels, annotators, source = raw.channels, raw.annotators, raw.source
    try:
        with open_hdf5(store) as file:
            names = splits_of(file, seed=0)
            train, val, test = (int((names == name).sum()) for name in ("train", "val", "test"))
            channels, annotators, source = file["images"].shape[1], file["masks"].shape[1], ""
    except UserError:
        pass
    images = train + val + test
    pixels = images * dataset.size**2
    # Measured on LIDC-IDRI, ISIC 2018 and phantoms: images hardly compress, masks compress to a fiftieth.
    size = 0.85 * pixels * channels + 0.02 * pixels * annotators
    return DatasetSize(train, val, test, channels, annotators, dataset.size, size, images * raw.seconds, source)


def _raw(dataset: Dataset) -> Raw:
    if dataset.format == "phantom":
        options = dataset.options
        images = options["patients"] * options["images_per_patient"]
        channels, annotators = (3, 1) if options["kind"] == "skin" else (1, 4)
        return Raw(images, channels, annotators, 4e-3, "the phantom's options")
    return RAW.get(dataset.format, UNKNOWN)


def train_work(spec: TrainSpec, data: DatasetSize, active: bool, steps: int | None = None) -> NDArray[np.float64]:
    """Work of a training run, (3,): multiply-adds, values written, passes of a batch.

    `active` runs are not validated. `steps` is the number of gradient steps that were taken, if known; otherwise it is
    estimated.
    """
    training = spec["training"]
    if steps is None:
        steps = expected_steps(training, data)
    work, batch = _work(spec, data), training["batch_size"]
    # The backward pass costs twice the forward pass.
    total = 3 * steps * batch * _with_passes(work.training, work.unet, batch)
    if not active:
        validations = math.ceil(steps / validation_interval(training, data.train))
        per_image = work.image + work.sample * VALIDATION_DRAWS
        total += validations * data.val * _with_passes(per_image, work.unet, VALIDATION_BATCH)
    return total


def sample_work(
    spec: TrainSpec, data: DatasetSize, images: int, draws: int, wrapper: WrapperSpec | None = None
) -> NDArray[np.float64]:
    """Work of so many samples (`draws`) for each of so many images, in the same units.

    They are those of the trained model, or of a wrapper of it. Without samples, it is the work of one forward pass, as
    for the features of the pool.
    """
    work = _work(spec, data)
    if wrapper:
        work = wrapped_work(wrapper["method"], wrapper["options"], work)
    per_image = work.image + work.sample * draws if draws else work.training
    return images * _with_passes(per_image, work.unet, sampling_batch((data.size, data.size), "cpu"))


def expected_steps(training: TrainingSpec, data: DatasetSize) -> int:
    """Gradient steps of a training run: its budget, or fewer with early stopping."""
    steps = budget(training, data)
    if training["patience"] is not None:
        patience = STOPS_AFTER * training["patience"] * validation_interval(training, data.train)
        steps = min(steps, selection_begins(steps) + patience)
    return steps


def budget(training: TrainingSpec, data: DatasetSize) -> int:
    """The most gradient steps that a training run takes."""
    return step_budget(training, data.train)


def _work(spec: TrainSpec, data: DatasetSize) -> ModelWork:
    return work_of(spec["method"], spec["options"], Backbone(**spec["backbone"]), data.channels, data.size)


def _with_passes(work: Work, unet: Work, batch: int) -> NDArray[np.float64]:
    """Multiply-adds and values of an image, and its share of the passes of a batch, counted in U-Nets."""
    return np.array([work.multiply_adds, work.values, work.values / unet.values / batch])


def weights_bytes(spec: TrainSpec, data: DatasetSize) -> float:
    """Size of `weights.pt`: float32 weights."""
    return 4 * _work(spec, data).training.weights + 50e3


def samples_bytes(data: DatasetSize, maps: bool) -> float:
    """Size of a samples file: a float32 per pixel of a test image, five float16 in `maps`, a float16 of validation.

    Compressed to two thirds; masks hardly take space (phantoms, on which 64 samples per image took 2 % of the file).
    """
    return 0.65 * data.size**2 * (data.test * (4 + 5 * 2 * maps) + data.val * 2)
