import importlib
import json

import numpy as np
import pandas as pd
import pytest
from helpers.figures import LONG, MARKUP, assert_readable, legend_of, titles_of, words
from helpers.rounds import score_files, write_labelled, write_scores
from helpers.study import run, write_dataset

from segunc.active.tables import learning, penalty
from segunc.data.store import read_split, take
from segunc.figures import active_composition, active_picks, learning_curves, pairwise_penalty, strategy_style, style

STRATEGIES = {
    "random": "Random",
    "entropy": "Entropy (sum)",
    "entropy_mean": "Entropy (mean)",
    "bald": "BALD",
    "power_bald": "PowerBALD",
    "coreset": "Core-set",
    "foreground_random": "Random by foreground",
    "patient_random": "Random by patient",
    "disagreement": "Annotator disagreement",
}
MODELS = {"unet": "U-Net", "ensemble": "Ensemble", "mc_dropout": "MC-dropout", "prob_unet": "Probabilistic U-Net"}
LABELS = {"datasets": {"lung": "Phantom lung", "skin": "Phantom skin"}, "models": MODELS, "strategies": STRATEGIES}
DATASETS, MODELS, STRATEGIES = (list(LABELS[kind]) for kind in ("datasets", "models", "strategies"))


def learned(folder, datasets=DATASETS, models=MODELS, chosen=STRATEGIES, seeds=3, rounds=4, value=None):
    """`active_learning`, with a row of NaN for each missing round."""
    grid = (
        datasets,
        models,
        chosen,
        write_scores(folder, datasets, models, chosen, seeds, rounds, value)["seeds"],
        rounds,
    )
    return learning(score_files(folder, *grid), *grid)


def tables(folder, *grid, **options):
    """`active_learning` and `pairwise_penalty`."""
    table = learned(folder, *grid, **options)
    return table, penalty(table)


def full_data(datasets, models):
    index = pd.MultiIndex.from_product([[*datasets, "other"], [*models, "baseline_empty"]])
    return pd.Series(0.03, index=index)


def labels_of(table):
    """Of a grid that is not larger than the table."""
    kinds = {"datasets": "dataset", "models": "model", "strategies": "strategy"}
    return {kind: {i: LABELS[kind][i] for i in LABELS[kind] if i in set(table[name])} for kind, name in kinds.items()}


def figures(table, penalties, level=None):
    """Of the tables as they are written where the rounds with NaN for `images` are missing."""
    level = full_data(["other"], []) if level is None else level
    labels, table = labels_of(table), table.dropna(subset="images")
    return {
        "cross_entropy": learning_curves.plot(table, level, "cross_entropy", 0.95, labels),
        "dice": learning_curves.plot(table, level, "dice", 0.95, labels),
        "composition": active_composition.plot(table, labels),
        "penalty": pairwise_penalty.plot(penalties, labels),
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Stores of four annotators and of one, and picks of all strategies in `{dataset}_{strategy}.csv`."""
    folder = tmp_path_factory.mktemp("stored")
    for dataset, annotators in (("lung", 4), ("skin", 1)):
        write_dataset(folder / f"{dataset}.h5", annotators=annotators, images=24)
        ids = read_split(folder / f"{dataset}.h5", "train").image_id
        for seed, strategy in enumerate(STRATEGIES):
            write_labelled(folder / f"{dataset}_{strategy}.csv", ids, 4, 10, 2, seed)
    return folder


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("models", [1, 4])
@pytest.mark.parametrize("datasets", [1, 2])
def test_figures_of_tables_are_readable(tmp_path, datasets, models, count):
    made = tables(tmp_path, DATASETS[:datasets], MODELS[:models], STRATEGIES[:count])
    assert_readable(figures(*made, full_data(DATASETS, MODELS[:1])))


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("dataset", DATASETS)
def test_figure_of_picks_is_readable(stored, dataset, count):
    train = read_split(stored / f"{dataset}.h5", "train")
    picks = {strategy: take(train, np.arange(10) + i) for i, strategy in enumerate(STRATEGIES[:count])}
    title, note = (
        "Phantom lung: first picks of round 1 (Probabilistic U-Net, seed 0)",
        "training split: 2.0% foreground",
    )
    assert_readable({"picks": active_picks.plot(picks, STRATEGIES[:count], LABELS, title, note)})


@pytest.mark.parametrize("label", LONG)
def test_labels_of_any_length_and_kind_are_readable(stored, tmp_path, monkeypatch, label):
    for of_kind in LABELS.values():
        for i, name in enumerate(of_kind):
            monkeypatch.setitem(of_kind, name, f"{label}{i}")
    plotted = figures(*holed(tmp_path, "a strategy in one panel", **SMALL))
    train = read_split(stored / "lung.h5", "train")
    picks = {strategy: take(train, np.arange(10) + i) for i, strategy in enumerate(STRATEGIES[:2])}
    title = f"{label}: first picks of round 1 ({label}, seed 4294967295)"
    plotted["picks"] = active_picks.plot(picks, STRATEGIES[:2], LABELS, title, "training split: 2.0% foreground")
    assert_readable(plotted)
    if label == MARKUP:
        for name, figure in plotted.items():
            assert any(MARKUP in "".join(word.split()) for word in words(figure)), name


def test_one_seed_has_a_note(tmp_path):
    plotted = figures(*tables(tmp_path, seeds=1))
    assert_readable(plotted)
    assert "one seed: no interval; lower is better" in words(plotted["cross_entropy"])
    assert "fewer than 2 seeds: no test" in words(plotted["penalty"])
    assert "mean of 4 models and 1 seed" in words(plotted["composition"])


@pytest.mark.parametrize("value", [0.0, 0.41666])
def test_curves_without_any_range_are_readable(tmp_path, value):
    assert_readable(figures(*tables(tmp_path, value=lambda metric, row: value)))


@pytest.mark.parametrize(("low", "high"), [(0.0412, 0.0497), (0.3, 260.0)])
def test_scores_of_any_size_are_readable(tmp_path, low, high):
    """260 stands for a network that diverged."""
    made = tables(tmp_path, value=lambda metric, row: low + (high - low) / (1 + row["round"]))
    assert_readable(figures(*made))


def test_band_wider_than_the_runs_does_not_compress_the_curves(tmp_path):
    table = learned(tmp_path, ["lung"], ["unet"], ["random"], seeds=2)
    axes = learning_curves.plot(table, full_data([], []), "cross_entropy", 0.95, labels_of(table)).axes[0]
    low, high = axes.get_ylim()
    runs = table["cross_entropy"]
    assert low <= runs.min() and runs.max() <= high
    assert high - low < 1.3 * (runs.max() - runs.min())


def test_line_is_the_mean_of_the_seeds(tmp_path):
    table = learned(tmp_path, ["lung"], ["unet"], ["random", "entropy"])
    axes = learning_curves.plot(table, full_data([], []), "dice", 0.95, labels_of(table)).axes[0]
    for line, strategy in zip(axes.lines, ["random", "entropy"], strict=True):
        means = table[table["strategy"] == strategy].groupby("images")["dice"].mean()
        assert line.get_xdata().tolist() == means.index.tolist()
        np.testing.assert_allclose(line.get_ydata(), means)


def test_full_data_line_appears_where_it_is_known(tmp_path):
    table = learned(tmp_path, DATASETS, MODELS[:2], ["random"])
    level = full_data(["lung"], ["unet"])
    figure = learning_curves.plot(table, level, "cross_entropy", 0.95, labels_of(table))
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1, 1]
    assert "trained on all images" in words(figure)
    without = learning_curves.plot(table, full_data([], []), "cross_entropy", 0.95, labels_of(table))
    assert "trained on all images" not in words(without)


def test_composition_of_one_annotator_has_a_note(tmp_path):
    table = learned(tmp_path)
    assert words(active_composition.plot(table, LABELS)).count("one mask per image") == 1


# Whether a round of random, entropy or BALD is missing.
HOLES = {
    "a strategy in one panel": lambda r: (r.dataset, r.model, r.strategy) == ("lung", "unet", "entropy") and r.round,
    "a strategy": lambda r: r.strategy == "entropy" and r.round > 0,
    "the first strategy": lambda r: r.strategy == "random" and r.round > 0,
    "a round": lambda r: r.strategy == "entropy" and r.round == 2,
    "a seed": lambda r: r.seed == 0,
    "one cell": lambda r: (r.model, r.seed, r.strategy, r.round) == ("unet", 0, "bald", 2),
    "a model in one dataset": lambda r: (r.dataset, r.model) == ("lung", "unet"),
    "a model": lambda r: r.model == "unet",
    "a dataset": lambda r: r.dataset == "lung",
    "all picks": lambda r: r.round > 0,
    "everything": lambda r: True,
}
# Notes of the learning curves and of the figure of what is picked.
NAMED = {
    "a strategy in one panel": (["no data: Entropy (sum) with U-Net"], []),
    "a strategy": (2 * ["no data: Entropy (sum)"], 2 * ["no data: Entropy (sum)"]),
    "the first strategy": (2 * ["no data: Random"], 2 * ["no data: Random"]),
    "a round": ([], []),
    "a seed": ([], []),
    "one cell": ([], []),
    "a model in one dataset": (["no data"], []),
    "a model": (2 * ["no data"], []),
    "a dataset": (2 * ["no data"], 4 * ["no data"]),
    "all picks": (2 * ["no data: Random; Entropy (sum); BALD"], 8 * ["no data"]),
    "everything": (["no data"], ["no data"]),
}


def holed(folder, what, **options):
    """Tables without some rounds."""
    table = learned(folder, **options)
    lost = [bool(HOLES[what](row)) for row in table.itertuples()]
    table.loc[lost, table.columns.difference(["dataset", "model", "strategy", "seed", "round"])] = np.nan
    return table, penalty(table)


SMALL = {"models": MODELS[:2], "chosen": ["random", "entropy", "bald"], "rounds": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Figures of complete tables, rendered."""
    plotted = figures(*tables(tmp_path_factory.mktemp("whole"), **SMALL))
    assert_readable(plotted)
    return plotted


@pytest.mark.parametrize("what", HOLES)
def test_what_is_missing_keeps_its_place_and_is_named(whole, tmp_path, what):
    plotted = figures(*holed(tmp_path, what, **SMALL))
    assert_readable(plotted)
    curves, picks = NAMED[what]
    for name, expected in (("cross_entropy", curves), ("dice", curves), ("composition", picks)):
        assert [word for word in words(plotted[name]) if "no data" in word] == expected, name
        if what != "everything":
            assert legend_of(plotted[name]) == legend_of(whole[name])
            assert titles_of(plotted[name]) == titles_of(whole[name])
    # The row and the column of a strategy, or all off the diagonal.
    dashes = {"a strategy": 2 * 4, "the first strategy": 2 * 4, "a dataset": 6, "all picks": 2 * 6, "everything": 2 * 6}
    assert words(plotted["penalty"]).count("–") == dashes.get(what, 0)
    explained = any("\n–: fewer than 2 seeds" in word for word in words(plotted["penalty"]))
    assert explained == ("strategy" in what and what in dashes)
    assert len(plotted["penalty"].axes) == 2


@pytest.mark.parametrize(
    ("what", "curves", "picks"),
    [
        ("a strategy in one panel", "mean of 3 seeds", "mean of at most 2 models and 3 seeds"),
        ("a model", "mean of 3 seeds", "mean of 1 model and 3 seeds"),
        ("one cell", "mean of at most 3 seeds", "mean of at most 2 models and 3 seeds"),
    ],
)
def test_means_of_fewer_runs_have_a_note(tmp_path, what, curves, picks):
    table, penalties = holed(tmp_path, what, **SMALL)
    plotted = figures(table, penalties)
    assert f"{curves} with 95% t interval; higher is better" in words(plotted["dice"])
    assert picks in words(plotted["composition"])


def test_lines_have_a_gap_where_a_round_is_missing(tmp_path):
    table, _ = holed(tmp_path, "a round", datasets=["lung"], models=["unet"], chosen=["random", "entropy"])
    plotted = figures(table, penalty(table))
    gap = plotted["dice"].axes[0].lines[1].get_xydata()
    assert np.isnan(gap).all(axis=1).tolist() == [False, False, True, False, False]
    gap = plotted["composition"].axes[0].lines[1].get_xydata()
    assert np.isnan(gap).all(axis=1).tolist() == [False, True, False, False]
    for name, y in (("dice", "dice"), ("composition", "picked_patients")):
        axes = plotted[name].axes[{"dice": 0, "composition": 2}[name]]
        means = table[table["strategy"] == "entropy"].groupby("round")[y].mean()
        ys = axes.lines[1].get_ydata()
        np.testing.assert_allclose(ys, means.iloc[-len(ys) :])
        assert axes.get_xlim() == plotted[name].axes[0].get_xlim()
    # The dashed line is the number of picks of a round, not of two.
    assert plotted["composition"].axes[2].lines[-1].get_ydata() == pytest.approx([10, 10])


def test_level_of_a_missing_model_has_no_line_and_no_entry(tmp_path, monkeypatch):
    """The summary has an empty row for it."""
    plotted = []
    monkeypatch.setattr(style, "save", lambda figure, png, pdf: plotted.append(figure))
    table = learned(tmp_path / "scores", ["lung"], ["unet"], ["random"])
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "summary.csv").write_text("dataset,model,metric,mean\nlung,unet,dice,\n")
    run(
        learning_curves,
        monkeypatch,
        table=tmp_path / "table.csv",
        summary=tmp_path / "summary.csv",
        metric="dice",
        spec=json.dumps({"labels": labels_of(table), "confidence": 0.95}),
        png=tmp_path / "a.png",
        pdf=tmp_path / "a.pdf",
    )
    assert "trained on all images" not in words(plotted[0]) and len(plotted[0].axes[0].lines) == 1


@pytest.mark.parametrize("there", [["random", "bald"], []])
def test_strategies_without_picks_keep_their_place_and_say_so(stored, tmp_path, monkeypatch, there):
    plotted = []
    monkeypatch.setattr(style, "save", lambda figure, png, pdf: plotted.append(figure))
    shown = ["random", "entropy", "entropy_mean", "bald"]
    run(
        active_picks,
        monkeypatch,
        dataset="lung",
        data=stored / "lung.h5",
        spec=picks_spec(there, [strategy for strategy in shown if strategy not in there]),
        labelled=[stored / f"lung_{strategy}.csv" for strategy in there],
        png=tmp_path / "a.png",
        pdf=tmp_path / "a.pdf",
    )
    assert_readable({"picks": plotted[0]})
    names = [LABELS["strategies"][strategy] for strategy in shown]
    texts = [(text.get_position()[1], text.get_text(), text.get_color()) for text in plotted[0].texts]
    rows = [(text, colour) for _, text, colour in sorted(texts, reverse=True) if text in names]
    assert rows == [(name, strategy_style.PALETTE[i]) for i, name in enumerate(names)]
    assert words(plotted[0]).count("no data") == 4 - len(there)


def test_nothing_at_all_still_makes_a_figure(tmp_path):
    table, penalties = tables(tmp_path, ["lung"], ["unet"], ["random"])
    assert [words(figure) for figure in figures(table[:0], penalties).values()] == [
        *3 * [["no data"]],
        ["one strategy: nothing to compare"],
    ]


def test_penalty_matrix_reads_by_row(tmp_path):
    rows = [
        ("lung", "cross_entropy", "random", "entropy", 0.25, 8),
        ("lung", "cross_entropy", "entropy", "random", 1, 8),
    ]
    columns = ["dataset", "metric", "strategy_a", "strategy_b", "penalty", "n_comparisons"]
    labels = {"datasets": {"lung": "Phantom lung"}, "strategies": {"random": "Random", "entropy": "Entropy"}}
    figure = pairwise_penalty.plot(pd.DataFrame(rows, columns=columns), labels)
    assert {text.get_text(): text.get_position() for text in figure.axes[0].texts} == {"25": (1, 0), "100": (0, 1)}
    assert "of 8 comparisons, in %" in words(figure)


def test_strategies_look_apart_from_each_other_and_from_models():
    looks = [strategy_style.line(name, STRATEGIES, LABELS) for name in STRATEGIES]
    assert len({line.get_color() for line in looks}) == len({line.get_marker() for line in looks}) == 9
    assert {line.get_color() for line in looks}.isdisjoint(style.PALETTE)
    assert all(line.get_markerfacecolor() == "white" for line in looks)


def picks_spec(there, missing):
    shown = {"model": "unet", "seed": 0, "strategies": there, "missing": missing}
    return json.dumps({"labels": LABELS, **shown})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The tables that the programs read, as files."""
    folder = tmp_path_factory.mktemp("written")
    table, penalties = tables(folder / "scores", rounds=2)
    table.to_csv(folder / "table.csv", index=False)
    penalties.to_csv(folder / "penalty.csv", index=False)
    summary = full_data(DATASETS, MODELS).rename("mean").rename_axis(["dataset", "model"]).reset_index()
    summary.assign(metric="dice").to_csv(folder / "summary.csv", index=False)
    return folder


@pytest.mark.parametrize("program", ["learning_curves", "active_composition", "pairwise_penalty", "active_picks"])
def test_programs_write_the_same_bytes_each_time(stored, written, tmp_path, monkeypatch, program):
    chosen = ["random", "disagreement"]
    options = {
        "learning_curves": {
            "table": written / "table.csv",
            "summary": written / "summary.csv",
            "metric": "dice",
            "spec": json.dumps({"labels": LABELS, "confidence": 0.95}),
        },
        "active_composition": {"table": written / "table.csv"},
        "pairwise_penalty": {"table": written / "penalty.csv"},
        "active_picks": {
            "dataset": "lung",
            "data": stored / "lung.h5",
            "spec": picks_spec(chosen, []),
            "labelled": [stored / f"lung_{strategy}.csv" for strategy in chosen],
        },
    }[program]
    module = importlib.import_module(f"segunc.figures.{program}")
    figures_of_runs = []
    for folder in ("first", "second"):
        png, pdf = tmp_path / folder / "figure.png", tmp_path / folder / "figure.pdf"
        run(module, monkeypatch, **{"spec": json.dumps({"labels": LABELS}), **options}, png=png, pdf=pdf)
        figures_of_runs.append((png.read_bytes(), pdf.read_bytes()))
        assert sorted(path.name for path in png.parent.iterdir()) == ["figure.pdf", "figure.png"]
    assert figures_of_runs[0] == figures_of_runs[1]
    assert figures_of_runs[0][0].startswith(b"\x89PNG") and figures_of_runs[0][1].startswith(b"%PDF")


def test_picks_of_another_dataset_are_refused(stored, tmp_path, monkeypatch):
    write_dataset(tmp_path / "other.h5", images=3)
    with pytest.raises(SystemExit, match="which the dataset's training split does not have"):
        run(
            active_picks,
            monkeypatch,
            dataset="lung",
            data=tmp_path / "other.h5",
            spec=picks_spec(["random"], []),
            labelled=[stored / "lung_random.csv"],
            png=tmp_path / "a.png",
            pdf=tmp_path / "a.pdf",
        )
    assert not (tmp_path / "a.png").exists()
