import importlib
import json

import numpy as np
import pandas as pd
import pytest
from helpers.figures import LONG, MARKUP, NARROW, WIDTH, assert_readable, legend_of, spec_of, titles_of, words
from helpers.rounds import ADD, START, write_labelled
from helpers.study import run, write_dataset

from segunc.active.penalty import penalty
from segunc.active.picks import AVERAGED, COUNTED
from segunc.active.tables import Curves
from segunc.config.looks import PALETTES
from segunc.data.store import read_split, take
from segunc.figures import active_composition, active_picks, learning_curves, pairwise_penalty, style

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
    "disputed": "Disputed pixels",
}
MODELS = {"unet": "U-Net", "ensemble": "Ensemble", "mc_dropout": "MC-dropout", "prob_unet": "Probabilistic U-Net"}
LABELS = {"datasets": {"lung": "Phantom lung", "skin": "Phantom skin"}, "models": MODELS, "strategies": STRATEGIES}
DATASETS, MODELS, STRATEGIES = (list(LABELS[kind]) for kind in ("datasets", "models", "strategies"))


METRICS = ("cross_entropy", "dice_cut", "ged_u")


def rounds_of(datasets=DATASETS, models=MODELS, chosen=STRATEGIES, seeds=5, rounds=4):
    """The rounds of a grid: a row per dataset, model, strategy, seed and round, with round 0 for each strategy."""
    index = pd.MultiIndex.from_product([datasets, models, chosen, range(seeds), range(rounds + 1)])
    return index.to_frame(index=False, name=["dataset", "model", "strategy", "seed", "round"])


def learned(of_rounds, value=None):
    """`active_learning` of these rounds; value(metric, row) overrides the invented means."""
    points = of_rounds.groupby(["dataset", "model", "strategy", "round"], sort=False).size()
    rows = []
    for (dataset, model, strategy, round_), n_seeds in points.items():
        row = {"dataset": dataset, "model": model, "strategy": strategy, "round": round_, "n_seeds": n_seeds}
        row |= {"n_images": 90, "n_patients": 30}
        place = STRATEGIES.index(strategy) * (round_ > 0)
        loss = 0.04 + 0.2 * np.exp(-round_ / (3 + 0.3 * place)) + 0.004 * np.sin(place + len(model) + round_)
        for metric in METRICS:
            mean = (0.9 - 2 * loss if metric == "dice_cut" else loss) if value is None else value(metric, row)
            interval = {"mean": mean, "ci_low": mean - 0.05, "ci_high": mean + 0.05}
            rows.append({**row, "metric": metric, "images": START + ADD * round_, **interval})
    columns = ["dataset", "model", "strategy", "round", "n_seeds", "n_images", "n_patients", "metric", "images"]
    return pd.DataFrame(rows, columns=[*columns, "mean", "ci_low", "ci_high"])


def by_seed(of_rounds, table):
    """`active_seeds` of these rounds: seeds lie around the means of the table."""
    wide = of_rounds.merge(table[[*of_rounds.columns.drop("seed"), "metric", "images", "mean"]])
    return wide.assign(mean=wide["mean"] + 0.002 * (wide["seed"] - wide["seed"].mean()))


def picked(of_rounds):
    """`active_picks` of these rounds; `skin` has one annotator."""
    rows = []
    for r in of_rounds[of_rounds["round"] > 0].itertuples(index=False):
        for place, measure in enumerate([*AVERAGED, *COUNTED]):
            undefined = r.dataset == "skin" and measure not in ("foreground", *COUNTED)
            shift = 0.3 * STRATEGIES.index(r.strategy) + 0.1 * np.sin(r.seed + r.round + place)
            values = [np.nan] * 3 if undefined else [10 + 10 * shift, 10, 1]
            rows.append([*r, measure, *values, 10])
    return pd.DataFrame(rows, columns=[*of_rounds, "measure", "picks", "pool", "null_sd", "n_picks"])


def penalties_of(of_rounds, whole):
    """`pairwise_penalty` of these rounds, of those of a whole grid."""
    there = set(of_rounds.itertuples(index=False, name=None))
    last, cells = whole["round"].max(), {}
    for cell, own in whole.groupby(["dataset", "model", "strategy"], sort=False):
        seeds = [s for s in sorted(set(own["seed"])) if any((*cell, s, r) in there for r in range(last + 1))]
        place = STRATEGIES.index(cell[2])
        scores = [
            [0.1 * place + 0.01 * np.sin(3 * s + r) if (*cell, s, r) in there else np.nan for r in range(last + 1)]
            for s in seeds
        ]
        units = pd.MultiIndex.from_arrays([seeds, seeds, seeds], names=["seed", "image_id", "patient_id"])
        values = np.array(scores, dtype=float).reshape(len(seeds), last + 1)
        cells[cell] = Curves(units, np.arange(last + 1.0), dict.fromkeys(METRICS, values))
    return penalty(cells)


@pytest.fixture(autouse=True, scope="module")
def few_shuffles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segunc.active.penalty.SHUFFLES", 5)
        yield


def tables(*grid, value=None, what=None, **options):
    """`active_learning`, `active_seeds`, `active_picks` and `pairwise_penalty`, with or without some rounds."""
    whole = rounds_of(*grid, **options)
    kept = whole if what is None else whole[[not HOLES[what](row) for row in whole.itertuples()]]
    table = learned(kept, value)
    return table, by_seed(kept, table), picked(kept), penalties_of(kept, whole)


def full_data(datasets, models):
    index = pd.MultiIndex.from_product([[*datasets, "other"], [*models, "baseline_empty"]])
    return pd.Series(0.03, index=index)


def labels_of(table):
    """Of a grid that is not larger than the table."""
    kinds = {"datasets": "dataset", "models": "model", "strategies": "strategy"}
    return {kind: {i: LABELS[kind][i] for i in LABELS[kind] if i in set(table[name])} for kind, name in kinds.items()}


def figures(table, seeds, picks, penalties, level=None, labels=None, width=WIDTH):
    level = full_data(["other"], []) if level is None else level
    spec = spec_of(labels or labels_of(table), width=width)
    return {
        "cross_entropy": learning_curves.plot(table, seeds, level, "cross_entropy", spec),
        "dice_cut": learning_curves.plot(table, seeds, level, "dice_cut", spec),
        "composition": active_composition.plot(picks, spec),
        "penalty": pairwise_penalty.plot(penalties, spec),
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Stores of four annotators and of one, and picks of all strategies in `{dataset}_{strategy}.csv`."""
    folder = tmp_path_factory.mktemp("stored")
    for dataset, annotators in (("lung", 4), ("skin", 1)):
        write_dataset(folder / f"{dataset}.h5", annotators=annotators, images=24)
        ids = read_split(folder / f"{dataset}.h5", "train", 0).image_id
        for seed, strategy in enumerate(STRATEGIES):
            write_labelled(folder / f"{dataset}_{strategy}.csv", ids, 4, 10, 2, seed)
    return folder


@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("models", [1, 4])
@pytest.mark.parametrize("datasets", [1, 2])
def test_figures_of_tables_are_readable(datasets, models, count):
    made = tables(DATASETS[:datasets], MODELS[:models], STRATEGIES[:count])
    assert_readable(figures(*made, full_data(DATASETS, MODELS[:1])))


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("dataset", DATASETS)
def test_figure_of_picks_is_readable(stored, dataset, count):
    train = read_split(stored / f"{dataset}.h5", "train", 0)
    picks = {strategy: take(train, np.arange(10) + i) for i, strategy in enumerate(STRATEGIES[:count])}
    title, note = (
        "Phantom lung: first picks of round 1 (Probabilistic U-Net, seed 0)",
        "training split: 2.0% foreground",
    )
    for width in (WIDTH, NARROW):
        spec = spec_of(LABELS, width=width)
        assert_readable({"picks": active_picks.plot(picks, STRATEGIES[:count], spec, title, note)}, width)


@pytest.mark.parametrize("label", LONG)
def test_labels_of_any_length_and_kind_are_readable(stored, monkeypatch, label):
    for of_kind in LABELS.values():
        for i, name in enumerate(of_kind):
            monkeypatch.setitem(of_kind, name, f"{label}{i}")
    plotted = figures(*tables(**SMALL, what="a strategy in one panel"))
    train = read_split(stored / "lung.h5", "train", 0)
    picks = {strategy: take(train, np.arange(10) + i) for i, strategy in enumerate(STRATEGIES[:2])}
    title = f"{label}: first picks of round 1 ({label}, seed 4294967295)"
    plotted["picks"] = active_picks.plot(
        picks, STRATEGIES[:2], spec_of(LABELS), title, "training split: 2.0% foreground"
    )
    assert_readable(plotted)
    if label == MARKUP:
        for name, figure in plotted.items():
            assert any(MARKUP in "".join(word.split()) for word in words(figure)), name


def test_few_seeds_have_a_note():
    plotted = figures(*tables(seeds=1))
    assert_readable(plotted)
    [note] = [" ".join(word.split()) for word in words(plotted["cross_entropy"]) if word.startswith("mean of")]
    assert note.startswith("mean of 1 seed; ") and "95% interval for new patients" in note and "trainings" not in note
    assert words(plotted["penalty"]) == ["fewer than 5 seeds: no test"]
    note = "picks ÷ random picks from the same pool; mean of 4 models and 1 seed"
    assert note in words(plotted["composition"])


@pytest.mark.parametrize("value", [0.0, 0.41666])
def test_curves_without_any_range_are_readable(value):
    assert_readable(figures(*tables(value=lambda metric, row: value)))


@pytest.mark.parametrize(("low", "high"), [(0.0412, 0.0497), (0.3, 260.0)])
def test_scores_of_any_size_are_readable(low, high):
    """260 stands for a network that diverged."""
    assert_readable(figures(*tables(value=lambda metric, row: low + (high - low) / (1 + row["round"]))))


def test_a_single_round_is_readable():
    plotted = figures(*tables(rounds=1))
    assert_readable(plotted)
    band = plotted["composition"].axes[0].patches[0]
    assert band.get_width() == 1 and band.get_height() > 0


def test_band_far_wider_than_the_curves_is_left_out():
    table, seeds, *_ = tables(["lung"], ["unet"], ["random", "entropy"])
    wide = table["strategy"] == "random"
    table.loc[wide, ["ci_low", "ci_high"]] = [-5.0, 5.0]
    table.loc[~wide, "ci_low"], table.loc[~wide, "ci_high"] = table["mean"] - 1e-4, table["mean"] + 1e-4
    figure = learning_curves.plot(table, seeds, full_data([], []), "dice_cut", spec_of(labels_of(table)))
    axes = figure.axes[0]
    [band] = axes.collections
    own = table[~wide & (table["metric"] == "dice_cut")]
    edges = band.get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((own["ci_low"].min(), own["ci_high"].max()))
    assert any("left out where it is far wider than the curves" in " ".join(word.split()) for word in words(figure))
    low, high = axes.get_ylim()
    curve = table.loc[table["metric"] == "dice_cut", "mean"]
    assert low <= curve.min() and curve.max() <= high < low + 2 * (curve.max() - curve.min())


def test_band_a_little_wider_than_the_curves_is_shown_whole():
    table, seeds, *_ = tables(["lung"], ["unet"], ["random", "entropy"])
    shown = table["metric"] == "dice_cut"
    curves = pd.concat([table.loc[shown, "mean"], seeds.loc[seeds["metric"] == "dice_cut", "mean"]])
    beyond = 0.2 * (curves.max() - curves.min())
    table.loc[shown, "ci_low"], table.loc[shown, "ci_high"] = curves.min() - beyond, curves.max()
    figure = learning_curves.plot(table, seeds, full_data([], []), "dice_cut", spec_of(labels_of(table)))
    axes = figure.axes[0]
    assert len(axes.collections) == 2 and axes.get_ylim()[0] < curves.min() - beyond
    assert not any("left out" in word for word in words(figure))


def test_panels_of_a_dataset_have_one_axis_and_ticks_at_the_rounds():
    table, seeds, *_ = tables(DATASETS, MODELS[:2], ["random"])
    table.loc[(table["dataset"] == "lung") & (table["model"] == MODELS[1]), "mean"] *= 3
    figure = learning_curves.plot(table, seeds, full_data([], []), "cross_entropy", spec_of(labels_of(table)))
    limits = [axes.get_ylim() for axes in figure.axes]
    assert limits[0] == limits[1] != limits[2] == limits[3]
    assert figure.axes[0].get_xticks().tolist() == sorted(set(table["images"]))


def test_lines_are_those_of_the_tables():
    table, seeds, *_ = tables(["lung"], ["unet"], ["random", "entropy"])
    axes = learning_curves.plot(table, seeds, full_data([], []), "dice_cut", spec_of(labels_of(table))).axes[0]
    for line, strategy in zip(means_in(axes), ["random", "entropy"], strict=True):
        own = table[(table["strategy"] == strategy) & (table["metric"] == "dice_cut")]
        np.testing.assert_allclose(line.get_xydata(), own[["images", "mean"]])
        of_seeds = seeds[(seeds["strategy"] == strategy) & (seeds["metric"] == "dice_cut")].groupby("seed")
        thin = [one for one in axes.lines if one.get_linewidth() < 1 and one.get_color() == line.get_color()]
        for one, (_, of_seed) in zip(thin, of_seeds, strict=True):
            np.testing.assert_allclose(one.get_xydata(), of_seed[["images", "mean"]])


def means_in(axes):
    """The lines of means in a panel of learning curves."""
    return [line for line in axes.lines if line.get_marker() != "None"]


def test_full_data_line_appears_where_it_is_known():
    table, seeds, *_ = tables(DATASETS, MODELS[:2], ["random"], seeds=1)
    spec = spec_of(labels_of(table))
    figure = learning_curves.plot(table, seeds, full_data(["lung"], ["unet"]), "cross_entropy", spec)
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1, 1]
    assert "main grid (all images)" in words(figure)
    without = learning_curves.plot(table, seeds, full_data([], []), "cross_entropy", spec)
    assert "main grid (all images)" not in words(without)


def test_figures_fit_a_page_of_one_column():
    made = tables(DATASETS, MODELS, STRATEGIES)
    assert_readable(figures(*made, full_data(DATASETS, MODELS[:1]), width=NARROW), NARROW)


def test_composition_is_relative_to_random_picks():
    """Two models pick 12 and 18 where random picks have 10, with a standard deviation of 1 / sqrt(2) over 2 seeds."""
    table = picked(rounds_of(["lung"], MODELS[:2], ["random", "entropy"], seeds=2, rounds=2))
    table["picks"] = np.where(table["model"] == MODELS[0], 12.0, 18.0)
    figure = active_composition.plot(table, spec_of(LABELS))
    for axes in figure.axes[:5]:
        np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 1.5], [2, 1.5]])
        low, high = axes.patches[0].get_y(), axes.patches[0].get_y() + axes.patches[0].get_height()
        assert (low, high) == pytest.approx((1 - 1.96 * 0.1 / 2**0.5, 1 + 1.96 * 0.1 / 2**0.5), abs=1e-4)


def test_composition_of_one_annotator_has_a_note():
    assert words(active_composition.plot(picked(rounds_of()), spec_of(LABELS))).count("one mask\nper image") == 3


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
    "a dataset": (2 * ["no data"], 5 * ["no data"]),
    "all picks": (2 * ["no data: Random; Entropy (sum); BALD"], ["no data"]),
    "everything": (["no data"], ["no data"]),
}


SMALL = {"models": MODELS[:2], "chosen": ["random", "entropy", "bald"], "seeds": 6, "rounds": 2}
SMALL_LABELS = labels_of(rounds_of(**SMALL))


@pytest.fixture(scope="module")
def whole(few_shuffles):
    """Figures of complete tables, rendered."""
    plotted = figures(*tables(**SMALL))
    assert_readable(plotted)
    return plotted


@pytest.mark.parametrize("what", HOLES)
def test_what_is_missing_keeps_its_place_and_is_named(whole, what):
    plotted = figures(*tables(**SMALL, what=what), labels=SMALL_LABELS)
    assert_readable(plotted)
    curves, picks = NAMED[what]
    for name, expected in (("cross_entropy", curves), ("dice_cut", curves), ("composition", picks)):
        assert [word for word in words(plotted[name]) if "no data" in word] == expected, name
        if what != "everything" and (what, name) != ("all picks", "composition"):
            assert legend_of(plotted[name]) == legend_of(whole[name])
            assert titles_of(plotted[name]) == titles_of(whole[name])
    if what == "everything":
        assert words(plotted["penalty"]) == ["fewer than 5 seeds: no test"]
        return
    # The row and the column of a strategy, or all off the diagonal.
    dashes = {"a strategy": 2 * 4, "the first strategy": 2 * 4, "a dataset": 6, "all picks": 2 * 6}
    assert words(plotted["penalty"]).count("–") == dashes.get(what, 0)
    explained = any("\n–: fewer than 5 seeds" in word for word in words(plotted["penalty"]))
    assert explained == ("strategy" in what and what in dashes)
    assert len(plotted["penalty"].axes) == 2


@pytest.mark.parametrize(
    ("what", "curves", "picks"),
    [
        ("a strategy in one panel", "mean of 6 seeds", "mean of at most 2 models and 6 seeds"),
        ("a model", "mean of 6 seeds", "mean of 1 model and 6 seeds"),
        ("one cell", "mean of at most 6 seeds", "mean of at most 2 models and 6 seeds"),
    ],
)
def test_means_of_fewer_runs_have_a_note(what, curves, picks):
    plotted = figures(*tables(**SMALL, what=what))
    said = {name: [" ".join(word.split()) for word in words(figure)] for name, figure in plotted.items()}
    [note] = [word for word in said["dice_cut"] if word.startswith(curves)]
    assert note.startswith(f"{curves} (thin lines: single seeds); ") and note.endswith("; higher is better")
    assert "95% interval for new patients and trainings" in note
    assert f"picks ÷ random picks from the same pool; {picks}" in said["composition"]


def test_lines_have_a_gap_where_a_round_is_missing():
    grid = {"datasets": ["lung"], "models": ["unet"], "chosen": ["random", "entropy"]}
    plotted = figures(*tables(**grid, what="a round"))
    gap = means_in(plotted["dice_cut"].axes[0])[1].get_xydata()
    assert np.isnan(gap).all(axis=1).tolist() == [False, False, True, False, False]
    gap = plotted["composition"].axes[0].lines[1].get_ydata()
    assert np.isnan(gap).tolist() == [False, True, False, False]


def test_level_of_a_missing_model_has_no_line_and_no_entry(tmp_path, monkeypatch):
    """The summary has an empty row for it."""
    plotted = []
    monkeypatch.setattr(style, "save", lambda figure, png, pdf: plotted.append(figure))
    table, seeds, *_ = tables(["lung"], ["unet"], ["random"])
    table.to_csv(tmp_path / "table.csv", index=False)
    seeds.to_csv(tmp_path / "seeds.csv", index=False)
    (tmp_path / "summary.csv").write_text("dataset,model,metric,mean\nlung,unet,dice_cut,\n")
    run(
        learning_curves,
        monkeypatch,
        table=tmp_path / "table.csv",
        seeds=tmp_path / "seeds.csv",
        summary=tmp_path / "summary.csv",
        metric="dice_cut",
        spec=json.dumps(spec_of(labels_of(table))),
        png=tmp_path / "a.png",
        pdf=tmp_path / "a.pdf",
    )
    assert "main grid (all images)" not in words(plotted[0]) and len(plotted[0].axes[0].lines) == 1 + 5


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
    assert rows == [(name, PALETTES["strategies"][i]) for i, name in enumerate(names)]
    assert words(plotted[0]).count("no data") == 4 - len(there)


def test_nothing_at_all_still_makes_a_figure():
    table, seeds, picks, penalties = tables(["lung"], ["unet"], ["random"])
    plotted = figures(table[:0], seeds[:0], picks[:0], penalties, labels=labels_of(table))
    assert [words(figure) for figure in plotted.values()] == [
        *3 * [["no data"]],
        ["one strategy: nothing to compare"],
    ]


def test_penalty_matrix_reads_by_row():
    rows = [
        ("lung", "cross_entropy", "random", "entropy", 0.25, 0.31, 8),
        ("lung", "cross_entropy", "entropy", "random", 1, 0.31, 8),
    ]
    columns = ["dataset", "metric", "strategy_a", "strategy_b", "penalty", "null_95", "n_comparisons"]
    labels = {"datasets": {"lung": "Phantom lung"}, "strategies": {"random": "Random", "entropy": "Entropy"}}
    figure = pairwise_penalty.plot(pd.DataFrame(rows, columns=columns), spec_of(labels))
    assert {text.get_text(): text.get_position() for text in figure.axes[0].texts} == {"25": (1, 0), "100": (0, 1)}
    assert "of 8 comparisons, in %\nby chance up to 31" in words(figure)


def test_strategies_look_apart_from_each_other_and_from_models():
    looks = [style.line(spec_of(LABELS), "strategies", name) for name in STRATEGIES]
    colours, markers = ({getattr(line, f"get_{what}")() for line in looks} for what in ("color", "marker"))
    assert len(colours) == len(markers) == len(STRATEGIES)
    assert colours.isdisjoint(PALETTES["models"])
    assert all(line.get_markerfacecolor() == "white" for line in looks)


def picks_spec(there, missing):
    return json.dumps(spec_of(LABELS, model="unet", seed=0, strategies=there, missing=missing))


@pytest.fixture(scope="module")
def written(tmp_path_factory, few_shuffles):
    """The tables that the programs read, as files."""
    folder = tmp_path_factory.mktemp("written")
    table, seeds, picks, penalties = tables(rounds=2)
    table.to_csv(folder / "table.csv", index=False)
    seeds.to_csv(folder / "seeds.csv", index=False)
    picks.to_csv(folder / "picks.csv", index=False)
    penalties.to_csv(folder / "penalty.csv", index=False)
    summary = full_data(DATASETS, MODELS).rename("mean").rename_axis(["dataset", "model"]).reset_index()
    summary.assign(metric="dice_cut").to_csv(folder / "summary.csv", index=False)
    return folder


@pytest.mark.parametrize("program", ["learning_curves", "active_composition", "pairwise_penalty", "active_picks"])
def test_programs_write_the_same_bytes_each_time(stored, written, tmp_path, monkeypatch, program):
    chosen = ["random", "disagreement"]
    options = {
        "learning_curves": {
            "table": written / "table.csv",
            "seeds": written / "seeds.csv",
            "summary": written / "summary.csv",
            "metric": "dice_cut",
            "spec": json.dumps(spec_of(LABELS)),
        },
        "active_composition": {"table": written / "picks.csv"},
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
        run(module, monkeypatch, **{"spec": json.dumps(spec_of(LABELS)), **options}, png=png, pdf=pdf)
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
