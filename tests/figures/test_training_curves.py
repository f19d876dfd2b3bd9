"""The figure of training histories: what it shows, and whether it can be read."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from helpers.figures import LONG, NARROW, WIDTH, assert_readable, legend_of, spec_of, titles_of, words
from helpers.study import run

from segunc.figures import training_curves
from segunc.figures.training_curves import Run

MODELS = {"unet": "U-Net", "ensemble": "Ensemble", "prob_unet": "Probabilistic U-Net"}
LABELS = {"datasets": {"lung": "Phantom lung"}, "models": MODELS}
PANELS = ["Training loss", "Validation cross-entropy", "Validation GED²"]


def history(level: float = 1.0, latent: int = 0, rows: int = 5, every: int = 50) -> pd.DataFrame:
    """A falling one; the level is that of all its values but KL."""
    step = every * np.arange(1, rows + 1)
    falling = level / np.arange(1, rows + 1)
    columns = {"step": step, "train_loss": falling, "val_cross_entropy": falling / 2, "val_ged": falling / 3}
    return pd.DataFrame(columns | {f"kl_{k}": np.linspace(0, k, rows) for k in range(latent)})


def histories(seeds: int, latent: int = 6, **of_all: int) -> dict[Run, pd.DataFrame]:
    runs = itertools.product(("unet", "ensemble", "prob_unet"), range(seeds))
    return {of: history(1 + of[1], latent if of[0] == "prob_unet" else 0, **of_all) for of in runs}


def lines(axes) -> list[list[list[float]]]:
    return [[line.get_xdata().tolist(), line.get_ydata().tolist()] for line in axes.get_lines()]


def test_every_run_and_latent_dimension_is_a_line() -> None:
    runs = histories(2)
    figure = training_curves.plot(runs, [], spec_of(LABELS), "Phantom lung")
    assert titles_of(figure) == [*PANELS, "Probabilistic U-Net"]
    for axes, column in zip(figure.axes, ["train_loss", "val_cross_entropy", "val_ged"], strict=False):
        assert lines(axes) == [[rows["step"].tolist(), rows[column].tolist()] for rows in runs.values()]
    latent = figure.axes[3]
    shown = [
        [rows["step"].tolist(), rows[f"kl_{k}"].tolist()]
        for of, rows in runs.items()
        for k in range(6)
        if "kl_0" in rows
    ]
    assert lines(latent) == shown
    colours = dict(legend_of(figure))
    assert [line.get_color() for line in figure.axes[0].get_lines()] == [colours[MODELS[model]] for model, _ in runs]
    assert {line.get_color() for line in latent.get_lines()} == {colours["Probabilistic U-Net"]}


@pytest.mark.parametrize(
    ("label", "rows", "every"),
    [("Lung", 1, 250), ("Lung", 5, 50), ("Lung", 40, 142_000), *((label, 5, 50) for label in LONG)],
)
def test_it_is_readable(monkeypatch: pytest.MonkeyPatch, label: str, rows: int, every: int) -> None:
    for i, name in enumerate(MODELS):
        monkeypatch.setitem(MODELS, name, f"{label}{i}")
    some = histories(3, rows=rows, every=every)
    missing = [some.popitem()[0], ("unet", 7)]
    flat = {
        of: table * [1, *[0] * (table.shape[1] - 1)] + [0, *[0.1] * (table.shape[1] - 1)] for of, table in some.items()
    }
    without = {of: table for of, table in some.items() if of[0] != "prob_unet"}
    figures = {"some": some, "flat": flat, "no latent space": without}
    for width in (WIDTH, NARROW):
        spec = spec_of(LABELS, width=width)
        assert_readable({name: training_curves.plot(of, missing, spec, label) for name, of in figures.items()}, width)


def test_many_latent_models_take_several_rows() -> None:
    runs = {(f"model{i}", 0): history(latent=2) for i in range(5)}
    figure = training_curves.plot(runs, [], spec_of({}), "lung")
    assert titles_of(figure) == [*PANELS, *(f"model{i}" for i in range(5))]
    assert_readable({"five": figure})


def test_missing_runs_are_named_and_keep_their_colours() -> None:
    whole = histories(2)
    missing = [("unet", 0), ("unet", 1), ("prob_unet", 1)]
    figure = training_curves.plot(
        {of: whole[of] for of in whole if of not in missing}, missing, spec_of(LABELS), "lung"
    )
    assert legend_of(figure) == legend_of(training_curves.plot(whole, [], spec_of(LABELS), "lung"))
    note = " ".join(word for word in words(figure) if word.startswith("no data"))
    assert all(name in note for name in ("U-Net (seed 0)", "U-Net (seed 1)", "Probabilistic U-Net (seed 1)"))
    assert words(training_curves.plot({}, missing, spec_of(LABELS), "lung")) == ["no data"]


def test_the_program_reads_histories_in_the_order_of_the_runs(tmp_path, monkeypatch) -> None:
    runs = histories(2)
    paths = [tmp_path / f"{model}{seed}.csv" for model, seed in runs]
    for path, table in zip(paths, runs.values(), strict=True):
        table.to_csv(path, index=False)
    saved = []
    monkeypatch.setattr(training_curves.style, "save", lambda figure, png, pdf: saved.append(figure))
    spec = json.dumps(spec_of(LABELS, runs=list(runs), missing=[("unet", 2)]))
    where = {"png": tmp_path / "a.png", "pdf": tmp_path / "a.pdf"}
    run(training_curves, monkeypatch, dataset="lung", spec=spec, histories=paths, **where)
    expected = training_curves.plot(runs, [("unet", 2)], spec_of(LABELS), "Phantom lung")
    assert words(saved[0]) == words(expected)
    assert [lines(axes) for axes in saved[0].axes] == [lines(axes) for axes in expected.axes]
