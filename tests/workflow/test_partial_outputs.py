"""With --keep-going, a failed cell leaves tables and figures that show it as missing."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers.workflow import NO_ACTIVE_LEARNING, TINY, Study, merged, snakemake

ONE_STRATEGY = {"active": {"strategies": ["random"]}}
FAILS = {"models": {"unet": {"training": {"learning_rate": 1e30}}}}


@pytest.fixture(scope="module")
def holes(study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, str]:
    """A copy of the study on one dataset, continued with U-Nets whose training fails, and what the run printed."""
    copy = study.copy(tmp_path_factory.mktemp("holes") / "run")
    copy.grid = merged(copy.grid, grid={"datasets": ["phantom_lung"]}, **ONE_STRATEGY)
    done = copy.run("--keep-going", overlay=merged(copy.grid, **FAILS))
    assert done.returncode != 0
    return copy, done.stderr


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"results/tables/{name}.csv")


def test_tables_list_what_is_missing_and_why(holes: tuple[Study, str]) -> None:
    study, printed = holes
    folder = study.folder
    assert "jobs have no results; missing.csv and active_missing.csv list the cells without scores and why." in printed
    missing = read(folder, "missing")
    assert missing[["dataset", "model", "seed"]].values.tolist() == [["phantom_lung", "unet", 0]]
    assert missing["why"].str.match("train phantom_lung unet seed 0 failed: .* the loss is nan in training").all()
    summary = read(folder, "summary").set_index(["model", "metric"])
    assert summary.loc[("unet", "dice"), "n_seeds"] == 0 and pd.isna(summary.loc[("unet", "dice"), "mean"])
    assert summary.loc[("mc_dropout", "dice"), "n_images"] > 0
    assert "the loss is nan" in (folder / "results/tables/summary.md").read_text()
    claims = read(folder, "claims")
    assert set(claims.loc[claims["claim"] == "9", "note"]) == {"no scores of unet"}
    rounds = read(folder, "active_missing")
    assert rounds[["model", "strategy", "round"]].values.tolist() == [["unet", "start", 0], ["unet", "random", 1]]
    assert set(read(folder, "active_learning")["model"]) == {"mc_dropout"}


def test_the_report_says_what_is_missing(holes: tuple[Study, str]) -> None:
    study, _ = holes
    text = (study.folder / "results/report.html").read_text(encoding="utf-8")
    assert "<code>evaluate phantom_lung unet seed 0</code>: train phantom_lung unet seed 0 failed: " in text
    index = json.loads(re.search(r'id="index">(.*?)</script>', text)[1])
    assert [model["label"] for model in index["datasets"][0]["models"]] == ["MC-dropout"]


def test_every_figure_is_drawn_without_them(holes: tuple[Study, str]) -> None:
    study, _ = holes
    failed = (study.folder / "results/logs/train/phantom_lung/unet/seed0.log").stat().st_mtime
    figures = (study.folder / "results/figures").glob("*.png")
    names = {path.stem for path in figures if path.stat().st_mtime > failed}
    # That of the picks waits for no training.
    assert names - {"active_picks_phantom_lung"} == {
        *("uncertainty_maps_phantom_lung", "sampled_masks_phantom_lung"),
        *("entropy_by_outcome", "entropy_by_agreement", "ged_by_samples", "active_composition", "pairwise_penalty"),
        *("ged_by_votes", "reliability", "risk_coverage", "cost_against_quality", "comparisons_phantom_lung"),
        *("learning_curves_cross_entropy", "learning_curves_dice_cut", "training_curves_phantom_lung"),
    }


def test_without_keep_going_nothing_is_collected(study: Study, tmp_path: Path) -> None:
    study = study.copy(tmp_path / "run")
    shutil.rmtree(study.folder / "results/tables")
    done = study.run("tables", overlay=merged(study.grid, grid={"datasets": ["phantom_lung"]}, **FAILS))
    assert done.returncode != 0
    assert not (study.folder / "results/tables").exists()


def test_a_run_that_fixes_it_makes_them_anew(holes: tuple[Study, str]) -> None:
    """Only the failed cells and what collects them; then nothing is missing any more."""
    study, _ = holes
    jobs = study.scheduled(models={"unet": {"training": {"learning_rate": 0.001}}})
    assert jobs["train"] == jobs["evaluate"] == jobs["tabulate"] == jobs["active_tabulate"] == 1
    assert jobs["claims_tabulate"] == 1
    assert jobs["active_train"] == 2 and "prepare" not in jobs
    # With the settings of before, the scores of before are up to date. The failed training took its history with it,
    # which a figure needs; nothing needs the weights.
    jobs = study.scheduled()
    assert not (study.folder / "results/models/phantom_lung/unet/seed0/weights.pt").exists()
    tables = {rule for rule in jobs if not rule.startswith("plot_")}
    assert tables == {"train", "tabulate", "active_tabulate", "claims_tabulate", "answer", "assemble"}
    assert {"plot_sampled_masks", "plot_learning_curves"} < set(jobs)
    targets = ("tables", "results/tables/active_learning.csv")
    done = study.run(*targets)
    assert done.returncode == 0, done.stderr
    assert read(study.folder, "missing").empty and read(study.folder, "active_missing").empty
    assert set(read(study.folder, "active_learning")["model"]) == {"unet", "mc_dropout"}
    record = json.loads((study.folder / "results/records/tabulate/all.json").read_text())
    assert record["spec"]["missing"] == []
    assert study.scheduled(*targets) == {}


def test_a_dataset_that_cannot_be_prepared(study: Study, tmp_path: Path) -> None:
    """The other one's tables are made, and its own place in them is empty."""
    study = study.copy(tmp_path / "run")
    (tmp_path / "LIDC-IDRI-slices.zip").write_bytes(b"no zip")
    shutil.rmtree(study.folder / "results/figures")
    grid = {"datasets": ["lidc", "phantom_lung"], "models": ["unet"]}
    overlay = {**merged(study.grid, grid=grid), "active": NO_ACTIVE_LEARNING, "raw_folders": [str(tmp_path)]}
    done = study.run("--keep-going", overlay=overlay)
    assert done.returncode != 0
    summary = read(study.folder, "summary")
    assert list(dict.fromkeys(summary["dataset"])) == ["lidc", "phantom_lung"]
    assert (summary[summary["dataset"] == "lidc"]["n_images"] == 0).all()
    why = read(study.folder, "missing")["why"]
    assert why.str.contains("prepare lidc failed: .*is neither a folder nor a complete zip archive").all()
    figures = study.folder / "results/figures"
    assert (figures / "sampled_masks_phantom_lung.png").exists()
    assert not (figures / "sampled_masks_lidc.png").exists()


@pytest.mark.parametrize("options", [["--keep-going"], []])
def test_a_figure_that_fails_is_missing_in_the_report(study: Study, tmp_path: Path, options: list[str]) -> None:
    study = study.copy(tmp_path / "run")
    page = study.folder / "results/report.html"
    page.unlink()
    fails = lambda text: text.replace("    style.save(", "    style.save(1 / 0, ")  # noqa: E731
    with study.edited("figures/ged_by_samples.py", fails):
        done = study.run(*options, "report")
        assert done.returncode != 0
        assert "segunc: 1 job failed:\n  plot_ged_by_samples: " in done.stderr
        assert "segunc: the report is there, without what failed: plot_ged_by_samples.\n" in done.stderr
        text = page.read_text(encoding="utf-8")
        assert 'id="figure-entropy_by_outcome"' in text and 'id="figure-ged_by_samples"' not in text
        assert "<strong>1 result is missing.</strong>" in text
        assert "plot_ged_by_samples failed: ZeroDivisionError: division by zero" in text
    assert study.scheduled("report") == {"plot_ged_by_samples": 1, "assemble": 1}


def test_a_figure_that_fails_before_the_rest_is_there(study: Study, tmp_path: Path) -> None:
    """Without --keep-going, a run does not go on to train; it says what would have made the rest."""
    study = study.copy(tmp_path / "run")
    page = study.folder / "results/report.html"
    page.unlink()
    overlay = merged(study.grid, grid={"seeds": [0, 1]})
    fails = lambda text: text.replace("    style.save(", "    style.save(1 / 0, ")  # noqa: E731
    with study.edited("figures/contact_sheet.py", fails):
        first = "results/figures/contact_sheet_lidc.png"
        done = study.run("report", "--prioritize", first, "--cores", "1", overlay=overlay)
    assert done.returncode != 0 and not page.exists()
    assert "segunc: only figures failed: with --keep-going, a run makes all else" in done.stderr


def test_any_number_may_be_missing(tmp_path: Path) -> None:
    """The list of what is missing is longer than Linux allows a command line to be."""
    seeds = list(range(1200))
    steps = [("evaluate", {"model": "unet"}, seeds), ("baselines", {}, seeds[1:])]
    missing = [
        {
            "step": step,
            "cell": {"dataset": "phantom_lung", "seed": str(seed), **more},
            "why": f"train phantom_lung unet {seed} failed: " + 60 * "x",
        }
        for step, more, of_step in steps
        for seed in of_step
    ]
    grid = {"datasets": ["phantom_lung"], "models": ["unet"], "seeds": seeds}
    assert len(json.dumps(missing)) > 2**18
    done = snakemake(tmp_path / "run", "tables", overlay={**merged(TINY, grid=grid), "missing": missing})
    assert done.returncode == 0, done.stdout + done.stderr
    # `baselines` scores four.
    assert len(read(tmp_path / "run", "missing")) == len(seeds) + 4 * len(seeds[1:])
    assert set(read(tmp_path / "run", "summary").dropna(subset="mean")["model"]) == {
        "baseline_annotator",
        "baseline_blind",
        "baseline_readings",
        "baseline_empty",
    }
