import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_active import write_scores
from small_study import run

from segunc import active_tables
from segunc.active_tables import area, learning, penalty, score_files, summary
from segunc.seeds import mean_over_seeds
from segunc.statistics import holm

DATASETS, MODELS, STRATEGIES = ["lung", "skin"], ["unet", "nan"], ["random", "entropy", "bald"]


def made(folder, seeds=3, rounds=3, value=None, strategies=STRATEGIES, models=MODELS, datasets=DATASETS):
    """`active_learning.csv`."""
    grid = write_scores(folder, datasets, models, strategies, seeds, rounds, value)
    return learning(score_files(folder, datasets, models, strategies, grid["seeds"], rounds), strategies)


def one(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


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


def test_mean_over_seeds_is_students_t():
    values = np.array([0.1, 0.4, 0.25, 0.2])
    result = mean_over_seeds([*values, np.nan], 0.9)
    expected = stats.t.interval(0.9, 3, loc=values.mean(), scale=stats.sem(values))
    assert (result.low, result.high) == pytest.approx(expected)
    assert result.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert (result.mean, result.n) == (pytest.approx(values.mean()), 4)


def test_mean_of_one_or_no_seed_has_no_interval():
    assert mean_over_seeds([0.5, np.nan], 0.95)[0::4] == (0.5, 1)
    assert np.isnan(mean_over_seeds([0.5], 0.95)[1:4]).all()
    assert mean_over_seeds([np.nan], 0.95).n == 0 and np.isnan(mean_over_seeds([], 0.95)[:4]).all()


@pytest.mark.parametrize(("value", "p"), [(0.0, 1), (0.25, 0)])
def test_mean_of_the_same_value_in_all_seeds(value, p):
    assert mean_over_seeds([value] * 3, 0.95) == (value, value, value, p, 3)


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


def test_programs_tables_are_whole_and_the_same_each_time(tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", DATASETS, MODELS, STRATEGIES, 2, 2)
    for folder in ("first", "second"):
        run(active_tables, monkeypatch, spec=json.dumps({"confidence": 0.95}), **grid, output=tmp_path / folder)
    names = ["active_learning.csv", "active_summary.csv", "pairwise_penalty.csv"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        text = (tmp_path / "first" / name).read_bytes()
        assert text == (tmp_path / "second" / name).read_bytes()
        assert b"\r" not in text and b",nan,nan" not in text
    table = pd.read_csv(tmp_path / "first/active_learning.csv", keep_default_na=False, na_values=[""])
    assert set(table["model"]) == {"unet", "nan"}
    assert not capsys.readouterr().out


def test_program_says_so_with_one_seed(tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", ["lung"], ["unet"], STRATEGIES, 1, 2)
    run(active_tables, monkeypatch, spec=json.dumps({"confidence": 0.95}), **grid, output=tmp_path)
    assert "One seed" in capsys.readouterr().out
    header, first = (tmp_path / "active_summary.csv").read_text().splitlines()[:2]
    assert header.startswith("dataset,model,strategy,metric,aubc,aubc_low,aubc_high,n_seeds,difference")
    assert first.endswith(",,,1,,,,,,")
