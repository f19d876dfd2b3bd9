"""`run: name` in the config: an experiment has its own tables, figures and report, and shares everything else."""

import json
from pathlib import Path

from helpers.workflow import Study, merged

import segunc

SHOWN = ("answer", "assemble", "tabulate", "active_tabulate", "claims_tabulate")
OTHER = {"run": "other", "grid": {"datasets": ["phantom_lung"]}}


def other_of(study: Study) -> dict:
    """An experiment on one dataset, whose U-Net has other settings."""
    unet = {"unet": {"training": {**study.grid["models"]["unet"]["training"], "steps": 4}}}
    return merged({**study.grid, "run": "other"}, grid=OTHER["grid"], models=unet)


def test_only_what_is_shown_is_made_for_another_name(study: Study) -> None:
    jobs = study.scheduled(overlay={**study.grid, "run": "other"})
    figures = {path.name for path in (study.folder / "results/records").glob("plot_*")}
    assert set(jobs) == {*SHOWN, *figures}
    assert jobs["plot_contact_sheet"] == 2 and jobs["tabulate"] == 1
    # Without a name, everything is there.
    assert study.scheduled() == {}


def test_two_experiments_share_results(study: Study, tmp_path: Path) -> None:
    """Equal trainings run once; what differs replaces results that are restored for the other experiment."""
    study = study.copy(tmp_path / "run")
    results = study.folder / "results"
    before = {path: path.read_bytes() for path in (results / "tables").iterdir()}
    done = study.run("tables", "active", overlay=other_of(study))
    assert done.returncode == 0, done.stderr
    # Of the main grid: training, samples and scores of the plain U-Net.
    assert "results of 3 jobs are replaced by those of the present config and code; results/.kept" in done.stderr
    assert before == {path: path.read_bytes() for path in (results / "tables").iterdir()}
    own = segunc.load(results, run="other").summary
    assert set(own["dataset"]) == {"phantom_lung"}
    assert set(segunc.load(results).summary["dataset"]) == {"phantom_lung", "lidc"}
    assert (results / "records/tabulate/other/all.json").exists()
    assert (results / "logs/tabulate/other/all.log").exists()
    assert (results / "runs/other/figures/learning_curves_dice_cut.png").exists()

    back = study.scheduled("tables")
    assert back["train"] == back["sample"] == back["evaluate"] == 1
    done = study.run("tables")
    assert done.returncode == 0, done.stderr
    record = json.loads((results / "records/train/phantom_lung/unet/seed0.json").read_text())
    assert record["restored"]
    assert before == {path: path.read_bytes() for path in (results / "tables").iterdir()}
    # The tables of the other experiment say what it found, though the results behind them were replaced.
    assert (results / "runs/other/tables/summary.csv").exists()
    assert study.scheduled("tables", overlay=other_of(study))["train"] == 1
