"""Durations: assumed, and scaled by what earlier runs took."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.plans import make, read, store, took
from helpers.workflow import TINY, merged, where

from segunc.cells import Cell
from segunc.plan import costs
from segunc.plan.durations import datasets_of, network_spec, scale, scales_of, seconds
from segunc.plan.report import report
from segunc.runtime import records
from segunc.workflow.snakemake_internals import Parsed

UNET, ENSEMBLE = (Cell("phantom_lung", model, seed=0) for model in ("unet", "ensemble"))


def assumed(parsed: Parsed, cell: Cell) -> float:
    spec = network_spec(parsed.config, "train", cell)
    return seconds(parsed, "train", cell, datasets_of(parsed, []), False, spec, None)


def test_durations_from_records(tmp_path: Path) -> None:
    """A training that took twice what is assumed makes all of its kind take twice as long, whatever their size."""
    overlay = {**TINY, "device": "cpu"}
    parsed, _ = read(tmp_path, overlay)
    make(tmp_path, overlay)
    store(tmp_path, "phantom_lung", 100, 32)
    images = datasets_of(parsed, [])["phantom_lung"]
    assert (images.train, images.test, images.source) == (80, 10, "")
    took(tmp_path, "train/phantom_lung/unet/seed0", 2 * assumed(parsed, UNET))
    took(tmp_path, "train/phantom_lung/ensemble/seed0", 3 * assumed(parsed, ENSEMBLE))
    took(tmp_path, "train/phantom_lung/unknown_model/seed0", 1000.0)
    took(tmp_path, "not_a_rule/phantom_lung", 1000.0)
    scales = scales_of(parsed, gpu=False)
    assert scales["train", "unet"] == (pytest.approx(2), 1)
    assert scales["train", "ensemble"].factor == pytest.approx(3)
    assert ("sample", "unet") not in scales
    # A model that never ran takes the scale of those that did.
    assert scale(scales, "train", "mc_dropout") == scales["train", ""].factor
    assert scale(scales, "sample", "unet") == 1
    # For a larger grid: the settings in the record are compared with what they took, not today's.
    larger, _ = read(tmp_path, merged(overlay, training={"steps": 600, "validate_every": 300}))
    assert scales_of(larger, gpu=False)["train", "unet"].factor == pytest.approx(2)
    assert assumed(larger, UNET) > assumed(parsed, UNET)
    said = report(where(tmp_path, overlay))
    assert "train: ensemble 3.00, unet 2.00 (2 runs)" in said
    assert "phantom_lung: 100 images, 80 to train, 10 to test (counted)" in said
    # Restored results may be those of another machine; results without a record say nothing.
    path = tmp_path / "results/records/train/phantom_lung/unet/seed0.json"
    record = records.read(path)
    assert record is not None
    records.write(path, record._replace(restored="2026-01-31T12:00:00+00:00"))
    assert scales_of(parsed, gpu=False)["train", ""] == scales["train", "ensemble"]
    path.unlink()
    assert ("train", "unet") not in scales_of(parsed, gpu=False)


def test_more_threads_shorten_a_training(tmp_path: Path) -> None:
    one, _ = read(tmp_path, TINY)
    four, _ = read(tmp_path, TINY, "--set-threads", "train=4", "--cores", "8")
    start = 5.0
    assert assumed(four, UNET) - start == pytest.approx((assumed(one, UNET) - start) / 4)


def test_a_rule_without_an_entry_takes_a_second(tmp_path: Path) -> None:
    parsed, _ = read(tmp_path, TINY)
    assert seconds(parsed, "calibrate", UNET, datasets_of(parsed, []), False, "", None) == 1


def test_a_store_that_is_cut_off_is_not_counted(tmp_path: Path) -> None:
    parsed, _ = read(tmp_path, TINY)
    path = tmp_path / "results/data/phantom_lung.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    assert datasets_of(parsed, [])["phantom_lung"].source == "the phantom's options"


def test_a_wrapper_takes_the_time_of_its_views(tmp_path: Path) -> None:
    """Eight views of one network, whose training is that of the model itself; measured as any other."""
    overlay = {**merged(TINY, grid={"models": ["unet", "tta"]}), "device": "cpu"}
    parsed, _ = read(tmp_path, overlay)
    data, tta = datasets_of(parsed, []), Cell("phantom_lung", "tta", seed=0)
    spec = network_spec(parsed.config, "sample", tta)
    assert spec == network_spec(parsed.config, "train", UNET) == network_spec(parsed.config, "sample", UNET)
    of_unet, of_views = (
        seconds(parsed, "sample", cell, data, False, spec, None) - costs.STARTUP["network"] for cell in (UNET, tta)
    )
    assert of_views == pytest.approx(8 * of_unet)
    make(tmp_path, overlay)
    store(tmp_path, "phantom_lung", 100, 32)
    took(tmp_path, "sample/phantom_lung/tta/seed0", 50.0)
    assert scales_of(parsed, gpu=False)["sample", "tta"].runs == 1
    assert "sample: tta " in report(where(tmp_path, overlay))
