"""Rounds of active learning on a tiny store: what a round trains on, what it predicts and what it writes."""

import csv
import json
import subprocess
import sys
from itertools import combinations, pairwise

import h5py
import numpy as np
import pytest
import torch
from helpers.study import run, write_dataset

from segunc.active import pool_predictions
from segunc.active.round_scores import COLUMNS, ROUND
from segunc.catalogue.options import constant_of
from segunc.data.store import read_split, take
from segunc.evaluation.predictions import MAPS
from segunc.learning import training
from segunc.learning.build import restore
from segunc.metrics.registry import ROUND_SCORES
from segunc.networks.shape import DataStatistics
from segunc.stages import (
    active_acquire_with_model,
    active_evaluate,
    active_sample,
    active_start,
    active_train,
    evaluate,
    sample,
)

CPU = torch.device("cpu")
MODELS = ["unet", "ensemble", "mc_dropout", "prob_unet"]
STEPS = 5


def train_spec(method="unet", seed=0, **changes):
    settings = {
        "steps": STEPS,
        "epochs": None,
        "validate_every": None,
        "patience": None,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_steps": 0,
        "schedule": "constant",
        "gradient_clip": None,
        "annotators": "shuffled",
        "precision": "float32",
        "augmentation": None,
    }
    backbone = {"filters": [4, 6], "convolutions": 1, "normalisation": "batch"}
    return {
        "method": method,
        "options": {},
        "backbone": backbone,
        "seed": seed,
        "training": settings | changes,
    }


class Study:
    """A folder with a store of 20 training images, and the stages as the workflow calls them."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch, self.data = folder, monkeypatch, folder / "lung.h5"
        write_dataset(self.data, images=20)

    def stage(self, module, **options):
        run(module, self.monkeypatch, data=self.data, **options)

    def start(self, seed=0):
        output = self.folder / f"start{seed}.csv"
        self.stage(active_start, spec=json.dumps({"start": 6, "seed": seed}), labelled=output)
        return output

    def train(self, labelled, spec=None, name="weights.pt"):
        weights = labelled.with_name(f"{labelled.stem}-{name}")
        where = {"labelled": labelled, "weights": weights, "device": "cpu", "threads": 1}
        self.stage(active_train, spec=json.dumps(spec or train_spec()), name="lung", **where)
        return weights

    def pick(self, labelled, weights, round_, method="entropy", seed=0):
        output = labelled.with_name(f"{weights.stem}-{method}-{round_}.csv")
        spec = {"method": method, "options": {}, "add": 4, "seed": seed, "round": round_}
        if constant_of("strategies", method, "NEEDS") == "uncertainty":
            spec["draws"] = 16
        where = {"before": labelled, "weights": weights, "device": "cpu", "threads": 1}
        self.stage(active_acquire_with_model, spec=json.dumps(spec), labelled=output, **where)
        return output

    def sample(self, module, weights, name):
        where = {"weights": weights, "device": "cpu", "threads": 1, "samples": self.folder / name}
        self.stage(module, spec=json.dumps({"draws": 16, "seed": 0}), name="lung", **where)
        return self.folder / name


@pytest.fixture
def study(tmp_path, monkeypatch):
    return Study(tmp_path, monkeypatch)


def ids(labelled):
    with labelled.open(newline="", encoding="utf-8") as file:
        return [row["image_id"] for row in csv.DictReader(file)]


def load(weights):
    return torch.load(weights, weights_only=True)


def equal(first, second):
    return all(torch.equal(value, second["state"][name]) for name, value in first["state"].items())


@pytest.mark.parametrize("method", ["entropy", "entropy_mean", "bald", "power_bald", "coreset"])
def test_rounds_with_a_model(study, method):
    """Two rounds: new images of the training split each time, and the same ones again."""
    chain = [study.start()]
    for round_ in (1, 2):
        weights = study.train(chain[-1], train_spec("mc_dropout"))
        chain.append(study.pick(chain[-1], weights, round_, method))
        again = ids(chain[-1])
        assert ids(study.pick(chain[-2], weights, round_, method)) == again
    for before, after in pairwise(chain):
        assert ids(after)[: len(ids(before))] == ids(before)
    assert len(set(ids(chain[-1]))) == len(ids(chain[-1])) == 6 + 2 * 4
    assert set(ids(chain[-1])) <= set(read_split(study.data, "train", 0).image_id)


def test_entropy_picks_the_most_uncertain_images(study):
    start = study.start()
    weights = study.train(start)
    train = read_split(study.data, "train", 0)
    maps = pool_predictions.uncertainty(load(weights), train.images, 16, 0, CPU, "test")["predictive_entropy"]
    free = ~np.isin(train.image_id, ids(start))
    order = np.argsort(-maps.sum(axis=(1, 2), dtype=float)[free])
    assert ids(study.pick(start, weights, 1))[6:] == train.image_id[free][order[:4]].tolist()


def test_bald_is_random_for_a_model_whose_samples_are_equal(study):
    """The U-Net's equal samples leave rounding errors, which grow with the entropy and must not rank the images."""
    start = study.start()
    weights = study.train(start)
    train = read_split(study.data, "train", 0)
    maps = pool_predictions.uncertainty(load(weights), train.images, 16, 0, CPU, "test")
    assert maps["predictive_entropy"].any(axis=(1, 2)).all()
    assert not maps["mutual_information"].any()
    picks = {tuple(sorted(ids(study.pick(start, weights, 1, "bald", seed))[6:])) for seed in range(4)}
    assert len(picks) == 4


def test_models_see_the_pool_differently(study):
    start = study.start()
    images = read_split(study.data, "train", 0).images
    maps = [
        pool_predictions.uncertainty(load(study.train(start, train_spec(method))), images, 16, 0, CPU, "test")
        for method in ("unet", "ensemble", "mc_dropout")
    ]
    for first, second in combinations(maps, 2):
        assert not np.allclose(first["predictive_entropy"], second["predictive_entropy"], atol=1e-3)
        assert not np.allclose(first["mutual_information"], second["mutual_information"], atol=1e-3)


@pytest.mark.parametrize("method", MODELS)
def test_features_are_those_of_one_image_in_evaluation(study, method):
    """One row per image, whatever else is in the batch; the study predicts in training mode (defect B29)."""
    weights = load(study.train(study.start(), train_spec(method)))
    images = read_split(study.data, "train", 0).images
    together = pool_predictions.features(weights, images, CPU)
    assert together.shape == (20, 6)
    assert np.allclose(together[3:4], pool_predictions.features(weights, images[3:4], CPU), atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) > 10
    model, _ = restore(weights, CPU)
    unet = model.members[0] if method == "ensemble" else model.net
    with torch.no_grad():
        deepest = unet.encoder(torch.from_numpy(images[:2]).float() / 255)[-1]
    assert np.allclose(together[:2], deepest.mean(dim=(2, 3)).numpy(), atol=1e-5)


def test_training_sees_the_labelled_images_alone_in_any_order(study):
    start = study.start()
    first = load(study.train(start))
    assert equal(first, load(study.train(start)))

    header, *lines = start.read_text().splitlines()
    backwards = start.with_name("backwards.csv")
    backwards.write_text("\n".join([header, *lines[::-1]]) + "\n")
    assert equal(first, load(study.train(backwards)))

    train = read_split(study.data, "train", 0)
    labelled = np.isin(train.image_id, ids(start))
    assert DataStatistics(**first["data"]) == training.statistics_of(take(train, labelled))

    with h5py.File(study.data, "r+") as file:
        seen = (file["split"].asstr()[:] == "train") & np.isin(file["image_id"].asstr()[:], ids(start))
        for i in np.flatnonzero(~seen):
            file["images"][i], file["masks"][i] = 255, 1
    assert equal(first, load(study.train(start)))


def test_all_rounds_of_a_seed_start_from_the_same_weights(study):
    """The study's depend on the random numbers that the strategy used up (defect B30)."""
    start = study.start()
    # Steps so small that no weight moves in float32.
    still = {"learning_rate": 1e-30}
    first = load(study.train(start, train_spec(**still), "first.pt"))
    later = load(study.train(study.pick(start, study.train(start), 1), train_spec(**still), "later.pt"))
    other = load(study.train(start, train_spec(seed=1, **still), "other.pt"))
    convolutions = [name for name, value in first["state"].items() if name.endswith("weight") and value.ndim == 4]
    assert len(convolutions) == 4
    assert all(torch.equal(first["state"][name], later["state"][name]) for name in convolutions)
    assert not any(torch.equal(first["state"][name], other["state"][name]) for name in convolutions)


def test_exactly_so_many_steps_and_the_last_weights(study, monkeypatch):
    """Batch normalisation counts the batches that it has seen, and every one of them is a gradient step."""
    state = load(study.train(study.start(), train_spec(steps=11)))["state"]
    assert {int(value) for name, value in state.items() if name.endswith("num_batches_tracked")} == {11}
    images = read_split(study.data, "train", 0)
    monkeypatch.setattr(training, "validate", lambda *_: pytest.fail("nothing is to be validated"))
    _, history = training.train(train_spec(steps=11, patience=1), images, None, CPU, "test")
    assert history[-1]["step"] == 11
    assert all(np.isnan(row["val_cross_entropy"]) for row in history)


def test_divergence_is_reported_and_nothing_is_written(study):
    with pytest.raises(SystemExit, match=r"segunc: train lung: the .*; lower learning_rate, which is 1e\+30\.$"):
        study.train(study.start(), train_spec(learning_rate=1e30))
    assert not list(study.folder.glob("*.pt"))


@pytest.mark.parametrize("method", ["unet", "prob_unet"])
def test_samples_and_scores_are_those_of_the_main_study(study, method):
    """The same network gets the same samples, and each test image the same scores, at the validation cut too.

    The round's file has no maps of uncertainty.
    """
    weights = study.train(study.start(), train_spec(method))
    samples = study.sample(active_sample, weights, "round.h5")
    in_main = study.sample(sample, weights, "main.h5")
    with h5py.File(samples) as of_round, h5py.File(in_main) as of_main:
        assert set(of_main) - set(of_round) == {*MAPS.values()}
        assert dict(of_round.attrs) == dict(of_main.attrs)
        for name, dataset in of_round.items():
            assert (dataset[()] == of_main[name][()]).all(), name
    cell = {"dataset": "lung", "model": "unet", "seed": 0}
    scores = [study.folder / name for name in ("images.csv", "levels.csv", "pixels.csv.gz", "calibration.csv.gz")]
    study.stage(evaluate, samples=in_main, scores=scores, **cell)
    images = study.folder / "round.csv"
    cell |= {"strategy": "entropy", "round": 1}
    study.stage(active_evaluate, samples=samples, images=images, spec=json.dumps({"images": 10}), **cell)
    assert images.read_text().splitlines()[0].split(",") == COLUMNS
    rows, expected = (list(csv.DictReader(path.read_text().splitlines())) for path in (images, scores[0]))
    assert [row["image_id"] for row in rows] == read_split(study.data, "test", 0).image_id.tolist()
    for row, of_image in zip(rows, expected, strict=True):
        assert [row[name] for name in ROUND] == ["lung", "unet", "entropy", "0", "1"] and row["images"] == "10"
        shared = ["image_id", "patient_id", *ROUND_SCORES]
        assert [row[name] for name in shared] == [of_image[name] for name in shared]


def test_without_validation_images_the_cut_is_a_half(study):
    """A published split may have none, and rounds of active learning need none to train."""
    with h5py.File(study.data, "r+") as file:
        file["split"][:] = [split.replace("val", "train") for split in file["split"].asstr()[:]]
    samples = study.sample(active_sample, study.train(study.start()), "round.h5")
    cell = {"dataset": "lung", "model": "unet", "strategy": "start", "seed": 0, "round": 0}
    images = study.folder / "round.csv"
    study.stage(active_evaluate, samples=samples, images=images, spec=json.dumps({"images": 6}), **cell)
    rows = list(csv.DictReader(images.read_text().splitlines()))
    assert len(rows) == 20 and all(row["dice"] == row["dice_cut"] for row in rows)


def test_no_torch_to_score(study):
    """Scores of a round are made again after every edit of a metric."""
    command = (
        "import sys; from segunc.stages import active_evaluate, active_tabulate; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", command], check=True)
