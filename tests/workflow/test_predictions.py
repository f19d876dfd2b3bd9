"""Predictions that were made elsewhere, in the workflow: the same tables, no training, no GPU."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.workflow import Study, merged

import segunc

OURS = ("phantom_lung", "mc_dropout", 0)


def overlay_of(study: Study, folder: Path, **options: str) -> dict:
    """The study on one dataset without active learning, with one more model: what is in a folder."""
    theirs = {"label": "Theirs", "method": "predictions", "options": {"folder": str(folder), **options}}
    grid = {"datasets": ["phantom_lung"], "models": ["unet", "mc_dropout", "theirs"]}
    return merged(study.grid, grid=grid, models={"theirs": theirs}, active={"models": [], "strategies": []})


@pytest.fixture(scope="module")
def loop(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A copy of the study, in which the samples of a model were exported, imported and scored as another model."""
    copy = study.copy(tmp_path_factory.mktemp("loop") / "run")
    folder = copy.folder.parent / "predictions"
    folder.mkdir()
    results = segunc.load(copy.folder / "results")
    for image_id in results.test_images(*OURS):
        samples, mean = results.samples(*OURS, image_id), results.mean(*OURS, image_id)
        np.savez(folder / f"{image_id.replace('/', '__')}.npz", samples=samples, probability=mean)
    done = copy.run("tables", "results/figures/sampled_masks_phantom_lung.png", overlay=overlay_of(copy, folder))
    assert done.returncode == 0, done.stderr
    return copy, folder


def test_exported_samples_have_the_same_scores(loop: tuple[Study, Path]) -> None:
    """All that depend on masks and the mean; validation images have no predictions, so no threshold is chosen."""
    study, _ = loop
    results = segunc.load(study.folder / "results")
    ours, theirs = (results.scores("phantom_lung", model, 0) for model in ("mc_dropout", "theirs"))
    for name in ("ged_u", "dice", "iou", "hm_iou", "cross_entropy", "brier", "diversity"):
        pd.testing.assert_series_equal(ours[name], theirs[name])
    summary = results.summary.set_index(["model", "metric"])["mean"]
    assert summary["theirs", "ged_u"] == summary["mc_dropout", "ged_u"]


def test_no_training_and_no_gpu(loop: tuple[Study, Path]) -> None:
    study, folder = loop
    overlay = overlay_of(study, folder)
    assert study.scheduled("tables", overlay=overlay) == {}
    forced = study.scheduled("tables", "--forcerun", "import_predictions", overlay=overlay)
    assert set(forced) == {"import_predictions", "evaluate", "tabulate"} and forced["evaluate"] == 1
    record = json.loads(
        (study.folder / "results/records/import_predictions/phantom_lung/theirs/seed0.json").read_text()
    )
    assert "torch" not in record["versions"]
    planned = study.segunc("plan", overlay=overlay).stdout
    assert "import_predictions" in planned


def test_a_changed_file_reruns_its_model_alone(loop: tuple[Study, Path]) -> None:
    study, folder = loop
    overlay = overlay_of(study, folder)
    path = next(iter(sorted(folder.iterdir())))
    before = path.read_bytes()
    with np.load(path) as arrays:
        np.savez(path, samples=~arrays["samples"], probability=arrays["probability"])
    try:
        jobs = study.scheduled("tables", overlay=overlay)
        assert jobs == {"import_predictions": 1, "evaluate": 1, "tabulate": 1}
        assert "theirs" in study.segunc("why", "tables", overlay=overlay).stdout
    finally:
        path.write_bytes(before)
    assert study.scheduled("tables", overlay=overlay) == {}


def test_predictions_that_are_missing_are_listed(loop: tuple[Study, Path], tmp_path: Path) -> None:
    """With --keep-going, the tables have the other models."""
    study, folder = loop
    copy = study.copy(tmp_path / "run")
    (tmp_path / "some").mkdir()
    first = next(iter(sorted(folder.iterdir())))
    (tmp_path / "some" / first.name).write_bytes(first.read_bytes())
    done = copy.run("tables", "--keep-going", overlay=overlay_of(copy, tmp_path / "some"))
    assert done.returncode != 0 and "has no prediction of " in done.stderr
    with (copy.folder / "results/tables/missing.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file)} >= {"theirs"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"draws": 4}, "config key models.theirs.draws is set, but theirs has no training of its own: its predictions"),
        ({"training": {"steps": 3}}, "config key models.theirs.training is set, but theirs has no training"),
        ({"options": {"folder": "nowhere"}}, "config key models.theirs.options.folder is 'nowhere', but no such file"),
    ],
)
def test_refused_settings(loop: tuple[Study, Path], changes: dict, sentence: str) -> None:
    study, folder = loop
    overlay = overlay_of(study, folder)
    overlay["models"]["theirs"] |= changes
    done = study.run("tables", "--dry-run", overlay=overlay)
    assert done.returncode != 0 and sentence in done.stderr, done.stderr


def test_refused_in_active_learning(loop: tuple[Study, Path]) -> None:
    study, folder = loop
    overlay = merged(overlay_of(study, folder), active={**study.grid["active"], "models": ["theirs"]})
    done = study.run("active", "--dry-run", overlay=overlay)
    assert "active.models lists theirs, which has no training of its own, but each round trains" in done.stderr


def test_folders_of_seeds(loop: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = loop
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/seed0").symlink_to(folder)
    overlay = overlay_of(study, tmp_path / "seeds")
    # The same files.
    assert study.scheduled("tables", overlay=overlay) == {}
    done = study.run("tables", "--dry-run", overlay=merged(overlay, grid={"seeds": [0, 1]}))
    assert "which has seed0, but no seed1; add it, or remove the seed from grid.seeds" in done.stderr


def test_folders_of_datasets(loop: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = loop
    (tmp_path / "all/phantom_lung").mkdir(parents=True)
    (tmp_path / "all/phantom_lung/seed0").symlink_to(folder)
    overlay = overlay_of(study, tmp_path / "all")
    # The same files.
    assert study.scheduled("tables", overlay=overlay) == {}
    (tmp_path / "all/phantom_lung").rename(tmp_path / "all/lidc")
    done = study.run("tables", "--dry-run", overlay=overlay)
    assert "which has lidc, but no phantom_lung; add it, or remove the dataset from grid.datasets" in done.stderr
