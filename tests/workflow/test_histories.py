"""Nothing stale, nothing lost: whatever happened to a study, its tables are those of a fresh run."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.histories import TARGETS, History, jobs_below
from helpers.workflow import command, scheduled

RATE = ("training", "learning_rate")
TRAININGS = 9
"""Of the study of the histories."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A study that has run to the end."""
    history = History(tmp_path_factory.mktemp("finished") / "study", seed=0)
    history.finish()
    return history


@pytest.fixture
def history(finished: History, tmp_path: Path) -> History:
    """A copy of the finished study, with another checkout, in another place."""
    return finished.copy_to(tmp_path / "study")


def started(history: History) -> dict[str, int]:
    """Jobs per rule that a run would start."""
    return scheduled(history.run_folder, *TARGETS, overlay=history.overlay, checkout=history.checkout)


def interrupt_in_training(history: History, *arguments: str) -> None:
    """Starts a run, and ends it like Ctrl-C in its first training."""
    words = command(history.run_folder, *TARGETS, *arguments, overlay=history.overlay, checkout=history.checkout)
    with subprocess.Popen(
        words, cwd=history.checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        while run.poll() is None and not jobs_below(run.pid, "segunc.stages.train"):
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait() != 0


@pytest.mark.parametrize("seed", range(2))
def test_random_histories_end_as_a_fresh_run(tmp_path: Path, seed: int) -> None:
    """`python -m helpers.histories 0 300 12 FOLDER` in `tests/` runs hundreds of them."""
    history = History(tmp_path / "study", seed)
    history.live(6)
    history.conclude()
    assert history.repeated_trainings() <= history.lost, history.story


@pytest.mark.parametrize(
    ("forget", "arguments"),
    [
        ("metadata", ()),
        ("copy", ("--keep-going",)),
        ("accept", ()),
        ("nothing", ("--rerun-triggers", "mtime")),
    ],
)
def test_an_edit_that_is_interrupted_leaves_nothing_stale(
    history: History, forget: str, arguments: tuple[str, ...]
) -> None:
    """Weights of the new setting, samples and scores of the old one: the old ones must not stand."""
    if forget == "metadata":
        history.remove_metadata()
    elif forget == "copy":
        history.copy()
    elif forget == "accept":
        history.accept_what_changes_nothing()
    history.settings[RATE] = 0.002
    interrupt_in_training(history, *arguments)
    done = history.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    history.conclude()


def test_an_edit_that_is_undone_costs_nothing(history: History) -> None:
    """A mistake, Ctrl-C in the first training, the setting as before."""
    history.settings[RATE] = 0.002
    interrupt_in_training(history)
    history.settings[RATE] = 0.001
    history.conclude()
    assert history.repeated_trainings() == 0


def test_a_branch_that_is_switched_back_costs_nothing(history: History) -> None:
    history._set_edit("train", 1)
    history.finish()
    trained = history.trainings.read_text()
    history._set_edit("train", 0)
    _, _, restored = history.segunc("why").partition("of these, restored from what was computed before:")
    assert {"train", "sample", "tabulate"} <= set(re.findall(r"^ {4}(\w+)", restored, re.MULTILINE))
    history.conclude()
    assert history.trainings.read_text() == trained


def test_an_edit_with_the_same_result_reruns_its_stage_alone(history: History) -> None:
    """The picks are the same, so that no later round is trained again."""
    path = history.checkout / "src/segunc/stages/active_acquire_with_model.py"
    path.write_text(path.read_text() + "\nUNUSED = 1\n")
    trained = history.trainings.read_text()
    assert started(history)["active_train"] == 2
    history.conclude()
    assert history.trainings.read_text() == trained


@pytest.mark.parametrize("past", [["copy", "move_checkout", "move_raw", "touch", "edit_comment"], ["remove_metadata"]])
def test_what_changes_no_result_reruns_nothing(history: History, past: list[str]) -> None:
    for what in past:
        getattr(history, what)()
    assert started(history) == {}
    assert history.segunc("why").startswith("Nothing would run")


def test_half_a_refactoring_starts_nothing(history: History) -> None:
    """A module is renamed, and an import of it left: one sentence, and every result stands."""
    before = {path: path.read_bytes() for path in history._files()}
    files = history.checkout / "src/segunc/runtime/files.py"
    files.with_name("atomic.py").write_text(files.read_text())
    stage = history.checkout / "src/segunc/stages/train.py"
    stage.write_text(stage.read_text().replace("from segunc.runtime.files", "from segunc.runtime.atomics"))
    done = history.run("--keep-going")
    assert done.returncode != 0
    words = "train.py, line 5 imports segunc.runtime.atomics, which does not exist; finish or undo the edit."
    assert words in done.stderr
    assert {path: path.read_bytes() for path in history._files()} == before


def test_results_of_a_failed_model_are_missing_whatever_was_there(history: History) -> None:
    """A model that diverges at new settings has no scores in the tables, not even after its old ones are found."""
    history.settings["models", "mc_dropout", "training", "learning_rate"] = 0.5
    for _ in range(3):
        assert history.run("--keep-going").returncode != 0
        spec = (history.run_folder / "results/records/tabulate/all.json").read_text()
        assert "the training diverged" in spec
        assert "scores/lidc/mc_dropout" not in spec
        history.remove_metadata()
    del history.settings["models", "mc_dropout", "training", "learning_rate"]
    history.conclude()
    assert history.repeated_trainings() == 0


@pytest.mark.parametrize(
    "damages",
    [
        {
            "models/lidc/unet/seed0/weights.pt": ("train", "flip"),
            "scores/lidc/mc_dropout/seed0/images.csv": ("evaluate", "cut"),
            "active/phantom_lung/unet/start/seed0/round0/weights.pt": ("active_train", "empty"),
        },
        {
            "data/lidc.h5": ("prepare", "flip"),
            "samples/phantom_lung/unet/seed0.h5": ("sample", "cut"),
            "tables/summary.csv": ("tabulate", "flip"),
        },
    ],
)
def test_damage_is_noticed_and_repaired(history: History, damages: dict[str, tuple[str, str]]) -> None:
    """No damaged file is made directly from another one, so that each job runs for its own damage alone."""
    paths = {history.run_folder / "results" / file: kind for file, (_, kind) in damages.items()}
    before = {path: path.read_bytes() for path in paths}
    for path, kind in paths.items():
        history.damage_file(path, kind, keep_time=True)
    for said in (history.segunc("why"), history.segunc("check")):
        assert all(f"results/{file} is damaged: it" in said for file in damages)
    assert started(history) == {rule: 1 for rule, _ in damages.values()}
    history.conclude()
    assert {path: path.read_bytes() for path in paths} == before


def test_what_is_missing_but_not_needed_is_said(history: History) -> None:
    for folder in ("models/lidc", "samples/lidc"):
        shutil.rmtree(history.run_folder / "results" / folder)
    said = history.segunc("why")
    assert said.startswith("Nothing would run")
    listed = "missing, but not needed for what is there:\n    train (2): lidc mc_dropout seed 0, lidc unet seed 0\n"
    assert listed in said and "    sample (2): lidc" in said
    assert started(history) == {}
    # A new need brings them back, without computing.
    trained = history.trainings.read_text()
    history._set_edit("evaluate", 1)
    history.conclude()
    assert history.trainings.read_text() == trained


def test_a_shared_folder_of_kept_results_saves_the_trainings_of_others(finished: History, history: History) -> None:
    """Two working directories with the same settings; in the second one, nothing is trained."""
    kept = history.home / "kept"
    (history.run_folder / "results/.kept").rename(kept)
    trained = history.trainings.read_text()
    history.keep = str(kept)
    history.run_folder = history.home / "colleague"
    history.finish()
    assert history.trainings.read_text() == trained
    assert history.tables() == finished.tables()


def test_a_full_budget_removes_what_was_not_used_for_longest(history: History) -> None:
    kept = history.run_folder / "results/.kept"
    history.settings["draws",] = 32
    history.finish()
    assert "keeps 0 results" not in history.segunc("tidy")
    history.keep_gb = 0
    history.settings["draws",] = 16
    done = history.run()
    assert done.returncode == 0
    assert all(path.stat().st_nlink > 1 for path in kept.glob("objects/*/*"))
    history.conclude()


@pytest.mark.parametrize("way", [("-R", "train"), ("--forceall",)])
def test_what_the_user_forces_is_computed_anew(history: History, way: tuple[str, ...]) -> None:
    history.finish()
    done = history.run(*way)
    assert done.returncode == 0, done.stdout + done.stderr
    assert history.repeated_trainings() == (4 if way[0] == "-R" else TRAININGS)
