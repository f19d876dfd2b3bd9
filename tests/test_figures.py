import importlib
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from small_study import SHAPE, random_draws, run, write_dataset, write_samples

from segunc.data.store import read_split
from segunc.errors import UserError
from segunc.figures import (
    entropy_by_agreement,
    entropy_by_outcome,
    examples,
    ged_by_samples,
    samples,
    style,
    uncertainty_maps,
)

MODELS = ["unet", "ensemble", "mc_dropout", "prob_unet", "a_new_model", "null"]
LABELS = {
    "lung": "Phantom lung",
    "skin": "Phantom skin",
    "third": "Third",
    "fourth": "Fourth",
    "unet": "U-Net",
    "ensemble": "Ensemble",
    "mc_dropout": "MC-dropout",
    "prob_unet": "Probabilistic U-Net",
    "a_new_model": "A new model for $5",
}
BASELINES = [f"baseline_{name}" for name in ("empty", "blind", "annotator", "oracle", "threshold")]


def summary(datasets, models, baselines=BASELINES):
    """A `summary.csv` with falling GEDs; the empty mask lies far above the models."""
    rows = []
    for dataset, (m, model) in itertools.product(datasets, enumerate([*models, *baselines])):
        for n in ged_by_samples.SIZES:
            mean = 2.0 if model == "baseline_empty" else 0.3 + 0.4 / n + 0.03 * m
            rows.append((dataset, model, f"ged_{n}", mean, mean - 0.05, mean + 0.05))
        rows.append((dataset, model, "diversity", 0.1 * m, 0.0, 1.0))
    return pd.DataFrame(rows, columns=["dataset", "model", "metric", "mean", "ci_low", "ci_high"])


def means(datasets, models, by, groups):
    rows = [(d, m, g, 0.5, 0.4, 0.6, 1980) for d, m, g in itertools.product(datasets, models, groups)]
    return pd.DataFrame(rows, columns=["dataset", "model", by, "mean", "ci_low", "ci_high", "n_images"])


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


def figures_of_tables(datasets, models):
    """By name; `skin` has one annotator."""
    shapes = histograms(datasets, models)
    outcomes = means(datasets, models, "outcome", entropy_by_outcome.OUTCOMES)
    agreements = means(datasets, models, "agreement", entropy_by_agreement.AGREEMENTS)
    agreements.loc[(agreements["dataset"] == "skin") & (agreements["agreement"] != "agree"), "mean"] = np.nan
    return {
        "outcome": entropy_by_outcome.draw(outcomes, shapes, LABELS),
        "agreement": entropy_by_agreement.draw(agreements, shapes, LABELS),
        "ged": ged_by_samples.draw(summary(datasets, models), LABELS),
    }


def figures_of_images(stored, dataset, models):
    """By name."""
    files = {model: stored / f"{dataset}_{model}.h5" for model in models}
    shown = examples.load(stored / f"{dataset}.h5", files, uncertainty_maps.ROWS)
    diversity = dict.fromkeys(models, 0.25)
    return {
        "maps": uncertainty_maps.draw(shown, models, LABELS, LABELS[dataset]),
        "samples": samples.draw(shown[: samples.IMAGES], models, diversity, LABELS, LABELS[dataset]),
    }


def texts_of(figure):
    """All texts that show, with their boxes in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    hidden = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent(renderer)) for text in found if text not in hidden]


def assert_readable(figures):
    """No text is small, cut off, or on another one; and the figure fits the page."""
    for name, figure in figures.items():
        width, height = figure.canvas.get_width_height()
        assert figure.get_size_inches()[0] <= style.WIDTH + 0.01, name
        boxes = texts_of(figure)
        for text, box in boxes:
            what = f"{name}: {text.get_text()!r}"
            assert text.get_fontsize() >= 7, what
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width + 0.5 and box.y1 <= height + 0.5, what
        for (one, first), (other, second) in itertools.combinations(boxes, 2):
            # Boxes have room for descenders that most words lack.
            apart = min(first.x1, second.x1) - max(first.x0, second.x0) < 2
            apart |= min(first.y1, second.y1) - max(first.y0, second.y0) < 2
            assert apart, f"{name}: {one.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("count", [1, 4, 6])
@pytest.mark.parametrize("datasets", [["lung"], ["lung", "skin"], ["lung", "skin", "third", "fourth"]])
def test_figures_of_tables_are_readable(datasets, count):
    assert_readable(figures_of_tables(datasets, MODELS[:count]))


@pytest.mark.parametrize("count", [1, 4, 6])
@pytest.mark.parametrize("dataset", ["lung", "skin"])
def test_figures_of_images_are_readable(stored, dataset, count):
    assert_readable(figures_of_images(stored, dataset, MODELS[:count]))


@pytest.mark.parametrize(
    "program", ["uncertainty_maps", "samples", "entropy_by_outcome", "entropy_by_agreement", "ged_by_samples"]
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
        "models": MODELS[:2],
        "samples": [stored / f"lung_{model}.h5" for model in MODELS[:2]],
    }
    options = {
        "uncertainty_maps": pictures,
        "samples": {**pictures, "summary": paths["summary"]},
        "entropy_by_outcome": {"means": paths["outcome"], "histograms": paths["histograms"]},
        "entropy_by_agreement": {"means": paths["agreement"], "histograms": paths["histograms"]},
        "ged_by_samples": {"summary": paths["summary"]},
    }[program]
    module = importlib.import_module(f"segunc.figures.{program}")
    written = []
    for folder in ("first", "second"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "0" if folder == "first" else "1000000000")
        png, pdf = tmp_path / folder / "figure.png", tmp_path / folder / "figure.pdf"
        run(module, monkeypatch, labels=json.dumps(LABELS), png=png, pdf=pdf, **options)
        written.append((png.read_bytes(), pdf.read_bytes()))
        assert sorted(path.name for path in png.parent.iterdir()) == ["figure.pdf", "figure.png"]
    assert written[0] == written[1]
    png, pdf = written[0]
    assert png.startswith(b"\x89PNG") and pdf.startswith(b"%PDF")
    assert b"Software" not in png and b"CreationDate" not in pdf and b"Producer" not in pdf


def words(figure):
    return [text.get_text() for text, _ in texts_of(figure)]


def test_missing_values_are_named():
    datasets, models = ["lung", "skin"], MODELS[:2]
    table = means(datasets, models, "outcome", entropy_by_outcome.OUTCOMES)
    table.loc[table["model"] == "unet", ["mean", "ci_low", "ci_high"]] = np.nan
    table = table[(table["model"] != "ensemble") | (table["outcome"] != "tp")]
    figure = entropy_by_outcome.draw(table, histograms(datasets, ["ensemble"]), LABELS)
    assert words(figure).count("no data") == 2 * (4 + 1)

    ged = summary(datasets, models)
    ged.loc[(ged["dataset"] == "lung") & ged["model"].isin(models), ["mean", "ci_low", "ci_high"]] = np.nan
    assert words(ged_by_samples.draw(ged, LABELS)).count("no data") == 1


def test_nothing_at_all_still_makes_a_figure():
    empty = [means([], [], by, []) for by in ("outcome", "agreement")]
    for figure in (
        entropy_by_outcome.draw(empty[0], histograms([], []), LABELS),
        entropy_by_agreement.draw(empty[1], histograms([], []), LABELS),
        ged_by_samples.draw(summary([], []), LABELS),
    ):
        assert words(figure) == ["no data"]


def test_dataset_without_disagreement_gets_a_note_and_no_panel():
    table = means(["lung", "skin"], ["unet"], "agreement", entropy_by_agreement.AGREEMENTS)
    table.loc[(table["dataset"] == "skin") & (table["agreement"] != "agree"), "mean"] = np.nan
    figure = entropy_by_agreement.draw(table, histograms(["lung", "skin"], ["unet"]), LABELS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Phantom lung"]
    assert any("Not shown" in word and "Phantom skin" in word for word in words(figure))

    figure = entropy_by_agreement.draw(table[table["dataset"] == "skin"], histograms(["skin"], ["unet"]), LABELS)
    assert not figure.axes and "Phantom skin" in words(figure)[0]


def test_far_baseline_is_named_with_its_value_and_does_not_squeeze_the_models():
    figure = ged_by_samples.draw(summary(["lung"], ["unet"]), LABELS)
    assert figure.axes[0].get_ylim()[1] < 1.5
    assert "empty mask\n2.00 ↑" in words(figure)


def test_order_and_colours_follow_the_labels():
    ids = ["prob_unet", "baseline_oracle", "unet", "prob_unet", "unnamed"]
    assert style.ordered(ids, LABELS) == ["unet", "prob_unet", "baseline_oracle", "unnamed"]
    models = style.models_among(ids, LABELS)
    assert models == ["unet", "prob_unet", "unnamed"]
    assert style.colours(models[:2]) == {m: style.colours(models)[m] for m in models[:2]}
    many = [f"model{i}" for i in range(20)]
    assert len(set(style.colours(many[:8]).values())) == 8
    assert set(style.colours(many)) == set(style.markers(many)) == set(many)


def test_examples_are_spread_and_of_different_patients(tmp_path):
    write_dataset(tmp_path / "data.h5", images=8)
    test = read_split(tmp_path / "data.h5", "test")
    rows = examples.chosen(test, 4)
    votes = test.masks[rows].any(axis=(2, 3)).sum(axis=1)
    assert rows == examples.chosen(test, 4)
    assert len(set(test.patient_id[rows])) == 4
    assert list(votes) == sorted(votes, reverse=True) and votes[0] == 4 and votes[-1] <= 1


def test_examples_of_one_patient_are_different_images(tmp_path):
    write_dataset(tmp_path / "data.h5", images=2)
    test = read_split(tmp_path / "data.h5", "test")
    assert len(set(test.patient_id)) == 1
    assert sorted(examples.chosen(test, 5)) == [0, 1]


def test_samples_of_other_images_are_refused(stored, tmp_path):
    write_dataset(tmp_path / "other.h5", images=3)
    with pytest.raises(UserError, match="other images"):
        examples.load(tmp_path / "other.h5", {"unet": stored / "lung_unet.h5"}, 2)


def test_majority_is_more_than_half(stored):
    shown = examples.load(stored / "lung.h5", {}, 6)
    for example in shown:
        assert np.array_equal(example.truth, example.annotations.sum(axis=0) > 2)
    assert shown[-1].description == ("0 of 4 mark", "0% of pixels")
    assert examples.load(stored / "skin.h5", {}, 1)[0].description[0] == ""


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
