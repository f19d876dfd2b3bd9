"""With --keep-going, a failed cell leaves tables and figures that show it as missing and say why."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.workflow import TINY, merged, scheduled, snakemake

GRID = merged(
    TINY,
    grid={"datasets": ["phantom_lung"], "models": ["unet", "prob_unet"]},
    active={
        "datasets": ["phantom_lung"],
        "models": ["unet", "prob_unet"],
        "strategies": ["random"],
        "seeds": [0],
        "start": 6,
        "add": 2,
        "rounds": 1,
        "training": {"steps": 4, "epochs": None},
    },
)
DIVERGING = merged(GRID, models={"unet": {"training": {"learning_rate": 1e30}}})


@pytest.fixture(scope="module")
def holes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A grid of which every U-Net fails, and what the run said."""
    folder = tmp_path_factory.mktemp("holes")
    done = snakemake(folder, "--keep-going", overlay=DIVERGING)
    assert done.returncode != 0
    return folder, done.stderr


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"results/tables/{name}.csv")


def test_tables_say_what_is_missing_and_why(holes: tuple[Path, str]) -> None:
    folder, said = holes
    assert "results are missing; results/tables/ says which and why." in said
    missing = read(folder, "missing")
    assert missing[["dataset", "model", "seed"]].values.tolist() == [
        ["phantom_lung", "unet", 0],
        ["phantom_lung", "baseline_threshold", 0],
    ]
    assert missing["why"].str.match("train_model phantom_lung unet 0 failed: .* the loss is nan in training").all()
    summary = read(folder, "summary").set_index(["model", "metric"])
    assert summary.loc[("unet", "dice"), "n_seeds"] == 0 and pd.isna(summary.loc[("unet", "dice"), "mean"])
    assert summary.loc[("prob_unet", "dice"), "n_images"] > 0
    assert "the loss is nan" in (folder / "results/tables/summary.md").read_text()
    rounds = read(folder, "active_missing")
    assert rounds[["model", "strategy", "round"]].values.tolist() == [["unet", "start", 0], ["unet", "random", 1]]
    assert set(read(folder, "active_learning")["model"]) == {"prob_unet"}


def test_every_figure_is_there(holes: tuple[Path, str]) -> None:
    names = {path.stem for path in (holes[0] / "results/figures").glob("*.png")}
    per_dataset = {f"{name}_phantom_lung" for name in ("contact_sheet", "uncertainty_maps", "samples", "active_picks")}
    assert names == per_dataset | {
        *("entropy_by_outcome", "entropy_by_agreement", "ged_by_samples", "active_composition", "pairwise_penalty"),
        *("learning_curves_cross_entropy", "learning_curves_dice"),
    }


def test_a_run_that_mends_it_makes_them_anew(holes: tuple[Path, str]) -> None:
    """Only the failed cells and what collects them; then nothing is missing any more."""
    folder, _ = holes
    jobs = scheduled(folder, overlay=GRID)
    assert jobs["train_model"] == jobs["evaluate"] == jobs["make_tables"] == jobs["active_tables"] == 1
    assert jobs["active_train"] == 2 and "prepare" not in jobs
    done = snakemake(folder, overlay=GRID)
    assert done.returncode == 0, done.stderr
    assert read(folder, "missing").empty and read(folder, "active_missing").empty
    assert set(read(folder, "active_learning")["model"]) == {"unet", "prob_unet"}
    record = json.loads((folder / "results/provenance/tables.json").read_text())
    assert record["spec"]["missing"] == []
    assert scheduled(folder, overlay=GRID) == {}


def test_without_keep_going_nothing_is_collected(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "tables", overlay=DIVERGING)
    assert done.returncode != 0
    assert not (tmp_path / "results/tables").exists()


def test_a_dataset_that_cannot_be_prepared(tmp_path: Path) -> None:
    """The other one's tables are made, and its own place in them is empty."""
    (tmp_path / "LIDC-IDRI-slices.zip").write_bytes(b"no zip")
    grid = {"datasets": ["lidc", "phantom_lung"], "models": ["unet"], "seeds": [0]}
    overlay = {**merged(TINY, grid=grid), "raw_folders": [str(tmp_path)]}
    done = snakemake(tmp_path, "--keep-going", overlay=overlay)
    assert done.returncode != 0
    summary = read(tmp_path, "summary")
    assert list(dict.fromkeys(summary["dataset"])) == ["lidc", "phantom_lung"]
    assert (summary[summary["dataset"] == "lidc"]["n_images"] == 0).all()
    why = read(tmp_path, "missing")["why"]
    assert why.str.contains("prepare lidc failed: .*is neither a folder nor a complete zip archive").all()
    assert (tmp_path / "results/figures/samples_phantom_lung.png").exists()
    assert not (tmp_path / "results/figures/samples_lidc.png").exists()
