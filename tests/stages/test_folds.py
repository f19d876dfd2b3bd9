"""Every stage works on the folds of its own seed: its training, validation and test patients."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import training
from helpers.study import SHAPE, blob, run

from segunc.data import store
from segunc.data.store import ImageRecord, write_store
from segunc.stages import (
    active_acquire,
    active_acquire_with_model,
    active_evaluate,
    active_sample,
    active_start,
    active_train,
    baselines,
    evaluate,
    sample,
    train,
)

FOLDS = 4
SEED = 6
"""Of all stages: it tests on fold 2, validates on fold 3 and trains on the folds 0 and 1."""
SCORES = ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A function that runs a stage on a store of four folds, and returns the seeds whose splits the stage has read."""
    records = [
        ImageRecord(np.full((1, *SHAPE), k, np.uint8), [blob(1 + k / 4)] * 2, f"fold{k % FOLDS}/{k}", f"{k}", f"{k}")
        for k in range(16)
    ]
    write_store(tmp_path / "data.h5", records, lambda patients, published: [k % FOLDS for k in range(16)], {})
    read: list[int] = []
    splits_of = store.splits_of

    def recorded(file, seed):
        read.append(seed)
        return splits_of(file, seed)

    monkeypatch.setattr(store, "splits_of", recorded)

    def of_stage(module, spec=None, **options):
        read.clear()
        run(module, monkeypatch, data=tmp_path / "data.h5", spec=json.dumps(spec or {}), **options)
        return set(read)

    return of_stage


def folds_of(path):
    """The folds of the images that a file of labelled images, scores or samples is about."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            ids = file["image_id"].asstr()[:].tolist()
    else:
        ids = pd.read_csv(path)["image_id"]
    return {image_id.split("/")[0] for image_id in ids}


def test_main_grid(stage, tmp_path):
    settings = {**training.spec(steps=1, validate_every=1), "seed": SEED}
    device = {"name": "x", "device": "cpu", "threads": 1}
    weights, samples = tmp_path / "weights.pt", tmp_path / "samples.h5"
    assert stage(train, settings, weights=weights, history=tmp_path / "history.csv", **device) == {SEED}
    assert stage(sample, {"draws": 2, "seed": SEED}, weights=weights, samples=samples, **device) == {SEED}
    assert folds_of(samples) == {"fold2"}
    with h5py.File(samples) as file:
        assert {name.split("/")[0] for name in file["validation_image_id"].asstr()[:]} == {"fold3"}
    for module, more in (
        (evaluate, {"samples": samples, "model": "unet"}),
        (baselines, {}),
    ):
        scores = [tmp_path / module.__name__ / name for name in SCORES]
        assert stage(module, dataset="d", seed=SEED, scores=scores, **more) == {SEED}
        assert folds_of(scores[0]) == {"fold2"}


def test_active_learning(stage, tmp_path):
    device = {"device": "cpu", "threads": 1}
    start, weights, samples = tmp_path / "start.csv", tmp_path / "weights.pt", tmp_path / "samples.h5"
    assert stage(active_start, {"start": 4, "seed": SEED}, labelled=start) == {SEED}
    settings = {**training.spec(steps=1, validate_every=None), "seed": SEED}
    assert stage(active_train, settings, labelled=start, name="x", weights=weights, **device) == {SEED}
    picks = {"options": {}, "add": 4, "seed": SEED, "round": 1}
    for module, method, more in (
        (active_acquire, {"method": "random"}, {}),
        (active_acquire_with_model, {"method": "entropy", "draws": 1}, {"weights": weights, **device}),
    ):
        labelled = tmp_path / f"{method['method']}.csv"
        assert stage(module, {**method, **picks}, before=start, labelled=labelled, **more) == {SEED}
        assert folds_of(labelled) == {"fold0", "fold1"}
    sampled = {"weights": weights, "samples": samples, "name": "x", **device}
    assert stage(active_sample, {"draws": 2, "seed": SEED}, **sampled) == {SEED}
    cell = {"dataset": "d", "model": "unet", "strategy": "start", "seed": SEED, "round": 0}
    images = tmp_path / "images.csv"
    assert stage(active_evaluate, {"images": 4}, samples=samples, images=images, **cell) == {SEED}
    assert folds_of(images) == {"fold2"}
