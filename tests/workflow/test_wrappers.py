"""Wrappers of trained networks in the workflow: one training behind several models, and what reruns it."""

import json
import shutil
from pathlib import Path

import h5py
import pandas as pd
import pytest
from helpers.workflow import NO_ACTIVE_LEARNING, Study, merged

TWO_VIEWS = {"label": "TTA (2)", "method": "tta", "options": {"of": "unet", "views": 2}}
CELL = "phantom_lung/{}/seed0"
CURVES = "results/figures/training_curves_phantom_lung.png"
AFTER = {"tabulate", "assemble", "answer", "claims_tabulate"}


def models_of(study: Study, *arguments: str, **changes: dict) -> dict[str, int]:
    """The jobs that a run would start, without tables and figures."""
    jobs = study.scheduled(*arguments, **changes)
    return {rule: count for rule, count in jobs.items() if rule not in AFTER and not rule.startswith("plot_")}


@pytest.fixture(scope="module")
def wrapped(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the study on one dataset, continued with two wrappers of its U-Net, which is in the grid no more."""
    copy = study.copy(tmp_path_factory.mktemp("wrapped") / "run")
    grid = {"datasets": ["phantom_lung"], "models": ["tta", "mc_dropout", "two_views"]}
    copy.grid = {**merged(copy.grid, grid=grid, models={"two_views": TWO_VIEWS}), "active": NO_ACTIVE_LEARNING}
    assert models_of(copy) == {"sample": 2, "evaluate": 2}
    done = copy.run("tables", CURVES)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_wrappers_share_the_training_that_is_there(wrapped: Study) -> None:
    assert not (wrapped.folder / "results/models/phantom_lung/tta").exists()
    shape = {}
    for model in ("tta", "two_views"):
        with h5py.File(wrapped.folder / f"results/samples/{CELL.format(model)}.h5") as file:
            shape[model] = file["samples"].shape[1]
        record = json.loads((wrapped.folder / f"results/records/sample/{CELL.format(model)}.json").read_text())
        assert {"segunc.models.tta", "segunc.models.unet"} < set(record["code"])
        assert f"results/models/{CELL.format('unet')}/weights.pt" in record["inputs"]
    assert shape == {"tta": 8, "two_views": 2}
    summary = pd.read_csv(wrapped.folder / "results/tables/summary.csv")
    assert {"tta", "mc_dropout", "two_views"} < set(summary["model"])
    # Training curves have none of theirs.
    record = json.loads((wrapped.folder / "results/records/plot_training_curves/phantom_lung.json").read_text())
    assert record["spec"]["runs"] == [["mc_dropout", 0]]


def test_its_file_or_an_option_reruns_the_samples_of_a_wrapper(wrapped: Study) -> None:
    assert models_of(wrapped) == {}
    with wrapped.edited("models/tta.py"):
        assert models_of(wrapped) == {"sample": 2, "evaluate": 2}
        why = wrapped.segunc("why", "tables").stdout
    assert "src/segunc/models/tta.py changed:\n    sample (2): phantom_lung tta seed 0" in why
    fewer = {**TWO_VIEWS, "options": {"of": "unet", "views": 4}}
    assert models_of(wrapped, models={"two_views": fewer}) == {"sample": 1, "evaluate": 1}
    other = merged(wrapped.grid, models={"two_views": {**TWO_VIEWS, "options": {"of": "mc_dropout", "views": 2}}})
    assert models_of(wrapped, overlay=other) == {"sample": 1, "evaluate": 1}


def test_what_retrains_the_wrapped_model_reruns_its_wrappers(wrapped: Study) -> None:
    once = {"train": 1, "sample": 2, "evaluate": 2}
    with wrapped.edited("models/unet.py"):
        assert models_of(wrapped) == once
    assert models_of(wrapped, models={"unet": {"training": {"batch_size": 4}}}) == once
    # The wrapped model in the grid needs no training either.
    more = {"datasets": ["phantom_lung"], "models": ["unet", "tta", "mc_dropout", "two_views"]}
    assert models_of(wrapped, grid=more) == {}
    assert models_of(wrapped, "models", grid={**more, "seeds": [1]}) == {"train": 2}


def test_a_failed_training_leaves_its_wrappers_missing(wrapped: Study, tmp_path: Path) -> None:
    study = wrapped.copy(tmp_path / "run")
    shutil.rmtree(study.folder / "results/tables")
    fails = merged(wrapped.grid, models={"unet": {"training": {"learning_rate": 1e30}}})
    done = study.run("--keep-going", "tables", CURVES, overlay=fails)
    assert done.returncode != 0
    missing = pd.read_csv(study.folder / "results/tables/missing.csv")
    assert missing["model"].tolist() == ["tta", "two_views"]
    assert missing["why"].str.match("train phantom_lung unet seed 0 failed: .* the loss is nan in training").all()
    summary = pd.read_csv(study.folder / "results/tables/summary.csv").set_index(["model", "metric"])
    assert summary.loc[("tta", "dice"), "n_images"] == 0 < summary.loc[("mc_dropout", "dice"), "n_images"]
