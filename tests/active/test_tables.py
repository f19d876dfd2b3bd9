import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.rounds import PATIENTS, pattern, score_files, write_labelled, write_scores
from helpers.study import run, write_dataset
from scipy import stats

from segunc import cells
from segunc.active.penalty import penalty
from segunc.active.tables import LEARNING, SUMMARY, curves, learning, of_seeds, read_rounds, summary
from segunc.cells import Cell
from segunc.data.result_table import read_table
from segunc.data.store import read_split
from segunc.evaluation.statistics import Units, holm, two_way
from segunc.metrics.registry import METRICS, ROUND_SCORES, STRATEGIES_COMPARED
from segunc.stages import active_tabulate

DATASETS, MODELS, STRATEGIES = ["lung", "skin"], ["unet", "nan"], ["random", "entropy", "bald"]
ENTRY = ["dataset", "model", "strategy", "seed", "round"]
NAMES = ["active_learning", "active_missing", "active_picks", "active_seeds", "active_summary", "pairwise_penalty"]


def rows_and_cells(folder, seeds=3, rounds=3, value=None, strategies=STRATEGIES, models=MODELS, datasets=DATASETS):
    """The rows of all `images.csv`, and the curves of all cells."""
    grid = write_scores(folder, datasets, models, strategies, seeds, rounds, value)
    rows = read_rounds(score_files(folder, **grid))
    return rows, curves(rows, grid)


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch):
    monkeypatch.setattr("segunc.active.penalty.SHUFFLES", 100)


def one(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize("ids", [["true", "false", "na"], ["inf", "nan", "infinity"], ["null", "none", "e3"]])
def test_ids_that_look_like_other_values(tmp_path, ids):
    """Texts in the tables, and in the files as figures read them."""
    strategies = ["random", *ids[1:]]
    _, made = rows_and_cells(tmp_path, seeds=5, rounds=1, strategies=strategies, models=ids[:2], datasets=ids[:1])
    learning(made, 0.95).to_csv(tmp_path / "table.csv", index=False, lineterminator="\n")
    penalty(made).to_csv(tmp_path / "penalty.csv", index=False, lineterminator="\n")
    table = read_table(tmp_path / "table.csv")
    found = [table[name].unique().tolist() for name in ("dataset", "model", "strategy")]
    assert found == [ids[:1], ids[:2], strategies]
    assert not table[["images", "mean", "ci_low"]].isna().any(axis=None)
    assert set(read_table(tmp_path / "penalty.csv")["strategy_b"]) == set(strategies)


def test_seeds_average_to_the_learning_curves(tmp_path):
    _, made = rows_and_cells(tmp_path)
    key = ["dataset", "model", "strategy", "metric", "round", "images"]
    table = of_seeds(made)
    means = table.groupby(key)["mean"].mean()
    expected = learning(made, 0.95).set_index(key)["mean"]
    pd.testing.assert_series_equal(means.reindex(expected.index), expected)
    assert set(table["seed"]) == {0, 1, 2} and len(table) == 3 * len(expected)


def test_learning_curves_are_of_metrics_that_rounds_have():
    assert set(cells.LEARNING_CURVES) <= set(ROUND_SCORES)
    assert all(METRICS[name].higher_is_better is not None for name in cells.LEARNING_CURVES)


def test_curves_are_means_with_intervals_over_patients_and_seeds(tmp_path):
    rows, made = rows_and_cells(tmp_path)
    table = learning(made, 0.95)
    assert list(table) == LEARNING
    assert list(dict.fromkeys(map(tuple, table[ENTRY[:3]].to_numpy()))) == list(
        itertools.product(DATASETS, MODELS, STRATEGIES)
    )
    for row in table.itertuples():
        strategy = row.strategy if row.round else "start"
        keep = (rows["dataset"] == row.dataset) & (rows["model"] == row.model) & (rows["strategy"] == strategy)
        own = rows[keep & (rows["round"] == row.round)]
        units = Units(own["image_id"], own["patient_id"], own["seed"])
        expected = two_way(own[row.metric], units, confidence=0.95, scale=METRICS[row.metric].scale)
        assert (row.mean, row.ci_low, row.ci_high) == pytest.approx(expected[:3])
        assert row.images == 20 + 10 * row.round
        assert (row.n_seeds, row.n_images, row.n_patients, row.effective_patients) == (3, 24, 8, 8)
        assert row.scope == "method"


def test_differences_are_paired_by_image_and_seed(tmp_path):
    """Against areas by hand, image by image."""
    rows, made = rows_and_cells(tmp_path)
    result = summary(made, 0.95)
    assert list(result) == SUMMARY and len(result) == 2 * 2 * 3 * 3
    score = rows.set_index([*ENTRY, "image_id"]).to_dict("index")

    def area(dataset, model, strategy, seed, image, metric):
        y = [
            score[dataset, model, strategy if round_ else "start", seed, round_, f"NA{image}"][metric]
            for round_ in range(4)
        ]
        return (y[0] / 2 + y[1] + y[2] + y[3] / 2) / 3

    images = range(len(PATIENTS))
    pairs = list(itertools.product(range(3), images))
    units = Units([i for _, i in pairs], [PATIENTS[i] for _, i in pairs], [seed for seed, _ in pairs])
    for dataset, metric in itertools.product(DATASETS, STRATEGIES_COMPARED):
        p_values = []
        for model, strategy in itertools.product(MODELS, STRATEGIES):
            row = one(result, dataset=dataset, model=model, strategy=strategy, metric=metric)
            own = np.array([area(dataset, model, strategy, *pair, metric) for pair in pairs])
            expected = two_way(own, units, confidence=0.95, scale=METRICS[metric].scale)
            assert row[["aubc", "aubc_low", "aubc_high"]].tolist() == pytest.approx(expected[:3])
            assert row["role"] == ("primary" if metric == "cross_entropy" else "secondary")
            if strategy == "random":
                empty = ["difference", "difference_low", "difference_high", "p", "p_holm", "detectable"]
                assert row[empty].isna().all() and row["verdict"] == ""
                continue
            random = np.array([area(dataset, model, "random", *pair, metric) for pair in pairs])
            expected = two_way(own - random, units, confidence=0.95)
            assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(expected[:3])
            assert row["p"] == pytest.approx(expected.p) and row["detectable"] == pytest.approx(expected.detectable)
            assert (row["n_seeds"], row["n_images"], row["n_patients"]) == (3, 24, 8)
            p_values.append((row["p"], row["p_holm"]))
        p, corrected = zip(*p_values, strict=True)
        assert len(p) == 4
        np.testing.assert_allclose(corrected, holm(p))


def noise(row):
    """Differs between patients and seeds, by far less than 0.1."""
    return 1e-3 * np.sin(7 * int(row["image_id"][2:]) + 3 * row["seed"])


@pytest.mark.parametrize(
    ("gain", "loss", "verdict"),
    [
        (0.1, 0.05, "worse"),
        (0.1, -0.05, "better"),
        (0.1, 0.0, "undecided"),
        (0.0, 0.05, "worse"),
        (0.0, -0.05, "uninformative"),
        (0.0, 0.0, "uninformative"),
    ],
)
def test_only_worse_is_a_verdict_where_random_does_not_learn(tmp_path, gain, loss, verdict):
    """Random gains `gain` per round in each metric, and entropy is `loss` worse."""

    def value(metric, row):
        place = STRATEGIES.index(row["strategy"]) if row["strategy"] != "start" else 0
        level = gain * row["round"] - loss * (row["strategy"] == "entropy") + noise(row) * (1 + place)
        return 0.3 + level if METRICS[metric].higher_is_better else 0.9 - level

    _, made = rows_and_cells(tmp_path, value=value, strategies=["random", "entropy"])
    result = summary(made, 0.95)
    entropy = result[result["strategy"] == "entropy"]
    assert set(entropy["verdict"]) == {verdict}
    assert result["gain"].tolist() == pytest.approx([3 * gain] * len(result), abs=0.01)
    assert (result["gain_low"] > 0).all() == bool(gain)
    signs = [1 if METRICS[metric].higher_is_better else -1 for metric in entropy["metric"]]
    # Three rounds of four, the last with half the weight.
    assert (entropy["difference"] * signs).tolist() == pytest.approx([-loss * 2.5 / 3] * len(entropy), abs=0.01)


def test_equal_scores_are_no_test(tmp_path):
    """BALD scores exactly as random does, so Holm counts entropy alone."""

    def value(metric, row):
        return 0.5 + 0.1 * row["round"] + noise(row) * (2 if row["strategy"] == "entropy" else 1)

    _, made = rows_and_cells(tmp_path, value=value, rounds=1, models=["unet"])
    result = summary(made, 0.95).set_index("strategy")
    assert (result.loc["bald", ["difference", "detectable"]] == 0).all(axis=None)
    assert result.loc["bald", "p_holm"].isna().all() and set(result.loc["bald", "verdict"]) <= {
        "undecided",
        "uninformative",
    }
    assert result.loc["entropy", "p_holm"].tolist() == pytest.approx(result.loc["entropy", "p"].tolist())


def test_one_seed_speaks_of_these_networks_only(tmp_path):
    _, made = rows_and_cells(tmp_path, seeds=1)
    result = summary(made, 0.95)
    assert result[["aubc", "aubc_low", "gain"]].notna().all(axis=None) and (result["n_seeds"] == 1).all()
    assert set(result["scope"]) == {"these networks"}
    others = result[result["strategy"] != "random"]
    assert others[["difference", "difference_low", "p"]].notna().all(axis=None)
    assert set(others["verdict"]) == {"these networks only"}


def test_without_random_there_are_no_differences(tmp_path):
    _, made = rows_and_cells(tmp_path, rounds=1, strategies=["entropy", "bald"])
    result = summary(made, 0.95)
    assert result[["aubc", "aubc_low"]].notna().all(axis=None)
    empty = ["difference", "difference_low", "p", "p_holm", "detectable", "gain", "gain_low"]
    assert result[empty].isna().all(axis=None) and set(result["verdict"]) == {""}


def test_one_round_is_no_budget(tmp_path):
    _, made = rows_and_cells(tmp_path, rounds=0)
    result = summary(made, 0.95)
    assert result[["aubc", "difference"]].isna().all(axis=None) and (result["n_seeds"] == 0).all()


def test_penalty_by_hand(tmp_path):
    """Two models, three rounds. Entropy is clearly worse than random with one model in rounds 2 and 3, by a hair and
    with changing sign elsewhere; bald is always exactly as good as random."""
    of_seeds = [0.01, -0.01, 0.002, 0.01, -0.012]

    def value(metric, row):
        if row["strategy"] != "entropy":
            return 0.5
        clear = row["model"] == "unet" and row["round"] > 1
        loss = 0.2 * clear + of_seeds[row["seed"]]
        return 0.5 + (-loss if METRICS[metric].higher_is_better else loss)

    _, made = rows_and_cells(tmp_path, seeds=5, value=value)
    table = penalty(made)
    assert set(table["metric"]) == set(STRATEGIES_COMPARED)
    assert (table["n_comparisons"] == 6).all() and len(table) == 2 * 3 * 6
    for row in table.itertuples():
        assert row.penalty == pytest.approx(2 / 6 if row.strategy_a == "entropy" else 0), row


def test_penalty_counts_tests_of_the_seeds_means(tmp_path):
    """With invented scores that differ in all cells; the null reaches further than any cell of the same strategies."""
    rows, made = rows_and_cells(tmp_path, seeds=5)
    table = penalty(made)
    means = rows[rows["round"] > 0].groupby(ENTRY)["ged_u"].mean()
    for dataset, (a, b) in itertools.product(DATASETS, itertools.permutations(STRATEGIES, 2)):
        defeats = [
            (test := stats.ttest_rel(means[dataset, model, a, :, round_], means[dataset, model, b, :, round_])).pvalue
            < 0.05
            and test.statistic > 0
            for model, round_ in itertools.product(MODELS, (1, 2, 3))
        ]
        row = one(table, dataset=dataset, metric="ged_u", strategy_a=a, strategy_b=b)
        assert row["penalty"] == pytest.approx(np.mean(defeats))
    assert table["null_95"].between(0, 0.7).all()
    assert (table.groupby(["dataset", "metric"])["null_95"].nunique() == 1).all()


def test_the_null_of_the_penalty_is_what_chance_reaches(tmp_path):
    """Strategies that differ by noise alone: the largest cell exceeds the 95 % point in few of many studies."""
    rng = np.random.default_rng(1)
    units = pd.MultiIndex.from_product([range(5), ["a"], ["p"]], names=["seed", "image_id", "patient_id"])

    def study():
        scores = rng.normal(size=(2, 3, 5, 4))
        return {
            ("lung", model, strategy): template._replace(
                units=units, scores=dict.fromkeys(STRATEGIES_COMPARED, scores[m, s])
            )
            for (m, model), (s, strategy) in itertools.product(enumerate(MODELS), enumerate(STRATEGIES))
        }

    _, made = rows_and_cells(tmp_path, seeds=1, rounds=1)
    template = made["lung", "unet", "random"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segunc.active.penalty.STRATEGIES_COMPARED", ("dice_cut",))
        tables = [penalty(study()) for _ in range(60)]
    beyond = np.mean([table["penalty"].max() > table["null_95"].iloc[0] for table in tables])
    assert beyond <= 0.15
    assert 0.1 < np.mean([table["null_95"].iloc[0] for table in tables]) < 0.5


def test_no_penalty_below_five_seeds(tmp_path):
    _, made = rows_and_cells(tmp_path, seeds=4, rounds=1)
    table = penalty(made)
    assert table.empty and list(table)[:4] == ["dataset", "metric", "strategy_a", "strategy_b"]


def test_comparisons_of_the_penalty_need_five_seeds_with_both_scores(tmp_path):
    def value(metric, row):
        return float("nan") if row["model"] == "nan" and row["seed"] == 4 else 0.5 + 0.1 * row["seed"]

    _, made = rows_and_cells(tmp_path, seeds=5, value=value)
    assert set(penalty(made)["n_comparisons"]) == {3}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The stores of both datasets, and the labelled sets of strategies and seeds in `{dataset}_{strategy}{seed}`."""
    folder = tmp_path_factory.mktemp("stores")
    for dataset, annotators in zip(DATASETS, (4, 1), strict=True):
        write_dataset(folder / f"{dataset}.h5", annotators=annotators, images=70)
        ids = read_split(folder / f"{dataset}.h5", "train", 0).image_id
        for place, strategy in enumerate(["start", *STRATEGIES]):
            for seed in range(3):
                write_labelled(folder / f"{dataset}_{strategy}{seed}.csv", ids, 20, 10, 3, seed=place)
    return folder


def write_tables(monkeypatch, stores, scores, grid, output, missing=()):
    """Runs the stage on what is not missing; scores, grid: where `write_scores` wrote, and what it returned."""
    spec = json.dumps({"confidence": 0.95, **grid, "missing": list(missing)})
    lost = [score_file(scores, entry) for entry in missing]
    files = [path for path in score_files(scores, **grid) if path not in lost]
    parts = [path.relative_to(scores).parts for path in files]
    labelled = [stores / f"{dataset}_{strategy}{seed[4:]}.csv" for dataset, _, strategy, seed, *_ in parts]
    data = [stores / f"{dataset}.h5" for dataset in dict.fromkeys(dataset for dataset, *_ in parts)]
    tables = [output / f"{name}.csv" for name in NAMES]
    run(active_tabulate, monkeypatch, spec=spec, data=data, labelled=labelled, images=files, tables=tables)


def score_file(folder, entry):
    """Where `write_scores` wrote the scores of a round that may be missing."""
    return Path(Cell(*(entry[name] for name in ENTRY)).fill(pattern(folder)))


def test_stages_tables_are_whole_and_the_same_each_time(stores, tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", DATASETS, MODELS, STRATEGIES, 2, 2)
    for folder in ("first", "second"):
        write_tables(monkeypatch, stores, tmp_path / "active", grid, tmp_path / folder)
    names = [f"{name}.csv" for name in NAMES]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        text = (tmp_path / "first" / name).read_bytes()
        assert text == (tmp_path / "second" / name).read_bytes()
        assert b"\r" not in text and b",nan,nan" not in text
    table = pd.read_csv(tmp_path / "first/active_learning.csv", keep_default_na=False, na_values=[""])
    assert set(table["model"]) == {"unet", "nan"}
    assert (tmp_path / "first/active_missing.csv").read_text() == "dataset,model,strategy,seed,round,why\n"
    picks = pd.read_csv(tmp_path / "first/active_picks.csv", keep_default_na=False, na_values=[""])
    assert len(picks) == 2 * 2 * 3 * 2 * 2 * 7 and set(picks["round"]) == {1, 2}
    undefined = picks["picks"].isna()
    disputed = ["disputed_pixels", "disputed_share", "iou_distance", "split_votes"]
    assert (undefined == ((picks["dataset"] == "skin") & picks["measure"].isin(disputed))).all()
    assert (picks["n_picks"] == np.where(undefined, 0, 10))[picks["measure"] != "disputed_share"].all()
    assert capsys.readouterr().out == 2 * "Fewer than 5 seeds, so pairwise_penalty.csv is empty.\n"


def test_stage_reports_one_seed(stores, tmp_path, monkeypatch, capsys):
    grid = write_scores(tmp_path / "active", ["lung"], ["unet"], STRATEGIES, 1, 2)
    write_tables(monkeypatch, stores, tmp_path / "active", grid, tmp_path)
    assert "One seed, so intervals are about these networks" in capsys.readouterr().out


def with_holes(stores, folder, monkeypatch, lost, seeds=3, rounds=3):
    """The stage's tables of two runs: one of all rounds, and one without those for which `lost` is true."""
    grid = write_scores(folder / "active", DATASETS, MODELS, STRATEGIES, seeds, rounds)
    chain = [("start", 0), *itertools.product(STRATEGIES, range(1, rounds + 1))]
    missing = [
        {"dataset": d, "model": m, "strategy": s, "seed": seed, "round": r, "why": f"{s} {r} failed"}
        for d, m, seed, (s, r) in itertools.product(DATASETS, MODELS, range(seeds), chain)
        if lost(d, m, s, seed, r)
    ]
    write_tables(monkeypatch, stores, folder / "active", grid, folder / "whole")
    for entry in missing:
        score_file(folder / "active", entry).unlink()
    write_tables(monkeypatch, stores, folder / "active", grid, folder / "holes", missing)
    paths = [{path.stem: path for path in (folder / name).iterdir()} for name in ("whole", "holes")]
    options = {"keep_default_na": False, "na_values": [""]}
    return missing, *({name: pd.read_csv(path, **options) for name, path in of.items()} for of in paths)


def test_missing_rounds_are_left_out_and_listed(stores, tmp_path, monkeypatch):
    """Entropy of the first cell ends after round 1 in seed 1, and never has round 2 in lung with the other model."""

    def lost(dataset, model, strategy, seed, round_):
        first = (dataset, model, strategy, seed) == ("lung", "unet", "entropy", 1) and round_ > 1
        return first or (dataset, model, strategy, round_) == ("lung", "nan", "entropy", 2)

    missing, whole, holes = with_holes(stores, tmp_path, monkeypatch, lost)
    assert [list(row.values()) for row in missing] == holes["active_missing"].values.tolist() and len(missing) == 5
    keys = ["dataset", "model", "strategy", "metric", "round"]
    before, after = (tables["active_learning"].set_index(keys) for tables in (whole, holes))
    gone = before.index.difference(after.index)
    assert set(gone.droplevel("metric")) == {("lung", "nan", "entropy", 2)}
    fewer = after[after["n_seeds"] == 2].index
    assert set(fewer.droplevel("metric")) == {("lung", "unet", "entropy", 2), ("lung", "unet", "entropy", 3)}
    pd.testing.assert_frame_equal(after.drop(fewer), before.drop([*fewer, *gone]))

    cell = {"dataset": "lung", "model": "unet", "strategy": "entropy", "metric": "dice_cut"}
    row = one(holes["active_summary"], **cell)
    assert row["n_seeds"] == 2 and row["n_images"] == 24 and not np.isnan(row["difference"])
    assert np.isnan(one(holes["active_summary"], **{**cell, "model": "nan"})["aubc"])
    kept = whole["active_summary"]["strategy"] != "entropy"
    others = SUMMARY[: SUMMARY.index("p_holm")]
    pd.testing.assert_frame_equal(holes["active_summary"].loc[kept, others], whole["active_summary"].loc[kept, others])
    left = [not lost(*row) for row in whole["active_picks"][ENTRY].itertuples(index=False)]
    pd.testing.assert_frame_equal(holes["active_picks"], whole["active_picks"][left].reset_index(drop=True))


def test_missing_strategy_model_and_dataset_have_empty_rows(stores, tmp_path, monkeypatch):
    """Entropy has its start only, the model `nan` has nothing in lung, and `unet` has none in skin but its start."""

    def lost(dataset, model, strategy, seed, round_):
        return strategy == "entropy" or (dataset, model) == ("lung", "nan") or (dataset == "skin" and round_ > 0)

    _, whole, holes = with_holes(stores, tmp_path, monkeypatch, lost)
    keys = ["dataset", "model", "strategy", "metric"]
    assert holes["active_summary"][keys].equals(whole["active_summary"][keys])
    table = holes["active_summary"].set_index(keys[:3])
    left = [("lung", "unet", "random"), ("lung", "unet", "bald")]
    assert (table.loc[left, "n_seeds"] == 3).all() and table.loc[left, "aubc"].notna().all()
    rest = table.drop(left)
    assert rest[["aubc", "aubc_low", "difference", "p", "p_holm", "verdict"]].isna().all(axis=None)
    assert (rest["n_seeds"] == 0).all()


def test_order_is_that_of_the_ids_whatever_is_missing(stores, tmp_path, monkeypatch):
    """The first model has nothing in the first dataset."""
    _, _, holes = with_holes(
        stores, tmp_path, monkeypatch, lambda dataset, model, *_: (dataset, model) == ("lung", "unet"), rounds=1
    )
    shown = list(dict.fromkeys(map(tuple, holes["active_learning"][["dataset", "model"]].to_numpy())))
    assert shown == [("lung", "nan"), ("skin", "unet"), ("skin", "nan")]


def test_all_rounds_missing(stores, tmp_path, monkeypatch, capsys):
    missing, whole, holes = with_holes(stores, tmp_path, monkeypatch, lambda *_: True, rounds=1)
    for name in ("active_learning", "active_seeds", "active_picks"):
        assert holes[name].empty and list(holes[name]) == list(whole[name])
    assert len(holes["active_summary"]) == len(whole["active_summary"])
    assert (holes["active_summary"]["n_seeds"] == 0).all()
    assert len(holes["active_missing"]) == len(missing) == 2 * 2 * 3 * (1 + 3)
    out = capsys.readouterr().out
    assert f"{len(missing)} rounds are missing" in out and "One seed" not in out
