"""Costs: work and bytes from the shapes of images and networks."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.config import merged, read_config
from helpers.workflow import TINY

from segunc.cells import Cell
from segunc.config import specs
from segunc.config.load import load_with_device
from segunc.config.schema import Config, Split
from segunc.learning.train_spec import TrainSpec
from segunc.plan import costs
from segunc.plan.costs import DatasetSize

NOWHERE = Path("no-such-store.h5")


def config_of(overlay: dict[str, Any]) -> Config:
    return load_with_device(merged(read_config(), overlay))[1]


def spec_of(config: Config, model: str) -> TrainSpec:
    return json.loads(specs.train(config, Cell("phantom_lung", model, seed=0)))


def size_of(config: Config) -> DatasetSize:
    return costs.data_of(config.datasets["phantom_lung"], NOWHERE)


def test_work_grows_with_what_it_depends_on() -> None:
    config = config_of(TINY)
    spec = {model: spec_of(config, model) for model in config.grid.models}
    data = size_of(config)
    # 14 patients with 2 images each, a fifth of them to test.
    assert (data.images, data.train, data.val, data.test, data.channels, data.annotators) == (28, 16, 6, 6, 1, 4)

    def work(model: str, steps: int | None = None, **changed: int) -> float:
        return costs.train_work(spec[model], data._replace(**changed), True, steps)[0]

    # Four members; and by hand: 6 steps of 8 images of 32x32 pixels, three times the forward pass of a network with 4
    # and 8 filters: 9 * (1*4 + 4*4) at full size, 9 * (4*8 + 8*8) at half of it, 9 * (12*4 + 4*4) at full size.
    assert work("unet") == 3 * 6 * 8 * 32**2 * 9 * (20 + 96 / 4 + 64)
    assert work("ensemble") == 4 * work("unet")
    assert work("unet", size=64) == 4 * work("unet")
    assert work("unet", steps=12) == 2 * work("unet")
    assert work("unet") < work("prob_unet") < 3 * work("unet")
    sampled = [costs.sample_work(spec[model], data, 10, 16)[0] for model in ("unet", "ensemble", "mc_dropout")]
    assert sampled[1] == 4 * sampled[0] and sampled[0] < sampled[2] < 16 * sampled[0]


def test_images_are_counted_in_the_store_or_expected_by_the_split(tmp_path: Path) -> None:
    dataset = config_of(TINY).datasets["phantom_lung"]
    shares = Split(train=0.5, val=0.25, test=0.25)
    assert costs.data_of(dataset.model_copy(update={"split": shares}), NOWHERE)[:3] == (14, 7, 7)
    with h5py.File(tmp_path / "store.h5", "w") as file:
        file["images"], file["masks"] = np.zeros((10, 1, 2, 2)), np.zeros((10, 4, 2, 2))
        file["fold"] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
        file["fold"].attrs["folds"] = 4
    counted = costs.data_of(dataset, tmp_path / "store.h5")
    assert counted[:3] == (3, 3, 4) and counted.source == ""


def test_passes_are_those_of_training_validation_and_sampling() -> None:
    """Batches of 8 in training, of 64 in validation and, at 32x32, in sampling; a U-Net runs once per image."""
    config = config_of(TINY)
    spec, data = spec_of(config, "unet"), size_of(config)._replace(val=128)
    forward_and_backward = 3 * 6
    assert costs.train_work(spec, data, True)[2] == pytest.approx(forward_and_backward)
    # Two validations in 6 steps, two batches each.
    assert costs.train_work(spec, data, False)[2] == pytest.approx(forward_and_backward + 2 * 2)
    assert costs.sample_work(spec, data, 320, 16)[2] == pytest.approx(5)


def test_validation_is_counted_with_its_samples() -> None:
    """A Monte Carlo dropout network runs its deeper part 8 times per validation image."""
    config = config_of(TINY)
    spec, data = spec_of(config, "mc_dropout"), size_of(config)
    validation = costs.train_work(spec, data, False) - costs.train_work(spec, data, True)
    # Two validations, with batches as large as those of sampling.
    assert np.allclose(validation, 2 * costs.sample_work(spec, data, data.val, 8))


def test_early_stopping_is_expected_and_bounded() -> None:
    config = config_of(merged(TINY, {"training": {"steps": 1000, "validate_every": 10, "patience": 3}}))
    data = size_of(config)
    training = spec_of(config, "unet")["training"]
    assert (costs.expected_steps(training, data), costs.budget(training, data)) == (250 + 150, 1000)
    training["patience"] = 30
    assert costs.expected_steps(training, data) == 1000
    training.update({"steps": None, "epochs": 7, "validate_every": None, "patience": None})
    # 16 training images in batches of 8.
    assert costs.expected_steps(training, data) == 14


def test_disk_of_weights_is_that_of_their_shapes() -> None:
    config = config_of({"backbone": {"filters": [8, 16, 32, 48], "convolutions": 3}})
    data = size_of(config)
    sizes = {model: costs.weights_bytes(spec_of(config, model), data) for model in config.grid.models}
    # The files of docs/results.md: 617, 2,470 and 1,370 kB.
    assert sizes["unet"] == pytest.approx(617e3, rel=0.1)
    assert sizes["ensemble"] == pytest.approx(2470e3, rel=0.1)
    assert sizes["prob_unet"] == pytest.approx(1370e3, rel=0.1)


def test_disk_of_samples_is_that_of_their_arrays() -> None:
    # Files of 84 test and 76 validation images of 64x64 pixels, of the U-Net and of the Probabilistic U-Net.
    data = size_of(config_of({}))._replace(test=84, val=76, size=64)
    assert (
        0.85 * costs.samples_bytes(data, maps=True)
        < 3_251_533
        < 3_876_387
        < 1.15 * costs.samples_bytes(data, maps=True)
    )
