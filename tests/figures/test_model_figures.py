"""The figures of the main grid's tables that are made of panels: what they show, and whether they can be read."""

import importlib
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from helpers.figures import LONG, NARROW, WIDTH, assert_readable, legend_of, spec_of, titles_of, words
from helpers.study import run

from segunc.figures import comparisons, cost_against_quality, ged_by_votes, panels, reliability, risk_coverage, style
from segunc.level_rows import levels_of
from segunc.metrics.registry import COMPARED

MODELS = [f"model{i}" for i in range(10)]
LABELS = {
    "datasets": {"lung": "Phantom lung", "skin": "Phantom skin"},
    "models": {name: f"Model {i}" for i, name in enumerate(MODELS)},
}
COUNTS = {"n_images": 90, "n_patients": 30}


def reliability_of(datasets, models):
    rows = [
        {"dataset": d, "model": m, "share": 1 / 15, "probability": (b + 0.5) / 15, "frequency": (b / 15) ** 2, **COUNTS}
        for d, m, b in itertools.product(datasets, models, range(15))
    ]
    return pd.DataFrame(rows)


def errors_of(datasets, models):
    rows = []
    for d, (m, model) in itertools.product(datasets, enumerate(models)):
        ece = 0.02 + 0.01 * m
        values = {f"ece{end}{side}": ece + x for end in ("", "_without_lowest") for side, x in SIDES.items()}
        rows.append({"dataset": d, "model": model, **values, **COUNTS})
    return pd.DataFrame(rows)


SIDES = {"": 0, "_low": -0.01, "_high": 0.01}


def votes_of(datasets, models):
    """`skin` has one annotator."""
    rows = [
        {"dataset": d, "model": m, "votes": v, "metric": metric, "mean": 0.1 * v + 0.2, "ci_low": 0.1, "ci_high": 0.9}
        | {"target": 0.1, **COUNTS}
        for d, m in itertools.product(datasets, [*models, "baseline_empty"])
        for v in range(1, 2 if d == "skin" else 5)
        for metric in ("ged_u", "ged_16")
    ]
    return pd.DataFrame(rows)


def curves_of(datasets, models):
    rows = [
        {"dataset": d, "model": m, "aggregation": how, "map": of, "coverage": k / 20, "risk": 0.1 + k / 100}
        | {"n_images": 3 * k, "n_patients": 3 * k}
        for d, m, (how, of), k in itertools.product(datasets, models, risk_coverage.SCORES, range(1, 21))
    ]
    return pd.DataFrame(rows)


def distances_of(datasets, models):
    """`skin` has one annotator, so that there is no target."""
    rows = [
        {"dataset": d, "model": name, "metric": metric, "mean": 0.3 + 0.02 * m, "ci_low": 0.2, "ci_high": 0.6}
        | {"target": np.nan if d == "skin" else 0.1, **COUNTS}
        for d, (m, name) in itertools.product(datasets, enumerate([*models, *map(levels_of, models)]))
        for metric in ("ged_16", "ged_u")
    ]
    return pd.DataFrame(rows)


def costs_for(models, **settings):
    """Pairs of models cost the same: 1, 1, 4, 4, 16, ..."""
    costs = {of: {name: 4.0 ** (i // 2) for i, name in enumerate(models)} for of in LABELS["datasets"]}
    return spec_for(models, **settings, costs=costs)


def differences_of(datasets, models):
    rows = []
    for d, metric, (a, b) in itertools.product(datasets, COMPARED, itertools.combinations(models, 2)):
        difference = 0.1 * (MODELS.index(b) - MODELS.index(a))
        values = {"difference": difference, "ci_low": difference - 0.05, "ci_high": difference + 0.05, "p_holm": 0.03}
        rows.append({"dataset": d, "metric": metric, "model_a": a, "model_b": b, **values, **COUNTS})
        rows.append({**rows[-1], "model_b": f"{b}+levels"})
    names = ["dataset", "metric", "model_a", "model_b", "difference", "ci_low", "ci_high", "p_holm", *COUNTS]
    return pd.DataFrame(rows, columns=names)


def spec_for(models, **settings):
    return spec_of({**LABELS, "models": {name: LABELS["models"][name] for name in models}}, **settings)


def figures_of(datasets, models, width=WIDTH):
    spec = spec_for(models, width=width)
    differences = differences_of(datasets[:1], models)
    return {
        "reliability": reliability.plot(reliability_of(datasets, models), errors_of(datasets, models), spec),
        "votes": ged_by_votes.plot(votes_of(datasets, models), spec),
        "coverage": risk_coverage.plot(curves_of(datasets, models), spec),
        "comparisons": comparisons.plot(differences, spec, LABELS["datasets"][datasets[0]]),
        "costs": cost_against_quality.plot(distances_of(datasets, models), costs_for(models, width=width)),
    }


@pytest.mark.parametrize("width", [WIDTH, NARROW])
@pytest.mark.parametrize("count", [2, 5, 10])
@pytest.mark.parametrize("datasets", [["lung"], ["lung", "skin"]])
def test_they_are_readable(datasets, count, width):
    assert_readable(figures_of(datasets, MODELS[:count], width), width)


@pytest.mark.parametrize("label", LONG)
def test_labels_of_any_length_and_kind_are_readable(monkeypatch, label):
    for i, (family, name) in enumerate((kind, name) for kind in LABELS for name in LABELS[kind]):
        monkeypatch.setitem(LABELS[family], name, f"{label}{i}")
    assert_readable(figures_of(["lung", "skin"], MODELS[:3]))


def test_bins_of_few_images_or_patients_are_left_out():
    bins = reliability_of(["lung"], MODELS[:1])
    bins.loc[bins.index[-2:], "n_patients"] = 4
    figure = reliability.plot(bins, errors_of(["lung"], MODELS[:1]), spec_for(MODELS[:1]))
    [_, line] = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), bins[["probability", "frequency"]][:-2])
    assert any("without bins of fewer than 5 images or patients" in " ".join(word.split()) for word in words(figure))


def test_models_without_scores_are_named_and_keep_their_looks():
    spec = spec_for(MODELS[:3])
    there = MODELS[1:3]
    figures = {
        "reliability": reliability.plot(reliability_of(["lung"], there), errors_of(["lung"], there), spec),
        "coverage": risk_coverage.plot(curves_of(["lung"], there), spec),
    }
    assert_readable(figures)
    for name, figure in figures.items():
        assert "no data: Model 0" in words(figure), name
        looks = [(LABELS["models"][model], spec["looks"]["models"][model]["colour"]) for model in MODELS[:3]]
        assert legend_of(figure)[:3] == looks, name


def test_votes_are_of_datasets_with_several_annotators_and_count_images():
    table = votes_of(["lung", "skin"], MODELS[:2])
    table.loc[table["votes"] == 4, "n_images"] = 4
    figure = ged_by_votes.plot(table, spec_of(LABELS))
    assert titles_of(figure) == ["Phantom lung"]
    said = [" ".join(word.split()) for word in words(figure)]
    assert said.count("90") == 3 and said.count("4*") == 1
    assert any("one annotator, not shown: Phantom skin" in word for word in said)
    assert words(ged_by_votes.plot(table[table["dataset"] == "skin"], spec_of(LABELS))) == [
        "one annotator, not shown: Phantom skin"
    ]


def test_marks_are_at_the_cost_of_their_model():
    """Side by side if it is the same, with the level sets of its mean at the same cost."""
    figure = cost_against_quality.plot(distances_of(["lung", "skin"], MODELS[:3]), costs_for(MODELS[:3]))
    shift = cost_against_quality.SHIFT**0.5
    marks = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "")]
    np.testing.assert_allclose([mark.get_xdata()[0] for mark in marks[::2]], [1 / shift, shift, 4])
    np.testing.assert_allclose([mark.get_xdata()[0] for mark in marks[1::2]], [1 / shift, shift, 4])
    np.testing.assert_allclose([mark.get_ydata()[0] for mark in marks], [0.3, 0.36, 0.32, 0.38, 0.34, 0.4])
    names = [name for name, _ in legend_of(figure)]
    assert names == ["Model 0", "Model 1", "Model 2", "level sets of its mean", "knows the readers"]
    # Tables of earlier runs have no level sets.
    table = distances_of(["lung"], MODELS[:3])
    figure = cost_against_quality.plot(table[table["model"].isin(MODELS)], costs_for(MODELS[:3]))
    assert "level sets of its mean" not in words(figure)


def test_what_has_no_point_in_it_and_what_is_of_few_images_is_named():
    table, spec = distances_of(["lung", "skin"], MODELS[:3]), costs_for(MODELS[:3])
    table.loc[(table["dataset"] == "lung") & (table["model"] == MODELS[0]), ["mean", "ci_low", "ci_high"]] = np.nan
    table.loc[table["dataset"] == "skin", "n_images"] = 4
    spec["costs"]["skin"] = {**spec["costs"]["skin"], MODELS[1]: 0.0}
    figure = cost_against_quality.plot(table, spec)
    assert_readable({"costs": figure})
    said = " ".join(" ".join(words(figure)).split())
    assert "no data: Model 0 (Phantom lung), Model 1 (Phantom skin)" in said
    assert "fewer than 5 images or patients: Phantom skin" in said


def test_coverages_of_few_images_are_left_out():
    figure = risk_coverage.plot(curves_of(["lung"], MODELS[:1]), spec_for(MODELS[:1]))
    assert titles_of(figure) == list(risk_coverage.SCORES.values())
    for axes in figure.axes:
        np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(2, 21) / 20)


def test_pairs_of_models_without_level_sets_are_compared():
    table = differences_of(["lung"], MODELS[:3])
    table.loc[table["model_b"] == MODELS[2], "p_holm"] = 0.2
    table.loc[(table["model_a"] == MODELS[0]) & (table["model_b"] == MODELS[1]), "n_images"] = 4
    table.loc[(table["model_a"] == MODELS[1]), ["difference", "ci_low", "ci_high", "p_holm"]] = np.nan
    figure = comparisons.plot(table, spec_of(LABELS), "Phantom lung")
    said = words(figure)
    assert [word for word in said if "−" in word and "Model" in word] == [
        "Model 0 − Model 1",
        "Model 0 − Model 2",
        "Model 1 − Model 2",
    ]
    assert said.count("no data") == said.count("*") == len(COMPARED)
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [point.get_markerfacecolor() for point in points] == [style.INK, "white"]
    assert [point.get_xdata()[0] for point in points] == pytest.approx([0.1, 0.2])


def test_wide_intervals_are_cut():
    assert panels.upper(pd.Series([1.0, 2.0]), pd.Series([1.5, 2.5])) == pytest.approx(1.05 * 2.5)
    assert panels.upper(pd.Series([1.0, 2.0]), pd.Series([1.5, 99])) == pytest.approx(1.05 * 3.2)
    assert panels.upper(pd.Series([1.0, 2.0]), pd.Series([np.nan, np.nan])) == pytest.approx(1.05 * 2)
    assert panels.upper(pd.Series([np.nan]), pd.Series([np.nan])) == 1


def test_nothing_at_all_still_makes_a_figure():
    spec = spec_of({"datasets": {}, "models": {}})
    some = ["lung"], MODELS[:1]
    for figure in (
        reliability.plot(reliability_of(*some)[:0], errors_of(*some)[:0], spec),
        ged_by_votes.plot(votes_of(*some)[:0], spec),
        risk_coverage.plot(curves_of(*some)[:0], spec),
        cost_against_quality.plot(distances_of(*some)[:0], {**spec, "costs": {}}),
    ):
        assert words(figure) == ["no data"]
    figure = comparisons.plot(differences_of(*some), spec, "Phantom lung")
    assert words(figure) == ["Phantom lung: fewer than two models to compare"]


PROGRAMS = ["reliability", "ged_by_votes", "risk_coverage", "comparisons", "cost_against_quality"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_write_the_same_bytes_each_time(tmp_path, monkeypatch, program):
    some = ["lung", "skin"], MODELS[:3]
    tables = {
        "reliability": {"bins": reliability_of(*some), "errors": errors_of(*some)},
        "ged_by_votes": {"table": votes_of(*some)},
        "risk_coverage": {"table": curves_of(*some)},
        "comparisons": {"table": differences_of(*some)},
        "cost_against_quality": {"summary": distances_of(*some)},
    }[program]
    options = {"dataset": "lung"} if program == "comparisons" else {}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        options[name] = tmp_path / f"{name}.csv"
    module = importlib.import_module(f"segunc.figures.{program}")
    written = []
    for folder in ("first", "second"):
        png, pdf = tmp_path / folder / "figure.png", tmp_path / folder / "figure.pdf"
        run(module, monkeypatch, spec=json.dumps(costs_for(MODELS[:3])), **options, png=png, pdf=pdf)
        written.append((png.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1] and written[0][0].startswith(b"\x89PNG")
