"""The stage `claims_tabulate`: from files to `claims.csv`, `claims.md` and `paper_comparison.csv`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.claims import ROLES, picking, study_of
from helpers.study import run

from segunc.active.round_scores import COLUMNS as ROUND_COLUMNS
from segunc.active.tables import ROUND_SCORES
from segunc.claims.published import DATA
from segunc.evaluation.scores import COLUMNS, SCORES
from segunc.evaluation.statistics import Units, two_way
from segunc.stages import claims_tabulate

SEEDS = 2
LABELLED = (50, 75, 100)


def roles(dataset: str) -> dict[str, str]:
    """All models on LIDC-IDRI, two on other datasets."""
    return ROLES if dataset == "lidc" else {name: ROLES[name] for name in ("unet", "prob_unet")}


def write_images(folder: Path, dataset: str, annotators: int) -> list[Path]:
    """An `images.csv` for each model and seed; ids look like missing values, and so do undefined scores."""
    truth = {model: dict.fromkeys(SCORES, 0.5) for model in roles(dataset)}
    images = study_of(truth, 10, SEEDS, np.random.default_rng(annotators), annotators).images.reset_index()
    images["image_id"] = images["image_id"].astype(str).replace({"0": "nan", "1": "NA"})
    images = images.assign(dataset=dataset, group_id="g", votes=annotators, foreground=0.1, pixels_tp=5, pixels_tn=50)
    images.loc[images["image_id"] == "2", "entropy_fp"] = np.nan
    paths = []
    for (model, seed), rows in images.groupby(["model", "seed"]):
        paths.append(folder / f"{dataset}-{model}-{seed}.csv")
        rows[list(COLUMNS)].to_csv(paths[-1], index=False, na_rep="nan")
    return paths


def read_images(folder: Path, pattern: str) -> pd.DataFrame:
    undefined = {"entropy_fp": ["nan"]}
    files = folder.glob(pattern)
    return pd.concat([pd.read_csv(path, keep_default_na=False, na_values=undefined) for path in files])


def write_rounds(folder: Path, dataset: str) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for seed in range(SEEDS):
        for strategy in ("start", "random", "entropy"):
            for round_ in [0] if strategy == "start" else range(1, len(LABELLED)):
                ids = pd.DataFrame({"image_id": [f"i{i}" for i in range(40)], "patient_id": np.arange(40) // 4})
                scores = pd.DataFrame({name: rng.normal(0.5 - 0.1 * round_, 0.01, 40) for name in ROUND_SCORES})
                rows = pd.concat([ids, scores], axis=1).assign(dataset=dataset, model="unet", strategy=strategy)
                paths.append(folder / f"{dataset}-{strategy}-{seed}-{round_}.csv")
                rows = rows.assign(seed=seed, round=round_, images=LABELLED[round_])
                rows[ROUND_COLUMNS].to_csv(paths[-1], index=False)
    return paths


def tabulate(monkeypatch, folder: Path, images, rounds=(), picks=(), datasets=("lidc", "isic18")) -> None:
    active = {"datasets": ["lidc"], "models": ["unet"], "strategies": ["random", "entropy"], "rounds": 2}
    spec: dict = {"roles": {dataset: roles(dataset) for dataset in datasets}}
    spec |= {"learners": {"lidc": {"unet": "unet"}} if rounds else {}, "uncertainty": "entropy"}
    files = {"images": list(images), "rounds": list(rounds), "picks": list(picks)}
    files |= {"claims": folder / "claims.csv", "markdown": folder / "claims.md"}
    run(
        claims_tabulate,
        monkeypatch,
        spec=json.dumps({**spec, "active": active}),
        **files,
        published=folder / "paper_comparison.csv",
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a study of two datasets, one of them with one annotator, the other with active learning."""
    folder = tmp_path_factory.mktemp("claims")
    picks = picking(2, SEEDS, np.random.default_rng(0)).picks
    picks.to_csv(folder / "active_picks.csv", index=False)
    images = [*write_images(folder, "lidc", 4), *write_images(folder, "isic18", 1)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        tabulate(monkeypatch, folder, images, write_rounds(folder, "lidc"), [folder / "active_picks.csv"])
    return folder


def test_claims_are_judged_from_files(results: Path) -> None:
    table = pd.read_csv(results / "claims.csv")
    assert list(dict.fromkeys(table["dataset"])) == ["lidc", "isic18", "all datasets"]
    whole = table[table["part"] == "all"].set_index(["claim", "dataset"])["verdict"]
    assert whole["5", "isic18"] == whole["6", "isic18"] == "not in this run"
    assert whole["7_large", "lidc"] == "supported"
    images = read_images(results, "lidc-unet-*.csv")
    units = Units(images["image_id"], images["patient_id"], images["seed"])
    expected = two_way(images["entropy_fp"] - images["entropy_tp"], units, confidence=0.95)
    [part] = table[(table["part"] == "1b_fp") & (table["model"] == "unet") & (table["dataset"] == "lidc")].to_dict(
        "records"
    )
    assert part["estimate"] == pytest.approx(expected.estimate) and part["ci_low"] == pytest.approx(expected.ci_low)
    assert part["n_images"] == images["image_id"].nunique() - 1 and part["n_seeds"] == SEEDS
    [advantage] = table[(table["claim"] == "6") & (table["part"] == "6")].to_dict("records")
    assert advantage["n_seeds"] == SEEDS and advantage["n_patients"] == 10


def test_the_text_has_each_claim_with_its_numbers(results: Path) -> None:
    table, text = pd.read_csv(results / "claims.csv"), (results / "claims.md").read_text()
    for claim, rows in table.groupby("claim"):
        section = text.split(f"## {claim}. ")[1].split("\n## ")[0]
        for row in rows.to_dict("records"):
            if row["part"] == "all" and row["dataset"] != "all datasets":
                assert f"**{row['dataset']}: {row['verdict']}**" in section
            elif row["part"] != "all" and row["verdict"] != "not in this run":
                low, high = (f"{row[name]:.3f}" for name in ("ci_low", "ci_high"))
                assert f"`{row['model']}`" in section and f"[{low}, {high}]".replace("-0.000", "0.000") in section
    assert text.count("| supported") + text.count("| undecided") + text.count("| contradicted") > 10
    assert " nan" not in text


def test_published_numbers_stand_beside_ours(results: Path) -> None:
    table = pd.read_csv(results / "paper_comparison.csv")
    assert set(table["dataset"]) == {"lidc", "isic18"}
    of_lidc = table[(table["dataset"] == "lidc") & (table["model"] == "prob_unet")].set_index(["source", "quantity"])
    images = read_images(results, "lidc-prob_unet-*.csv")
    row = of_lidc.loc["figure 6", "GED, 16 samples (mean)"]
    assert row["published"] == 0.448 and row["same_estimator"]
    assert row["ours"] == pytest.approx(images["ged_study_16"].mean())
    assert row["ci_low"] < row["ours"] < row["ci_high"]
    median = of_lidc.loc["figure 5", "entropy at a tie (median)"]
    assert median["ours"] == pytest.approx(images["entropy_disagree"].median()) and not median["same_estimator"]
    shuffled, by_index = (
        table[(table["model"] == name) & (table["dataset"] == "lidc")] for name in ("ensemble", "ensemble_index")
    )
    assert shuffled["note"].str.contains("by index").all() and not by_index["note"].str.contains("by index").any()
    assert len(shuffled) == len(by_index)
    curve = table[(table["source"] == "figure 8") & table["quantity"].str.contains("test loss")]
    assert list(curve["quantity"].str.extract(r"(\d+) images")[0].astype(int)) == [*LABELLED, *LABELLED]
    # The study's budget is not covered, so there is no area.
    assert not table["quantity"].str.contains("area").any()
    tests = table[table["source"] == "test_results.txt"]
    assert tests["ours"].between(0, 1).all() and tests["ci_low"].isna().all()


def test_a_main_grid_alone_and_data_that_the_study_did_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "phantom" not in DATA
    tabulate(monkeypatch, tmp_path, write_images(tmp_path, "phantom", 3), datasets=["phantom"])
    assert pd.read_csv(tmp_path / "paper_comparison.csv").empty
    table = pd.read_csv(tmp_path / "claims.csv")
    assert set(table.loc[table["claim"].str.startswith(("6", "7")), "verdict"]) == {"not in this run"}
    assert "nothing of it in the grid" in (tmp_path / "claims.md").read_text()


def test_without_any_scores_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after --keep-going in which all trainings failed."""
    tabulate(monkeypatch, tmp_path, [])
    assert set(pd.read_csv(tmp_path / "claims.csv")["verdict"]) == {"not in this run"}


def test_curves_with_missing_rounds_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one seed of uncertainty sampling, or of all its seeds."""
    rounds = write_rounds(tmp_path, "lidc")
    without = [path for path in rounds if path.name != "lidc-entropy-0-2.csv"]
    for paths, verdict, seeds in (
        (without, "these networks only", 1),
        ([path for path in rounds if "entropy" not in path.name], "not in this run", None),
    ):
        tabulate(monkeypatch, tmp_path, [], paths, datasets=[])
        table = pd.read_csv(tmp_path / "claims.csv")
        [part] = table[table["part"] == "6"].to_dict("records")
        assert part["verdict"] == verdict
        assert part["n_seeds"] == seeds or part["note"] == "no complete curves"


def test_a_damaged_file_ends_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_images(tmp_path, "lidc", 4)
    images[0].write_text(images[0].read_text()[:-1])
    with pytest.raises(SystemExit, match="cut off"):
        tabulate(monkeypatch, tmp_path, images)
    assert not (tmp_path / "claims.csv").exists()
