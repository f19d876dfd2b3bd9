"""The workflow itself: a tiny grid end to end, what is scheduled when, and how mistakes in the config end."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers import config
from helpers.workflow import NO_ACTIVE_LEARNING, ROOT, STUDY, Study, merged, scheduled, snakemake

BASELINES = {"baseline_empty", "baseline_blind", "baseline_annotator", "baseline_readings"}


def checked_summary(folder: Path, datasets: set[str], models: set[str]) -> pd.DataFrame:
    """The rows of the models' GED in a summary that has these datasets and models, their level sets and baselines."""
    summary = pd.read_csv(folder / "results/tables/summary.csv")
    assert (
        set(summary.model) == models | {f"{model}+levels" for model in models} | BASELINES
        and set(summary.dataset) == datasets
    )
    assert {"ged_1", "ged_4", "ged_8", "ged_16", "ged_u", "diversity", "soft_dice_loss", "dice", "iou"} < set(
        summary.metric
    )
    distances = summary[summary.model.isin(models) & (summary.metric == "ged_16")]
    assert len(distances) == len(datasets) * len(models) and distances["mean"].between(0, 2).all()
    return distances


def test_the_grid_ends_in_tables_and_figures(study: Study) -> None:
    checked_summary(study.folder, {"phantom_lung", "lidc"}, {"unet", "mc_dropout"})
    figures = {path.name for path in (study.folder / "results/figures").iterdir()}
    for name in ("uncertainty_maps_phantom_lung", "sampled_masks_lidc", "ged_by_samples", "entropy_by_outcome"):
        assert {f"{name}.png", f"{name}.pdf"} <= figures
    assert not list(study.folder.rglob("*.partial*"))


def test_the_other_models_on_a_dataset_with_one_annotator(study: Study, tmp_path: Path) -> None:
    study = study.copy(tmp_path / "run")
    grid = {"datasets": ["phantom_skin"], "models": ["ensemble", "prob_unet"]}
    maps = "results/figures/uncertainty_maps_phantom_skin.png"
    # There are too few patients for intervals in five folds.
    datasets = {"phantom_skin": {**study.grid["datasets"]["phantom_skin"], "split": {"folds": 3}}}
    done = study.run("tables", maps, overlay=merged(study.grid, grid=grid, datasets=datasets))
    assert done.returncode == 0, done.stderr + done.stdout
    distances = checked_summary(study.folder, {"phantom_skin"}, {"ensemble", "prob_unet"})
    assert ((distances.ci_low <= distances["mean"]) & (distances["mean"] <= distances.ci_high)).all()
    assert (study.folder / maps).exists()


def test_less_than_the_whole_grid(study: Study) -> None:
    """One model, one dataset, one file."""
    jobs = study.scheduled(grid={"models": ["mc_dropout"], "datasets": ["phantom_lung"]})
    assert not {"train", "sample", "evaluate"} & set(jobs)
    assert study.scheduled("results/models/phantom_lung/unet/seed7/weights.pt") == {"train": 1}


def test_same_seed_same_tables(study: Study, tmp_path: Path) -> None:
    """Run again without the other dataset and model."""
    one = merged(STUDY, grid={"datasets": ["phantom_lung"], "models": ["unet"]})
    assert snakemake(tmp_path, "tables", overlay=one).returncode == 0
    first, second = (pd.read_csv(folder / "results/tables/summary.csv") for folder in (study.folder, tmp_path))
    same = (first.dataset == "phantom_lung") & ~first.model.str.startswith("mc_dropout")
    pd.testing.assert_frame_equal(first[same].reset_index(drop=True), second, check_exact=True)


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ({"grid": {"seeds": "all"}}, "segunc: config key grid.seeds is 'all': input should be a valid list"),
        ({"grid": {"models": ["vit"]}}, "segunc: config key grid.models.0 is 'vit', but must be 'unet' or 'ensemble'"),
        ({"training": {"stepz": 3}}, "segunc: config key training.stepz is unknown; known here:"),
        (
            {"grid": {"datasets": ["lidc"]}, "raw_folders": ["nowhere"]},
            "segunc: config key datasets.lidc.options.slices",
        ),
    ],
)
def test_mistakes_end_in_one_sentence_with_nothing_written(tmp_path: Path, overlay: dict, sentence: str) -> None:
    done = snakemake(tmp_path, overlay=overlay)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_bad_raw_data_ends_in_one_sentence_with_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "LIDC-IDRI-slices.zip").write_bytes(b"PK\x03\x04 and then the download broke")
    overlay = {"grid": {"datasets": ["lidc"]}, "raw_folders": [str(tmp_path)]}
    done = snakemake(tmp_path, "data", overlay=overlay)
    assert done.returncode != 0
    assert re.search(r"segunc: .*LIDC-IDRI-slices\.zip.*", done.stderr + done.stdout)
    assert not list((tmp_path / "results").rglob("*.h5*"))


def preset_overlay(folder: Path, presets: list[str]) -> dict:
    """The presets merged, with raw data in `folder`: a dry run needs the files to be there, not to be right."""
    archives = ("LIDC-IDRI-slices", "LIDC-IDRI-slices-2")
    for name in (*archives, "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"):
        # Not empty: equal archives would be images that are there twice.
        (folder / f"{name}.zip").write_text(name)
    overlay: dict = {"raw_folders": [str(folder)]}
    for preset in presets:
        overlay = config.merged(overlay, yaml.safe_load((ROOT / f"workflow/presets/{preset}.yaml").read_text()))
    return overlay


@pytest.mark.parametrize(
    "presets",
    [["real-small"], ["paper"], ["real"], ["real", "real-models"], ["real", "real-models-isic"], ["real-wide"]],
)
def test_presets_resolve_to_their_whole_grid(tmp_path: Path, presets: list[str]) -> None:
    overlay = preset_overlay(tmp_path, presets) | {"active": NO_ACTIVE_LEARNING}
    jobs = scheduled(tmp_path, overlay=overlay)
    grid = {**config.read_config()["grid"], **overlay["grid"]}
    datasets, models, seeds = len(grid["datasets"]), set(grid["models"]), len(grid["seeds"])
    cells, trained = datasets * len(models) * seeds, datasets * len(models - {"tta"}) * seeds
    assert (jobs["prepare"], jobs["train"], jobs["sample"], jobs["evaluate"]) == (datasets, trained, cells, cells)


def test_bald_preset_has_every_round_of_active_learning(tmp_path: Path) -> None:
    overlay = preset_overlay(tmp_path, ["real", "real-bald"])
    jobs = scheduled(tmp_path, "active", overlay=overlay)
    seeds, rounds = len(overlay["active"]["seeds"]), overlay["active"]["rounds"]
    # Both strategies share the first round.
    assert jobs["active_train"] == seeds * (1 + 2 * rounds)
    assert jobs["active_acquire"] == jobs["active_acquire_with_model"] == seeds * rounds
    assert {"train", "sample"} & set(jobs) == set()


@pytest.mark.skipif(shutil.which("snakefmt") is None, reason="snakefmt is not installed")
def test_lint_and_format_are_clean(tmp_path: Path) -> None:
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, env={**os.environ}
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    files = [str(ROOT / "Snakefile"), *map(str, (ROOT / "workflow").rglob("*.smk"))]
    formatted = subprocess.run(["snakefmt", "--check", *files], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stderr
