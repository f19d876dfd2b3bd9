"""Active learning in the workflow: how many jobs there are, and what one more round, strategy or seed adds to them."""

import csv
from itertools import product
from pathlib import Path

import pytest
from helpers.workflow import TINY, merged, scheduled, snakemake

TABLE = "results/tables/active_learning.csv"
"""Needs the scores of every round."""
ACTIVE = merged(
    TINY,
    active={
        "datasets": ["phantom_lung"],
        "models": ["unet", "ensemble"],
        "strategies": ["random", "entropy"],
        "seeds": [0],
        "start": 6,
        "add": 2,
        "rounds": 2,
        "training": {"steps": 3, "epochs": None},
    },
)


def scores(model: str, strategy: str, round_: int) -> str:
    return f"results/active/phantom_lung/{model}/{strategy}/seed0/round{round_}/scores.csv"


def jobs_of_rounds(folder: Path, overlay: dict, target: str = TABLE) -> dict[str, int]:
    """Jobs per rule of active learning; the tables are made from them in any case."""
    jobs = scheduled(folder, target, overlay=overlay)
    return {rule: count for rule, count in jobs.items() if rule != "active_tables"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rounds of the tiny grid; the tests must leave them as they are."""
    folder = tmp_path_factory.mktemp("active")
    rounds = [("start", 0), *product(("random", "entropy"), (1, 2))]
    targets = [scores(model, strategy, round_) for model in ("unet", "ensemble") for strategy, round_ in rounds]
    done = snakemake(folder, *targets, overlay=ACTIVE)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_number_of_jobs(tmp_path: Path) -> None:
    """One training per model, dataset, seed and round, with round 0 shared by all strategies."""
    grid = {
        "datasets": ["phantom_lung", "phantom_skin"],
        "models": ["unet", "ensemble", "prob_unet"],
        "strategies": ["random", "entropy", "coreset", "patient_random", "disagreement"],
        "seeds": [0, 3],
        "rounds": 4,
    }
    cells, without_network, with_network = 2 * 3 * 2, 3, 2
    assert jobs_of_rounds(tmp_path, merged(ACTIVE, active=grid)) == {
        "prepare": 2,
        "active_start": 2 * 2,
        "active_train": cells * (1 + 5 * 4),
        "active_test": cells * (1 + 5 * 4),
        "pick_without_network": 2 * 2 * without_network * 4,
        "pick_with_network": cells * with_network * 4,
    }


def test_strategies_that_ask_no_network_wait_for_no_training(tmp_path: Path) -> None:
    target = "results/active/phantom_lung/random/seed0/round2/labelled.csv"
    assert jobs_of_rounds(tmp_path, ACTIVE, target) == {"prepare": 1, "active_start": 1, "pick_without_network": 2}
    assert jobs_of_rounds(tmp_path, ACTIVE, scores("unet", "random", 2))["active_train"] == 1
    assert jobs_of_rounds(tmp_path, ACTIVE, scores("unet", "entropy", 2))["active_train"] == 3


def test_files_of_the_rounds(finished: Path) -> None:
    folder = finished / "results/active/phantom_lung"
    assert len(list(folder.glob("*/*/seed0/round*/weights.pt"))) == 2 * (1 + 2 * 2)
    # `random` picks once for both models, `entropy` for each.
    assert len(list(folder.glob("random/seed0/round*/labelled.csv"))) == 2
    assert len(list(folder.glob("*/entropy/seed0/round*/labelled.csv"))) == 2 * 2
    for path in folder.glob("*/*/seed0/round*/scores.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        model, strategy, seed, round_ = path.relative_to(folder).parts[:4]
        assert [row[name] for name in ("dataset", "model", "strategy")] == ["phantom_lung", model, strategy]
        assert (seed, round_) == (f"seed{row['seed']}", f"round{row['round']}")
        assert int(row["images"]) == 6 + 2 * int(row["round"])
    assert not list(finished.rglob("*.partial*"))


def test_nothing_is_left_to_do(finished: Path) -> None:
    assert jobs_of_rounds(finished, ACTIVE) == {}


def test_one_more_round_is_one_more_round_per_chain(finished: Path) -> None:
    assert jobs_of_rounds(finished, merged(ACTIVE, active={"rounds": 3})) == {
        "pick_without_network": 1,
        "pick_with_network": 2,
        "active_train": 4,
        "active_test": 4,
    }


def test_one_more_strategy_or_seed_or_model_runs_its_own_rounds(finished: Path) -> None:
    def more(**changes: list) -> dict[str, int]:
        return jobs_of_rounds(finished, merged(ACTIVE, active=changes))

    strategies = ACTIVE["active"]["strategies"]
    assert more(strategies=[*strategies, "bald"]) == {"pick_with_network": 4, "active_train": 4, "active_test": 4}
    assert more(strategies=[*strategies, "patient_random"]) == {
        "pick_without_network": 2,
        "active_train": 4,
        "active_test": 4,
    }
    assert more(seeds=[0, 1]) == {
        "active_start": 1,
        "pick_without_network": 2,
        "pick_with_network": 4,
        "active_train": 10,
        "active_test": 10,
    }
    assert more(models=["unet", "ensemble", "prob_unet"]) == {
        "pick_with_network": 2,
        "active_train": 5,
        "active_test": 5,
    }


def test_what_changes_no_result_reruns_nothing(finished: Path) -> None:
    """Labels, the main study's validation, and where networks run."""
    same = merged(
        ACTIVE,
        strategies={"entropy": {"label": "H", "method": "entropy"}},
        training={"validate_every": 2, "patience": 5, "steps": 7},
    )
    assert jobs_of_rounds(finished, {**same, "device": "cpu", "threads": 2}) == {}


def test_too_small_a_pool_ends_in_one_sentence_before_anything_trains(tmp_path: Path) -> None:
    overlay = merged(ACTIVE, active={"rounds": 9})
    done = snakemake(tmp_path, scores("unet", "start", 0), overlay=overlay)
    assert done.returncode != 0
    sentence = "segunc: config keys active.start, active.add and active.rounds add up to 24 labelled images, but "
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not [*tmp_path.rglob("labelled.csv"), *tmp_path.rglob("weights.pt")]


def test_too_small_a_pool_is_noticed_after_rounds_were_raised(finished: Path) -> None:
    """The start set is there already; the first new pick says it, before the first new training."""
    overlay = merged(ACTIVE, active={"rounds": 90})
    done = snakemake(finished, scores("unet", "random", 3), overlay=overlay)
    assert done.returncode != 0
    assert "active.start, active.add and active.rounds add up to 186 labelled images" in done.stdout + done.stderr
    assert not list((finished / "results/active").rglob("round3/weights.pt"))


def test_number_of_draws_matters_to_strategies_that_sample(finished: Path) -> None:
    jobs = jobs_of_rounds(finished, {**ACTIVE, "draws": 32})
    assert "pick_without_network" not in jobs
    assert jobs["pick_with_network"] == 2 * 2
