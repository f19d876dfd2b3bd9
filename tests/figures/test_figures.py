import importlib
import itertools
import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.figures import LONG, MARKUP, NARROW, WIDTH, assert_readable, legend_of, spec_of, texts_of, titles_of, words
from helpers.study import SHAPE, random_draws, run, write_dataset, write_samples

from segunc.data.store import read_split
from segunc.figures import (
    entropy_by_agreement,
    entropy_by_outcome,
    examples,
    ged_by_samples,
    sampled_masks,
    style,
    uncertainty_maps,
)
from segunc.runtime.errors import UserError

MODELS = ["unet", "ensemble", "mc_dropout", "prob_unet", "a_new_model", "null"]
LABELS = {
    "datasets": {"lung": "Phantom lung", "skin": "Phantom skin", "third": "Third", "fourth": "Fourth"},
    "models": {
        "unet": "U-Net",
        "ensemble": "Ensemble",
        "mc_dropout": "MC-dropout",
        "prob_unet": "Probabilistic U-Net",
        "a_new_model": "A new model for $5",
        "null": "null",
    },
}
BASELINES = [f"baseline_{name}" for name in ("empty", "blind", "annotator", "readings")]


def summary(datasets, models, baselines=BASELINES):
    """A `summary.csv` with falling GEDs; the empty mask lies far above the models."""
    rows = []
    of_levels = [f"{model}+levels" for model in models]
    for dataset, (m, model) in itertools.product(datasets, enumerate([*models, *of_levels, *baselines])):
        for n in ged_by_samples.SIZES:
            mean = 2.0 if model == "baseline_empty" else 0.3 + 0.4 / n + 0.03 * m
            rows.append((dataset, model, f"ged_{n}", mean, mean - 0.05, mean + 0.05, 0.1 + 0.4 / n, 9, 9, 0))
        rows.append((dataset, model, "diversity", 0.1 * m, 0.0, 1.0, 0.4, 9, 9, 0))
    columns = [
        "dataset",
        "model",
        "metric",
        "mean",
        "ci_low",
        "ci_high",
        "target",
        "n_images",
        "n_patients",
        "n_undefined",
    ]
    return pd.DataFrame(rows, columns=columns)


def means(datasets, models, by, groups):
    rows = [(d, m, g, 0.5, 0.4, 0.6, 1980, 99) for d, m, g in itertools.product(datasets, models, groups)]
    return pd.DataFrame(rows, columns=["dataset", "model", by, "mean", "ci_low", "ci_high", "n_images", "n_patients"])


def without(table, lost):
    """The table as it is written where the scores of `lost` are missing: pairs of dataset and model."""
    models = [model.removesuffix("+levels") for model in table["model"]]
    rows = [cell in lost for cell in zip(table["dataset"], models, strict=True)]
    if "share" in table:
        return table[~np.array(rows)]
    counts = [name for name in table if name.startswith("n_")]
    table = table.copy()
    table.loc[rows, table.columns.intersection(["mean", "ci_low", "ci_high", "target"])] = np.nan
    table.loc[rows, counts] = 0
    return table


def histograms(datasets, models):
    groups = [*entropy_by_outcome.OUTCOMES, *entropy_by_agreement.AGREEMENTS]
    rows = [
        (d, m, g, b / 20, (b + 1) / 20, (b + 1) / 210)
        for d, m, g, b in itertools.product(datasets, models, groups, range(20))
    ]
    return pd.DataFrame(rows, columns=["dataset", "model", "group", "entropy_low", "entropy_high", "share"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A data store of four annotators, one of one annotator, and samples of all models."""
    folder = tmp_path_factory.mktemp("stored")
    for dataset, annotators in (("lung", 4), ("skin", 1)):
        ids = [record.image_id for record in write_dataset(folder / f"{dataset}.h5", annotators=annotators)]
        for seed, model in enumerate(MODELS):
            write_samples(folder / f"{dataset}_{model}.h5", ids, random_draws(len(ids), seed))
    return folder


def figures_of_tables(datasets, models, lost=(), width=WIDTH):
    """By name; `skin` has one annotator; lost: pairs of dataset and model whose scores are missing."""
    spec = spec_of(LABELS, width=width)
    shapes = without(histograms(datasets, models), lost)
    outcomes = means(datasets, models, "outcome", entropy_by_outcome.OUTCOMES)
    agreements = means(datasets, models, "agreement", entropy_by_agreement.AGREEMENTS)
    agreements.loc[(agreements["dataset"] == "skin") & (agreements["agreement"] != "agree"), "mean"] = np.nan
    return {
        "outcome": entropy_by_outcome.plot(without(outcomes, lost), shapes, spec),
        "agreement": entropy_by_agreement.plot(without(agreements, lost), shapes, spec),
        "ged": ged_by_samples.plot(without(summary(datasets, models), lost), spec),
    }


def figures_of_images(stored, dataset, models, lost=(), width=WIDTH):
    """By name; lost: the models without samples."""
    spec, title = spec_of(LABELS, width=width), LABELS["datasets"][dataset]
    files = {model: stored / f"{dataset}_{model}.h5" for model in models if model not in lost}
    shown = examples.load(stored / f"{dataset}.h5", files, 0, uncertainty_maps.ROWS)
    diversity = dict.fromkeys(models, 0.25)
    return {
        "maps": uncertainty_maps.plot(shown, models, spec, title),
        "masks": sampled_masks.plot(shown[: sampled_masks.IMAGES], models, diversity, spec, title),
    }


@pytest.mark.parametrize("count", [1, 4, 6])
@pytest.mark.parametrize("datasets", [["lung"], ["lung", "skin"], ["lung", "skin", "third", "fourth"]])
def test_figures_of_tables_are_readable(datasets, count):
    assert_readable(figures_of_tables(datasets, MODELS[:count]))


@pytest.mark.parametrize("count", [1, 4, 6])
@pytest.mark.parametrize("dataset", ["lung", "skin"])
def test_figures_of_images_are_readable(stored, dataset, count):
    assert_readable(figures_of_images(stored, dataset, MODELS[:count]))


@pytest.mark.parametrize("label", LONG)
def test_labels_of_any_length_and_kind_are_readable(stored, monkeypatch, label):
    for i, (family, name) in enumerate((kind, name) for kind in LABELS for name in LABELS[kind]):
        monkeypatch.setitem(LABELS[family], name, f"{label}{i}")
    figures = figures_of_tables(["lung", "skin"], MODELS, [("lung", "unet")])
    figures |= figures_of_images(stored, "lung", MODELS[:4]) | {
        f"few {name}": figure for name, figure in figures_of_images(stored, "skin", MODELS[:1]).items()
    }
    assert_readable(figures)
    if label == MARKUP:
        for name, figure in figures.items():
            assert any(f"{MARKUP}4" in "".join(word.split()) for word in words(figure)), name


def test_text_is_wrapped_and_shortened():
    width = style.width_of("Probabilistic U-Net", 8)
    assert style.wrapped("Probabilistic U-Net", width, 8) == "Probabilistic U-Net"
    assert style.wrapped("Probabilistic U-Net", 0.99 * width, 8) == "Probabilistic\nU-Net"
    assert style.wrapped("Probabilistic U-Net", 0.99 * width, 8, lines=1) == "Probabil…ic U-Net"
    assert style.wrapped("Model of " * 9 + "A", 1.5, 8, lines=2).endswith("of A")
    assert style.wrapped("MC-dropout", style.width_of("MC-drop", 8), 8) == "MC-\ndropout"
    assert style.wrapped("", 1, 8) == ""
    for text in ("one two  three-four " * 5, "肺结节" * 20, "W" * 50):
        for bold in (False, True):
            rows = style.wrapped(text, 0.8, 7, bold=bold).split("\n")
            assert "".join("".join(rows).split()) == "".join(text.split())
            assert all(style.width_of(row, 7, bold) <= 0.8 for row in rows)


@pytest.mark.parametrize("label", ["肺结节", "ไทย"])
def test_characters_that_no_font_has_are_named_in_one_line(tmp_path, monkeypatch, capsys, label):
    monkeypatch.setattr(style, "fonts", lambda: ("DejaVu Sans",))
    monkeypatch.setitem(LABELS["models"], "unet", label)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = ged_by_samples.plot(summary(["lung"], ["unet"]), spec_of(LABELS))
        style.save(figure, tmp_path / "a.png", tmp_path / "a.pdf")
        style.save(
            ged_by_samples.plot(summary(["lung"], ["ensemble"]), spec_of(LABELS)),
            tmp_path / "b.png",
            tmp_path / "b.pdf",
        )
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and f"No installed font has all characters of {label!r}" in said[0]


@pytest.mark.parametrize(
    "program", ["uncertainty_maps", "sampled_masks", "entropy_by_outcome", "entropy_by_agreement", "ged_by_samples"]
)
def test_programs_write_the_same_bytes_each_time(stored, tmp_path, monkeypatch, program):
    datasets = ["lung", "skin"]
    tables = {
        "summary": summary(datasets, MODELS),
        "outcome": means(datasets, MODELS, "outcome", entropy_by_outcome.OUTCOMES),
        "agreement": means(datasets, MODELS, "agreement", entropy_by_agreement.AGREEMENTS),
        "histograms": histograms(datasets, MODELS),
    }
    paths = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        table.to_csv(paths[name], index=False)
    pictures = {
        "dataset": "lung",
        "data": stored / "lung.h5",
        "spec": json.dumps(spec_of(LABELS, seed=0, models=MODELS[:2], missing=[])),
        "samples": [stored / f"lung_{model}.h5" for model in MODELS[:2]],
    }
    options = {
        "uncertainty_maps": pictures,
        "sampled_masks": {**pictures, "summary": paths["summary"]},
        "entropy_by_outcome": {"means": paths["outcome"], "histograms": paths["histograms"]},
        "entropy_by_agreement": {"means": paths["agreement"], "histograms": paths["histograms"]},
        "ged_by_samples": {"summary": paths["summary"]},
    }[program]
    module = importlib.import_module(f"segunc.figures.{program}")
    written = []
    for folder in ("first", "second"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "0" if folder == "first" else "1000000000")
        png, pdf = tmp_path / folder / "figure.png", tmp_path / folder / "figure.pdf"
        run(module, monkeypatch, **{"spec": json.dumps(spec_of(LABELS)), **options}, png=png, pdf=pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
        assert sorted(path.name for path in png.parent.iterdir()) == ["figure.pdf", "figure.png"]
    assert written[0] == written[1]
    png, pdf = written[0]
    assert png.startswith(b"\x89PNG") and pdf.startswith(b"%PDF")
    assert b"Software" not in png and b"CreationDate" not in pdf and b"Producer" not in pdf


def test_missing_values_are_named():
    datasets, models = ["lung", "skin"], MODELS[:2]
    table = means(datasets, models, "outcome", entropy_by_outcome.OUTCOMES)
    table.loc[table["model"] == "unet", ["mean", "ci_low", "ci_high"]] = np.nan
    table = table[(table["model"] != "ensemble") | (table["outcome"] != "tp")]
    figure = entropy_by_outcome.plot(table, histograms(datasets, ["ensemble"]), spec_of(LABELS))
    assert words(figure).count("no data") == 2 * (4 + 1)

    ged = words(ged_by_samples.plot(without(summary(datasets, models), [("lung", "unet")]), spec_of(LABELS)))
    assert [word for word in ged if "no data" in word] == ["no data: U-Net"]
    nothing = [("lung", model) for model in [*models, *BASELINES]]
    ged = words(ged_by_samples.plot(without(summary(datasets, models), nothing), spec_of(LABELS)))
    assert [word for word in ged if "no data" in word] == ["no data"]


# Pairs of dataset and model.
HOLES = {
    "a model in one dataset": [("lung", "unet")],
    "a model in all datasets": [(d, "unet") for d in ("lung", "skin")],
    "all models of a dataset": [("lung", model) for model in MODELS],
    "a dataset": [("lung", model) for model in [*MODELS, *BASELINES]],
    "everything": list(itertools.product(("lung", "skin"), [*MODELS, *BASELINES])),
}


@pytest.fixture(scope="module")
def whole():
    """Figures of complete tables, rendered."""
    figures = figures_of_tables(["lung", "skin"], MODELS)
    assert_readable(figures)
    return figures


@pytest.mark.parametrize("what", HOLES)
def test_missing_models_keep_their_place_and_are_named(whole, what):
    lost = HOLES[what]
    figures = figures_of_tables(["lung", "skin"], MODELS, lost)
    assert_readable(figures)
    for name, figure in figures.items():
        assert legend_of(figure) == legend_of(whole[name]), name
        if what != "everything":
            assert titles_of(figure) == titles_of(whole[name]), name
    of_models = sum(model in MODELS for _, model in lost)
    assert words(figures["outcome"]).count("no data") == of_models * len(entropy_by_outcome.OUTCOMES)
    of_lung = sum(dataset == "lung" and model in MODELS for dataset, model in lost)
    shown = 6 if what == "everything" else 0  # skin: without scores it is unknown that it has one annotator
    assert words(figures["agreement"]).count("no data") == (of_lung + shown) * len(entropy_by_agreement.AGREEMENTS)


@pytest.mark.parametrize(("dataset", "lost"), [("lung", ["null", "unet"]), ("skin", MODELS)])
def test_models_without_samples_keep_their_place_and_say_so(stored, dataset, lost):
    figures = figures_of_images(stored, dataset, MODELS, lost)
    assert_readable(figures)
    assert words(figures["maps"]).count("no data") == uncertainty_maps.ROWS * len(lost)
    assert words(figures["masks"]).count("no data") == sampled_masks.IMAGES * len(lost)
    whole = figures_of_images(stored, dataset, MODELS)
    for name, figure in figures.items():
        named = [
            [(text.get_text(), text.get_color()) for text, _ in texts_of(one) if text.get_text() != "no data"]
            for one in (figure, whole[name])
        ]
        assert sorted(named[0]) == sorted(named[1]), name


@pytest.mark.parametrize("program", ["uncertainty_maps", "sampled_masks"])
@pytest.mark.parametrize("there", [["unet", "prob_unet"], []])
def test_programs_take_missing_models(stored, tmp_path, monkeypatch, program, there):
    """They are put between the others, in the order of the labels."""
    missing = [model for model in MODELS[:4] if model not in there]
    saved = []
    monkeypatch.setattr(style, "save", lambda figure, png, pdf: saved.append(figure))
    summary(["lung"], MODELS).to_csv(tmp_path / "summary.csv", index=False)
    run(
        importlib.import_module(f"segunc.figures.{program}"),
        monkeypatch,
        dataset="lung",
        data=stored / "lung.h5",
        spec=json.dumps(spec_of(LABELS, seed=0, models=there, missing=missing)),
        samples=[stored / f"lung_{model}.h5" for model in there],
        **({"summary": tmp_path / "summary.csv"} if program == "sampled_masks" else {}),
        png=tmp_path / "a.png",
        pdf=tmp_path / "a.pdf",
    )
    said = [" ".join(word.split()) for word in words(saved[0])]
    places = [said.index(LABELS["models"][model]) for model in MODELS[:4]]
    assert places == sorted(places)
    rows = uncertainty_maps.ROWS if program == "uncertainty_maps" else sampled_masks.IMAGES
    assert said.count("no data") == rows * (4 - len(there))


def test_level_sets_are_hollow_points_beside_the_samples():
    table = summary(["lung"], MODELS)
    figure = ged_by_samples.plot(table, spec_of(LABELS))
    [axes] = figure.axes
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white" and line.get_marker() != "None"]
    assert [line.get_markeredgecolor() for line in hollow] == [colour for _, colour in legend_of(figure)[: len(MODELS)]]
    means_of_levels = table[table["model"].str.endswith("+levels") & (table["metric"] == "ged_64")]["mean"]
    assert [line.get_ydata().item() for line in hollow] == pytest.approx(means_of_levels.tolist())
    at = [float(line.get_xdata()[0]) for line in hollow]
    inches = np.diff(np.log2(at)) / np.diff(np.log2(axes.get_xlim())) * ged_by_samples.PANEL[0]
    assert ged_by_samples.SIZES[-1] < at[0] and at[-1] < axes.get_xlim()[1]
    assert (inches > hollow[0].get_markersize() / 72).all(), "they do not hide each other"


def test_nothing_at_all_still_makes_a_figure():
    empty = [means([], [], by, []) for by in ("outcome", "agreement")]
    for figure in (
        entropy_by_outcome.plot(empty[0], histograms([], []), spec_of(LABELS)),
        entropy_by_agreement.plot(empty[1], histograms([], []), spec_of(LABELS)),
        ged_by_samples.plot(summary([], []), spec_of(LABELS)),
    ):
        assert words(figure) == ["no data"]


def test_dataset_without_disagreement_gets_a_note_and_no_panel():
    table = means(["lung", "skin"], ["unet"], "agreement", entropy_by_agreement.AGREEMENTS)
    table.loc[(table["dataset"] == "skin") & (table["agreement"] != "agree"), "mean"] = np.nan
    figure = entropy_by_agreement.plot(table, histograms(["lung", "skin"], ["unet"]), spec_of(LABELS))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Phantom lung"]
    assert any("Not shown" in word and "Phantom skin" in word for word in words(figure))

    figure = entropy_by_agreement.plot(
        table[table["dataset"] == "skin"], histograms(["skin"], ["unet"]), spec_of(LABELS)
    )
    assert not figure.axes and "Phantom skin" in words(figure)[0]


def test_far_baseline_is_named_with_its_value_and_does_not_compress_the_models():
    figure = ged_by_samples.plot(summary(["lung"], ["unet"]), spec_of(LABELS))
    assert figure.axes[0].get_ylim()[1] < 1.5
    assert "empty mask\n2.00 ↑" in words(figure)


def test_order_follows_the_labels_and_looks_the_spec():
    spec = spec_of(LABELS)
    ids = ["prob_unet", "baseline_readings", "unet", "prob_unet", "unnamed"]
    assert style.ordered(spec, "models", ids) == ["unet", "prob_unet", "baseline_readings", "unnamed"]
    assert style.models_among(spec, ids) == ["unet", "prob_unet", "unnamed"]
    spec["looks"]["models"]["unet"] = {"colour": "#123456", "marker": "*"}
    for name, figure in {
        "ged": ged_by_samples.plot(summary(["lung"], ["mc_dropout", "unet"]), spec),
        "outcome": entropy_by_outcome.plot(
            means(["lung"], ["unet"], "outcome", entropy_by_outcome.OUTCOMES), histograms(["lung"], ["unet"]), spec
        ),
    }.items():
        assert ("U-Net", "#123456") in legend_of(figure), name


def test_an_id_of_two_families_has_two_labels():
    labels = {"datasets": {"lung": "A dataset"}, "models": {"lung": "A model"}}
    figure = ged_by_samples.plot(summary(["lung"], ["lung"]), spec_of(labels))
    assert titles_of(figure) == ["A dataset"] and legend_of(figure)[0][0] == "A model"


def test_importing_a_figure_changes_no_setting_of_matplotlib():
    code = "import matplotlib; before = dict(matplotlib.rcParams); from segunc.figures import learning_curves, examples"
    code += "; assert before == dict(matplotlib.rcParams)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_few_images_or_patients_are_named():
    table = summary(["lung"], ["unet", "ensemble"])
    table.loc[table["model"] == "unet", "n_patients"] = 4
    assert "fewer than 5 images or patients: U-Net" in " ".join(
        " ".join(words(ged_by_samples.plot(table, spec_of(LABELS)))).split()
    )
    table = means(["lung"], ["unet"], "outcome", entropy_by_outcome.OUTCOMES)
    table.loc[table["outcome"] == "fp", "n_images"] = 4
    said = words(entropy_by_outcome.plot(table, histograms(["lung"], ["unet"]), spec_of(LABELS)))
    assert said.count("4*") == 1 and said.count("1980") == 3
    assert any(word.startswith("*fewer than 5 images or patients") for word in said)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_figures_fit_a_page_of_one_column(stored, count):
    figures = figures_of_tables(["lung", "skin"], MODELS[:count], width=NARROW)
    assert_readable(figures | figures_of_images(stored, "lung", MODELS[:count], width=NARROW), NARROW)


def test_images_have_their_ids(stored):
    shown = examples.load(stored / "lung.h5", {}, 0, 3)
    said = [
        "".join(word.split())
        for figure in figures_of_images(stored, "lung", MODELS[:2]).values()
        for word in words(figure)
    ]
    for example in shown[:1]:
        assert any(example.image_id in word for word in said)


def test_examples_are_spread_and_of_different_patients(tmp_path):
    write_dataset(tmp_path / "data.h5", images=8)
    test = read_split(tmp_path / "data.h5", "test", 0)
    rows = examples.choose(test, 4)
    positive_annotators = test.masks[rows].any(axis=(2, 3)).sum(axis=1)
    assert rows == examples.choose(test, 4)
    assert len(set(test.patient_id[rows])) == 4
    assert list(positive_annotators) == sorted(positive_annotators, reverse=True)
    assert positive_annotators[0] == 4 and positive_annotators[-1] <= 1


def test_examples_of_one_patient_are_different_images(tmp_path):
    write_dataset(tmp_path / "data.h5", images=2)
    test = read_split(tmp_path / "data.h5", "test", 0)
    assert len(set(test.patient_id)) == 1
    assert sorted(examples.choose(test, 5)) == [0, 1]


def test_samples_of_other_images_are_refused(stored, tmp_path):
    write_dataset(tmp_path / "other.h5", images=3)
    with pytest.raises(UserError, match="other images"):
        examples.load(tmp_path / "other.h5", {"unet": stored / "lung_unet.h5"}, 0, 2)


def test_majority_is_more_than_half(stored):
    shown = examples.load(stored / "lung.h5", {}, 0, 6)
    for example in shown:
        assert np.array_equal(example.majority, example.annotations.sum(axis=0) > 2)
    assert shown[-1].description == ("marked by 0/4", "0% of pixels")
    assert examples.load(stored / "skin.h5", {}, 0, 1)[0].description[0] == ""


@pytest.mark.parametrize("seed", range(20))
def test_window_holds_all_that_is_marked(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(8, 40, 2))
    masks = generator.random((3, *shape)) < 0.003
    rows, columns = examples.window(masks)
    assert masks[:, rows, columns].sum() == masks.sum()
    assert masks[:, rows, columns].shape[1:] == (rows.stop - rows.start, columns.stop - columns.start)
    square = rows.stop - rows.start == columns.stop - columns.start
    assert square or (rows, columns) == (slice(0, shape[0]), slice(0, shape[1]))


def test_window_of_nothing_is_the_image():
    assert examples.window(np.zeros((2, *SHAPE), bool)) == (slice(0, SHAPE[0]), slice(0, SHAPE[1]))


def test_window_is_tight():
    mask = np.zeros((100, 100), bool)
    mask[40:80, 10:20] = True
    assert examples.window([mask]) == (slice(34, 86), slice(0, 52))
