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
from helpers.workflow import NO_ACTIVE_LEARNING, ROOT, TINY, merged, scheduled, snakemake

MODELS = ["unet", "ensemble", "mc_dropout", "prob_unet"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny grid, run to the end once for all tests of this file; they must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_the_grid_ends_in_tables_and_figures(finished: Path) -> None:
    summary = pd.read_csv(finished / "results/tables/summary.csv")
    baselines = {"baseline_empty", "baseline_blind", "baseline_threshold", "baseline_annotator", "baseline_oracle"}
    assert set(summary.model) == {*MODELS, *baselines}
    assert set(summary.dataset) == {"phantom_lung", "phantom_skin"}
    assert {"ged_1", "ged_4", "ged_8", "ged_16", "ged_u_16", "diversity", "soft_dice_loss", "dice", "iou"} < set(
        summary.metric
    )
    distances = summary[summary.model.isin(MODELS) & (summary.metric == "ged_16")]
    assert len(distances) == 8 and distances["mean"].between(0, 2).all()
    # One test patient has no interval; there are several in the skin phantom.
    skin = distances[distances.dataset == "phantom_skin"]
    assert ((skin.ci_low <= skin["mean"]) & (skin["mean"] <= skin.ci_high)).all()
    figures = {path.name for path in (finished / "results/figures").iterdir()}
    for name in ("uncertainty_maps_phantom_lung", "samples_phantom_skin", "ged_by_samples", "entropy_by_outcome"):
        assert {f"{name}.png", f"{name}.pdf"} <= figures
    assert not list(finished.rglob("*.partial*"))


def test_nothing_is_left_to_do(finished: Path) -> None:
    assert scheduled(finished) == {}


def test_one_more_seed_runs_its_own_cells_and_what_collects_them(finished: Path) -> None:
    jobs = scheduled(finished, overlay=merged(TINY, grid={"seeds": [0, 1]}))
    assert {
        rule: jobs[rule] for rule in ("train_model", "sample", "evaluate", "baseline_threshold", "make_tables")
    } == {
        "train_model": 8,
        "sample": 8,
        "evaluate": 8,
        "baseline_threshold": 2,
        "make_tables": 1,
    }
    assert not {"prepare", "baselines"} & set(jobs)


def test_a_hyper_parameter_reruns_one_model(finished: Path) -> None:
    jobs = scheduled(finished, overlay=merged(TINY, models={"prob_unet": {"options": {"beta": 0.1}}}))
    assert (jobs["train_model"], jobs["sample"], jobs["evaluate"]) == (2, 2, 2)
    assert not {"prepare", "baselines", "baseline_threshold"} & set(jobs)


def test_a_label_reruns_figures_alone(finished: Path) -> None:
    jobs = scheduled(finished, overlay=merged(TINY, models={"unet": {"label": "Plain U-Net"}}))
    assert jobs and all(rule.startswith("plot") for rule in jobs)


def test_less_than_the_whole_grid(finished: Path) -> None:
    """One model, one dataset, one file."""
    one = merged(TINY, grid={"models": ["mc_dropout"], "datasets": ["phantom_skin"]})
    assert not {"train_model", "sample", "evaluate"} & set(scheduled(finished, overlay=one))
    assert scheduled(finished, "results/models/phantom_skin/unet/seed7/weights.pt") == {"train_model": 1}


def test_same_seed_same_tables(finished: Path, tmp_path: Path) -> None:
    one = merged(TINY, grid={"datasets": ["phantom_lung"]})
    assert snakemake(tmp_path, "tables", overlay=one).returncode == 0
    first, second = (pd.read_csv(folder / "results/tables/summary.csv") for folder in (finished, tmp_path))
    first = first[first.dataset == "phantom_lung"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


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


@pytest.mark.parametrize("preset", ["real-small", "paper"])
def test_presets_resolve_to_their_whole_grid(tmp_path: Path, preset: str) -> None:
    """A dry run needs the raw files to be there, not to be right."""
    for name in ("LIDC-IDRI-slices", "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"):
        (tmp_path / f"{name}.zip").touch()
    overlay = yaml.safe_load((ROOT / f"workflow/presets/{preset}.yaml").read_text())
    overlay |= {"raw_folders": [str(tmp_path)], "active": NO_ACTIVE_LEARNING}
    jobs = scheduled(tmp_path, overlay=overlay)
    cells = 2 * 4 * len(overlay["grid"]["seeds"])
    assert (jobs["prepare"], jobs["train_model"], jobs["sample"], jobs["evaluate"]) == (2, cells, cells, cells)


@pytest.mark.skipif(shutil.which("snakefmt") is None, reason="snakefmt is not installed")
def test_lint_and_format_are_clean(tmp_path: Path) -> None:
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, env={**os.environ}
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    files = [str(ROOT / "Snakefile"), *map(str, (ROOT / "workflow").rglob("*.smk"))]
    formatted = subprocess.run(["snakefmt", "--check", *files], capture_output=True, text=True)
    assert formatted.returncode == 0, formatted.stderr
