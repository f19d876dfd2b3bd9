"""Active learning in the workflow: how many jobs there are, and what one more round, strategy or seed adds to them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.workflow import STUDY, TINY, Study, merged, scheduled, snakemake

TABLE = "results/tables/active_learning.csv"
"""Needs the scores of every round."""
ACTIVE = {**TINY, "active": {**STUDY["active"], "rounds": 2}}


def scores(model: str, strategy: str, round_: int) -> str:
    return f"results/active/phantom_lung/{model}/{strategy}/seed0/round{round_}/images.csv"


def labelled_set(folder: Path, model: str, strategy: str, seed: str, round_: str) -> int:
    """How many images are labelled in a round."""
    places = [f"{strategy}/{seed}/labelled.csv"]
    places += [f"{start}{strategy}/{seed}/{round_}/labelled.csv" for start in ("", f"{model}/")]
    (path,) = [folder / place for place in places if (folder / place).exists()]
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def of_rounds(jobs: dict[str, int]) -> dict[str, int]:
    """Jobs per rule, without the table of all rounds, which is made from them in any case."""
    return {rule: count for rule, count in jobs.items() if rule != "active_tabulate"}


def jobs_of_rounds(study: Study, overlay: dict | None = None) -> dict[str, int]:
    """Jobs that the table would start after the study, with its grid or another one."""
    return of_rounds(study.scheduled(TABLE, overlay=overlay))


def test_number_of_jobs(tmp_path: Path) -> None:
    """One training per model, dataset, seed and round, with round 0 shared by all strategies."""
    grid = {
        "datasets": ["phantom_lung", "phantom_skin"],
        "models": ["unet", "ensemble", "prob_unet"],
        "strategies": ["random", "entropy", "coreset", "patient_random", "disagreement"],
        "seeds": [0, 3],
        "rounds": 4,
    }
    cells, without_model, with_model = 2 * 3 * 2, 3, 2
    assert of_rounds(scheduled(tmp_path, TABLE, overlay=merged(ACTIVE, active=grid))) == {
        "prepare": 2,
        "active_start": 2 * 2,
        "active_train": cells * (1 + 5 * 4),
        "active_sample": cells * (1 + 5 * 4),
        "active_evaluate": cells * (1 + 5 * 4),
        "active_acquire": 2 * 2 * without_model * 4,
        "active_acquire_with_model": cells * with_model * 4,
    }


def test_strategies_without_a_model_wait_for_no_training(tmp_path: Path) -> None:
    def jobs(target: str) -> dict[str, int]:
        return scheduled(tmp_path, target, overlay=ACTIVE)

    target = "results/active/phantom_lung/random/seed0/round2/labelled.csv"
    assert jobs(target) == {"prepare": 1, "active_start": 1, "active_acquire": 2}
    assert jobs(scores("unet", "random", 2))["active_train"] == 1
    assert jobs(scores("unet", "entropy", 2))["active_train"] == 3


def test_files_of_the_rounds(study: Study, tmp_path: Path) -> None:
    """Those of round 0 and 1, and of one more round of one chain."""
    study = study.copy(tmp_path / "run")
    done = study.run(scores("unet", "entropy", 2), overlay=merged(study.grid, active={"rounds": 2}))
    assert done.returncode == 0, done.stderr + done.stdout
    folder = study.folder / "results/active/phantom_lung"
    assert len(list(folder.glob("*/*/seed0/round*/weights.pt"))) == 2 * (1 + 2) + 1
    # `random` picks once for both models, `entropy` for each.
    assert len(list(folder.glob("random/seed0/round*/labelled.csv"))) == 1
    assert len(list(folder.glob("*/entropy/seed0/round*/labelled.csv"))) == 2 + 1
    assert len(list(folder.glob("*/*/seed0/round*/samples.h5"))) == 2 * (1 + 2) + 1
    for path in folder.glob("*/*/seed0/round*/images.csv"):
        model, strategy, seed, round_ = path.relative_to(folder).parts[:4]
        labelled = labelled_set(folder, model, strategy, seed, round_)
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert [row[name] for name in ("dataset", "model", "strategy")] == ["phantom_lung", model, strategy]
                assert (seed, round_) == (f"seed{row['seed']}", f"round{row['round']}")
                assert int(row["images"]) == labelled == 6 + 2 * int(row["round"])
    assert not list(study.folder.rglob("*.partial*"))


def test_one_more_round_is_one_more_round_per_chain(study: Study) -> None:
    assert jobs_of_rounds(study, merged(study.grid, active={"rounds": 2})) == {
        "active_acquire": 1,
        "active_acquire_with_model": 2,
        "active_train": 4,
        "active_sample": 4,
        "active_evaluate": 4,
    }


def test_one_more_strategy_or_seed_or_model_runs_its_own_rounds(study: Study) -> None:
    def more(**changes: list) -> dict[str, int]:
        return jobs_of_rounds(study, merged(study.grid, active=changes))

    strategies = study.grid["active"]["strategies"]
    assert more(strategies=[*strategies, "bald", "patient_random"]) == {
        "active_acquire": 1,
        "active_acquire_with_model": 2,
        "active_train": 4,
        "active_sample": 4,
        "active_evaluate": 4,
    }
    assert more(seeds=[0, 1]) == {
        "active_start": 1,
        "active_acquire": 1,
        "active_acquire_with_model": 2,
        "active_train": 6,
        "active_sample": 6,
        "active_evaluate": 6,
    }
    assert more(models=["unet", "mc_dropout", "prob_unet"]) == {
        "active_acquire_with_model": 1,
        "active_train": 3,
        "active_sample": 3,
        "active_evaluate": 3,
    }


def test_what_changes_no_result_reruns_nothing(study: Study) -> None:
    """Labels, the main study's validation, and where networks run."""
    same = merged(
        study.grid,
        strategies={"entropy": {"label": "H", "method": "entropy"}},
        training={"validate_every": 2, "patience": 5, "steps": 7},
    )
    jobs = study.scheduled(TABLE, "--set-threads", "active_train=2", overlay={**same, "device": "cpu"})
    assert of_rounds(jobs) == {}


def test_too_small_a_pool_ends_in_one_sentence_before_anything_trains(tmp_path: Path) -> None:
    overlay = merged(ACTIVE, active={"rounds": 9})
    done = snakemake(tmp_path, scores("unet", "start", 0), overlay=overlay)
    assert done.returncode != 0
    sentence = "config keys active.start, active.add and active.rounds add up to 24 labelled images, but "
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not [*tmp_path.rglob("labelled.csv"), *tmp_path.rglob("weights.pt")]


def test_too_small_a_pool_is_noticed_after_rounds_were_raised(study: Study, tmp_path: Path) -> None:
    """The start set exists already; the first new acquisition reports it, before the first new training."""
    study = study.copy(tmp_path / "run")
    done = study.run(scores("unet", "random", 2), overlay=merged(study.grid, active={"rounds": 90}))
    assert done.returncode != 0
    assert "active.start, active.add and active.rounds add up to 186 labelled images" in done.stdout + done.stderr
    assert not list((study.folder / "results/active").rglob("round2/weights.pt"))


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("metrics/overlap.py", lambda text: f"{text}\n\ndef foreground_share(mask):\n    return mask.mean()\n"),
        ("metrics/registry.py", None),
        ("evaluation/scores.py", None),
    ],
)
def test_a_new_metric_reruns_scores_and_no_network(study: Study, file: str, edit: Callable[[str], str] | None) -> None:
    """Neither picks nor trainings nor samples depend on a metric."""
    with study.edited(file, edit):
        jobs = study.scheduled("active")
    networks = {"train", "sample", "active_start", "active_acquire", "active_acquire_with_model", "active_train"}
    assert networks.isdisjoint(jobs) and "active_sample" not in jobs
    assert jobs["active_evaluate"] == 2 * (1 + 2)


def test_number_of_samples_matters_to_strategies_that_need_uncertainty(study: Study) -> None:
    jobs = jobs_of_rounds(study, {**study.grid, "draws": 32})
    assert "active_acquire" not in jobs
    # MC-dropout has a number of its own.
    assert jobs["active_acquire_with_model"] == 1
