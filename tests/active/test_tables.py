import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.rounds import pattern, score_files, write_scores
from helpers.study import run
from scipy import stats

from segunc import cells
from segunc.active import tables as active_tables
from segunc.active.tables import area, learning, penalty, summary
from segunc.cells import Cell
from segunc.evaluation.statistics import holm
from segunc.figures.style import read_table
from segunc.metrics.registry import METRICS, ROUND_SCORES
from segunc.stages import active_tabulate

DATASETS, MODELS, STRATEGIES = ["lung", "skin"], ["unet", "nan"], ["random", "entropy", "bald"]
ENTRY = ["dataset", "model", "strategy", "seed", "round"]
NAMES = ["active_learning", "active_missing", "active_summary", "pairwise_penalty"]


def made(folder, seeds=3, rounds=3, value=None, strategies=STRATEGIES, models=MODELS, datasets=DATASETS):
    """`active_learning.csv`."""
    seeds = write_scores(folder, datasets, models, strategies, seeds, rounds, value)["seeds"]
    grid = datasets, models, strategies, seeds, rounds
    return learning(score_files(folder, *grid), *grid)


def write_tables(monkeypatch, scores, grid, output, missing=()):
    """Runs the stage on what is not missing; scores, grid: where `write_scores` wrote, and what it returned."""
    spec = json.dumps({"confidence": 0.95, **grid, "missing": list(missing)})
    lost = [score_file(scores, entry) for entry in missing]
    files = [path for path in score_files(scores, **grid) if path not in lost]
    tables = [output / f"{name}.csv" for name in NAMES]
    run(active_tabulate, monkeypatch, spec=spec, scores=files, tables=tables)


def score_file(folder, entry):
    """Where `write_scores` wrote the scores of a round that may be missing."""
    return Path(Cell(*(entry[name] for name in ENTRY)).fill(pattern(folder)))


def one(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize("ids", [["true", "false", "na"], ["inf", "nan", "infinity"], ["null", "none", "e3"]])
def test_ids_that_look_like_other_values(tmp_path, ids):
    """Texts in the table, and in the file as figures read it."""
    strategies = ["random", *ids[1:]]
    table = made(tmp_path, strategies=strategies, models=ids[:2], datasets=ids[:1])
    table.to_csv(tmp_path / "table.csv", index=False, lineterminator="\n")
    penalty(table).to_csv(tmp_path / "penalty.csv", index=False, lineterminator="\n")
    for each in (table, read_table(tmp_path / "table.csv")):
        found = [each[name].unique().tolist() for name in ("dataset", "model", "strategy")]
        assert found == [ids[:1], ids[:2], strategies]
    assert not table[["images", "dice"]].isna().any(axis=None)
    assert set(summary(table, 0.95)["strategy"]) == set(strategies)
    assert set(read_table(tmp_path / "penalty.csv")["strategy_b"]) == set(strategies)


@pytest.mark.parametrize(
    ("images", "scores", "expected"),
    [
        ([50, 75, 300], [0.3, 0.3, 0.3], 0.3),
        ([0, 10], [1, 0], 0.5),
        ([0, 10, 30], [1, 0, 0], 5 / 30),
        ([20, 30, 40], [4, 2, 1], 2.25),
    ],
)
def test_area_is_the_mean_height_of_the_curve(images, scores, expected):
    assert area(images, scores) == pytest.approx(expected)


def test_area_without_range_or_with_a_gap_is_undefined():
    assert np.isnan(area([20], [0.5]))
    assert np.isnan(area([20, 30, 40], [0.5, np.nan, 0.4]))


def test_learning_curves_are_of_metrics_that_rounds_have():
    assert set(cells.LEARNING_CURVES) <= set(ROUND_SCORES)
    assert all(METRICS[name].higher_is_better is not None for name in cells.LEARNING_CURVES)


def test_round_0_is_repeated_for_each_strategy(tmp_path):
    table = made(tmp_path)
    assert len(table) == 2 * 2 * 3 * 3 * 4
    assert "start" not in set(table["strategy"])
    cells = list(dict.fromkeys(map(tuple, table[["dataset", "model", "strategy"]].to_numpy())))
    assert cells == list(itertools.product(DATASETS, MODELS, STRATEGIES))
    for _, rows in table.groupby(["dataset", "model", "strategy", "seed"]):
        assert rows["round"].tolist() == [0, 1, 2, 3] and rows["images"].tolist() == [20, 30, 40, 50]
    for _, rows in table[table["round"] == 0].groupby(["dataset", "model", "seed"]):
        assert len(rows) == 3
        assert len(rows.drop(columns="strategy").drop_duplicates()) == 1
    lung = table["dataset"] == "lung"
    assert table.loc[lung, "disagreement"].notna().all() and table.loc[~lung, "disagreement"].isna().all()


def test_differences_are_paired_by_seed_and_corrected_within_dataset_and_metric(tmp_path):
    table = made(tmp_path)
    result = summary(table, 0.95)
    assert len(result) == 2 * 2 * 3 * 3
    for dataset, metric in itertools.product(DATASETS, ("cross_entropy", "dice", "ged_16")):
        p_values = []
        for model, strategy in itertools.product(MODELS, STRATEGIES):
            row = one(result, dataset=dataset, model=model, strategy=strategy, metric=metric)
            curves = {}
            for name, seed in itertools.product(("random", strategy), range(3)):
                keep = (table["dataset"] == dataset) & (table["model"] == model) & (table["seed"] == seed)
                y = table[keep & (table["strategy"] == name)][metric].to_numpy()
                curves[name, seed] = (y[0] / 2 + y[1] + y[2] + y[3] / 2) / 3
            own, random = ([curves[name, seed] for seed in range(3)] for name in (strategy, "random"))
            assert row["aubc"] == pytest.approx(np.mean(own)) and row["n_seeds"] == 3
            margin = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / np.sqrt(3)
            assert row["aubc_low"] == pytest.approx(np.mean(own) - margin)
            assert row["aubc_high"] == pytest.approx(np.mean(own) + margin)
            if strategy == "random":
                assert row[["difference", "difference_low", "difference_high", "p", "p_holm", "n_pairs"]].isna().all()
                continue
            expected = stats.ttest_rel(own, random)
            interval = expected.confidence_interval(0.95)
            assert row["difference"] == pytest.approx(np.subtract(own, random).mean())
            assert (row["difference_low"], row["difference_high"]) == pytest.approx((interval.low, interval.high))
            assert row["p"] == pytest.approx(expected.pvalue) and row["n_pairs"] == 3
            p_values.append((row["p"], row["p_holm"]))
        p, corrected = zip(*p_values, strict=True)
        assert len(p) == 4
        np.testing.assert_allclose(corrected, holm(p))


def test_difference_by_hand(tmp_path):
    """Differences of 1, 2 and 3 in three seeds: mean 2, standard error 1 / sqrt(3), t = 2 sqrt(3) with 2 degrees."""

    def value(metric, row):
        return (10 if row["round"] == 0 else 5) + (1 + row["seed"]) * 2 * (row["strategy"] == "entropy")

    result = summary(made(tmp_path, rounds=1, value=value, strategies=["random", "entropy"]), 0.95)
    row = one(result, dataset="lung", model="unet", strategy="entropy", metric="dice")
    t = 2 * np.sqrt(3)
    p = 1 - t / np.sqrt(2 + t**2)  # Student's distribution of 2 degrees of freedom in closed form
    assert row["difference"] == pytest.approx(2)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(
        (2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5)
    )
    assert row["p"] == pytest.approx(p) and row["p_holm"] == pytest.approx(2 * p)


def test_one_seed_has_no_interval_and_no_test(tmp_path):
    table = made(tmp_path, seeds=1)
    result = summary(table, 0.95)
    assert result["aubc"].notna().all() and (result["n_seeds"] == 1).all()
    empty = ["aubc_low", "aubc_high", "difference_low", "difference_high", "p", "p_holm"]
    assert result[empty].isna().all(axis=None)
    others = result[result["strategy"] != "random"]
    assert others["difference"].notna().all() and (others["n_pairs"] == 1).all()
    penalties = penalty(table)
    assert len(penalties) == 2 * 3 * 6
    assert penalties["penalty"].isna().all() and (penalties["n_comparisons"] == 0).all()


def test_without_random_there_are_no_differences(tmp_path):
    result = summary(made(tmp_path, strategies=["entropy", "bald"]), 0.95)
    assert result[["aubc", "aubc_low"]].notna().all(axis=None)
    assert result[["difference", "difference_low", "difference_high", "p", "p_holm", "n_pairs"]].isna().all(axis=None)


def test_penalty_by_hand(tmp_path):
    """Two models, three rounds. Entropy is clearly worse than random with one model in rounds 2 and 3, by a hair and
    with changing sign elsewhere; bald is always exactly as good as random."""
    noise = [0.01, -0.01, 0.002]

    def value(metric, row):
        if row["strategy"] != "entropy":
            return 0.5
        clear = row["model"] == "unet" and row["round"] > 1
        loss = 0.2 + noise[row["seed"]] if clear else noise[row["seed"]]
        return 0.5 + (-loss if metric == "dice" else loss)

    table = penalty(made(tmp_path, value=value))
    assert set(table["metric"]) == {"cross_entropy", "dice", "ged_16"}
    assert (table["n_comparisons"] == 6).all() and len(table) == 2 * 3 * 6
    for row in table.itertuples():
        beaten = row.strategy_a == "entropy"
        assert row.penalty == pytest.approx(2 / 6 if beaten else 0), row


def test_penalty_counts_comparisons_in_which_both_have_two_seeds(tmp_path):
    def value(metric, row):
        return float("nan") if row["model"] == "nan" and row["seed"] > 0 else 0.5 + 0.1 * row["seed"]

    assert set(penalty(made(tmp_path, value=value))["n_comparisons"]) == {3}


def test_stages_tables_are_whole_and_the_same_each_time(tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", DATASETS, MODELS, STRATEGIES, 2, 2)
    for folder in ("first", "second"):
        write_tables(monkeypatch, tmp_path / "active", grid, tmp_path / folder)
    names = [f"{name}.csv" for name in NAMES]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        text = (tmp_path / "first" / name).read_bytes()
        assert text == (tmp_path / "second" / name).read_bytes()
        assert b"\r" not in text and b",nan,nan" not in text
    table = pd.read_csv(tmp_path / "first/active_learning.csv", keep_default_na=False, na_values=[""])
    assert set(table["model"]) == {"unet", "nan"}
    assert (tmp_path / "first/active_missing.csv").read_text() == "dataset,model,strategy,seed,round,why\n"
    assert not capsys.readouterr().out


def test_stage_reports_one_seed(tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", ["lung"], ["unet"], STRATEGIES, 1, 2)
    write_tables(monkeypatch, tmp_path / "active", grid, tmp_path)
    assert "One seed" in capsys.readouterr().out
    header, first = (tmp_path / "active_summary.csv").read_text().splitlines()[:2]
    assert header.startswith("dataset,model,strategy,metric,aubc,aubc_low,aubc_high,n_seeds,difference")
    assert first.endswith(",,,1,,,,,,")


def with_holes(folder, monkeypatch, lost, seeds=3, rounds=3):
    """The stage's tables of two runs: one of all rounds, and one without those for which `lost` is true."""
    grid = write_scores(folder / "active", DATASETS, MODELS, STRATEGIES, seeds, rounds)
    chain = [("start", 0), *itertools.product(STRATEGIES, range(1, rounds + 1))]
    missing = [
        {"dataset": d, "model": m, "strategy": s, "seed": seed, "round": r, "why": f"{s} {r} failed"}
        for d, m, seed, (s, r) in itertools.product(DATASETS, MODELS, range(seeds), chain)
        if lost(d, m, s, seed, r)
    ]
    write_tables(monkeypatch, folder / "active", grid, folder / "whole")
    for entry in missing:
        score_file(folder / "active", entry).unlink()
    write_tables(monkeypatch, folder / "active", grid, folder / "holes", missing)
    paths = [{path.stem: path for path in (folder / name).iterdir()} for name in ("whole", "holes")]
    options = {"keep_default_na": False, "na_values": [""]}
    return missing, *({name: pd.read_csv(path, **options) for name, path in of.items()} for of in paths)


def test_columns_of_scores_are_those_that_are_written(tmp_path):
    grid = write_scores(tmp_path, ["lung"], ["unet"], [], 1, 0)
    (path,) = score_files(tmp_path, **grid)
    assert path.read_text().splitlines()[0].split(",") == [*active_tables.ROUND, *active_tables.SCORES]


def test_missing_rounds_are_left_out_and_listed(tmp_path, monkeypatch):
    """Entropy of the first cell and seed 1 ends after round 1."""

    def lost(dataset, model, strategy, seed, round_):
        return (dataset, model, strategy, seed) == ("lung", "unet", "entropy", 1) and round_ > 1

    missing, whole, holes = with_holes(tmp_path, monkeypatch, lost)
    assert [list(row.values()) for row in missing] == holes["active_missing"].values.tolist() and len(missing) == 2
    keep = [not lost(*row) for row in whole["active_learning"][ENTRY].itertuples(index=False)]
    expected = whole["active_learning"][keep].reset_index(drop=True)
    pd.testing.assert_frame_equal(holes["active_learning"], expected, check_dtype=False)
    assert len(expected) == len(whole["active_learning"]) - 2

    cell = {"dataset": "lung", "model": "unet", "strategy": "entropy", "metric": "dice"}
    row = one(holes["active_summary"], **cell)
    rounds = expected[(expected["dataset"] == "lung") & (expected["model"] == "unet")]
    curves = {
        (strategy, seed): area(curve["images"], curve["dice"])
        for (strategy, seed), curve in rounds.groupby(["strategy", "seed"])
    }
    own, random = ([curves[strategy, seed] for seed in (0, 2)] for strategy in ("entropy", "random"))
    assert row["aubc"] == pytest.approx(np.mean(own), rel=1e-7) and row["n_seeds"] == 2
    assert row["difference"] == pytest.approx(np.subtract(own, random).mean(), rel=1e-6) and row["n_pairs"] == 2
    others = ["aubc", "aubc_low", "aubc_high", "n_seeds", "difference", "p", "n_pairs"]
    before, after = (tables["active_summary"].query("strategy != 'entropy'")[others] for tables in (whole, holes))
    pd.testing.assert_frame_equal(after, before)


def test_penalty_leaves_out_seeds_that_miss_a_round(tmp_path, monkeypatch):
    """Round 3 of bald lacks one seed with one model, which leaves two, and two with the other, which leave no test."""

    def lost(dataset, model, strategy, seed, round_):
        return strategy == "bald" and round_ == 3 and seed < (1 if model == "unet" else 2)

    _, whole, holes = with_holes(tmp_path, monkeypatch, lost)
    assert (whole["pairwise_penalty"]["n_comparisons"] == 6).all()
    for row in holes["pairwise_penalty"].itertuples():
        assert row.n_comparisons == (5 if "bald" in (row.strategy_a, row.strategy_b) else 6)
    table = holes["active_learning"]
    table = table[(table["dataset"] == "lung") & (table["round"] > 0)]
    defeats = []
    for _, rows in table.groupby(["model", "round"]):
        scores = rows.pivot(index="seed", columns="strategy", values="ged_16")[["bald", "random"]].dropna()
        if len(scores) > 1:
            test = stats.ttest_rel(scores["bald"], scores["random"])
            defeats.append(test.statistic > 0 and test.pvalue < 0.05)
    row = one(holes["pairwise_penalty"], dataset="lung", metric="ged_16", strategy_a="bald", strategy_b="random")
    assert row["penalty"] == pytest.approx(np.mean(defeats)) and len(defeats) == 5


def test_missing_strategy_model_and_dataset_have_empty_rows(tmp_path, monkeypatch):
    """Entropy has its start only, the model `nan` has nothing in lung, and `unet` has none in skin but its start."""

    def lost(dataset, model, strategy, seed, round_):
        return strategy == "entropy" or (dataset, model) == ("lung", "nan") or (dataset == "skin" and round_ > 0)

    _, whole, holes = with_holes(tmp_path, monkeypatch, lost)
    keys = ["dataset", "model", "strategy", "metric"]
    assert holes["active_summary"][keys].equals(whole["active_summary"][keys])
    table = holes["active_summary"].set_index(keys[:3])
    left = [("lung", "unet", "random"), ("lung", "unet", "bald")]
    assert (table.loc[left, "n_seeds"] == 3).all() and table.loc[left, "aubc"].notna().all()
    rest = table.drop(left)
    assert rest[["aubc", "aubc_low", "difference", "p", "p_holm"]].isna().all(axis=None)
    assert (rest["n_seeds"] == 0).all()
    assert set(rest.loc[rest.index.get_level_values("strategy") != "random", "n_pairs"]) == {0}
    assert rest.loc[("lung", "unet", "entropy")].shape[0] == 3
    penalties = holes["pairwise_penalty"]
    assert penalties[["dataset", "strategy_a"]].equals(whole["pairwise_penalty"][["dataset", "strategy_a"]])
    assert penalties.loc[penalties["dataset"] == "skin", "penalty"].isna().all()


def test_order_is_that_of_the_ids_whatever_is_missing(tmp_path, monkeypatch):
    """The first model has nothing in the first dataset."""
    _, _, holes = with_holes(tmp_path, monkeypatch, lambda dataset, model, *_: (dataset, model) == ("lung", "unet"))
    cells = list(dict.fromkeys(map(tuple, holes["active_learning"][["dataset", "model"]].to_numpy())))
    assert cells == [("lung", "nan"), ("skin", "unet"), ("skin", "nan")]


def test_all_rounds_missing(tmp_path, monkeypatch, capsys):
    missing, whole, holes = with_holes(tmp_path, monkeypatch, lambda *_: True)
    assert holes["active_learning"].empty and list(holes["active_learning"]) == list(whole["active_learning"])
    assert len(holes["active_summary"]) == len(whole["active_summary"])
    assert (holes["active_summary"]["n_seeds"] == 0).all()
    assert (holes["pairwise_penalty"]["n_comparisons"] == 0).all()
    assert len(holes["active_missing"]) == len(missing) == 2 * 2 * 3 * (1 + 3 * 3)
    out = capsys.readouterr().out
    assert f"{len(missing)} rounds are missing" in out and "One seed" not in out
