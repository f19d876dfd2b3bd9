"""Results of a run as arrays: against the files themselves, and what is said about what is not there."""

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers.workflow import Study

import segunc
from segunc.metrics.registry import METRICS

RUN = ("phantom_lung", "mc_dropout", 0)


@pytest.fixture
def results(study: Study) -> segunc.Results:
    return segunc.load(study.folder / "results")


def test_runs_are_those_of_the_grid(results: segunc.Results) -> None:
    cells = [(dataset, model, 0) for dataset in ("lidc", "phantom_lung") for model in ("mc_dropout", "unet")]
    assert results.networks == cells
    assert [results.exact(*cell) for cell in cells] == [False, True, False, True]


def test_arrays_are_those_of_the_files(results: segunc.Results) -> None:
    dataset, model, seed = RUN
    ids = results.test_images(*RUN)
    with h5py.File(results.folder / f"samples/{dataset}/{model}/seed{seed}.h5", locking=False) as file:
        packed, means = file["samples"][:], file["mean_probability"][:]
        assert ids == file["image_id"].asstr()[:].tolist()
    for i, image_id in enumerate(ids):
        samples = results.samples(*RUN, image_id)
        assert samples.dtype == bool and samples.shape == (16, 32, 32)
        assert np.array_equal(np.packbits(samples.reshape(16, -1), axis=-1), packed[i])
        mean = results.mean(*RUN, image_id)
        assert mean.dtype == np.float32 and np.array_equal(mean, means[i])
    with h5py.File(results.folder / f"data/{dataset}.h5", locking=False) as file:
        stored = file["image_id"].asstr()[:].tolist()
        for image_id in ids:
            at = stored.index(image_id)
            image, annotations = results.image(dataset, image_id), results.annotations(dataset, image_id)
            assert image.dtype == np.uint8 and np.array_equal(image, file["images"][at])
            assert annotations.dtype == bool and np.array_equal(annotations, file["masks"][at][file["annotated"][at]])


def test_tables_have_text_where_text_belongs(results: segunc.Results) -> None:
    scores, summary = results.scores(*RUN), results.summary
    assert scores["image_id"].tolist() == results.test_images(*RUN)
    assert all(isinstance(value, str) for value in scores["patient_id"])
    assert all(pd.api.types.is_float_dtype(scores[name]) for name in METRICS)
    assert set(summary["metric"]) >= {"ged_u", "dice"} and pd.api.types.is_float_dtype(summary["mean"])
    assert len(results.scores("phantom_lung", "baselines", 0)) > len(scores)
    assert scores["ged_u"].mean() == pytest.approx(
        summary.set_index(["dataset", "model", "metric"])["mean"]["phantom_lung", "mc_dropout", "ged_u"]
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda of: of.samples("mars", "unet", 0, "a"), "samples has no dataset 'mars', but lidc, phantom_lung; name"),
        (lambda of: of.mean("lidc", "vit", 0, "a"), "samples/lidc has no model 'vit', but mc_dropout, unet; name one"),
        (lambda of: of.exact("lidc", "unet", 7), "samples/lidc/unet has no seed 7, but 0; name one of these."),
        (
            lambda of: of.scores("lidc", "vit", 0),
            "has no model 'vit', but baselines, mc_dropout, unet; name",
        ),
        (lambda of: of.scores("lidc", "unet", 7), "scores/lidc/unet has no seed 7, but 0; name one of these."),
        (lambda of: of.image("mars", "a"), "data has no dataset 'mars', but lidc, phantom_lung; name one of these."),
        (lambda of: of.samples(*RUN, "nobody"), "mc_dropout/seed0.h5 has no image 'nobody', but "),
        (lambda of: of.annotations("lidc", "nobody"), "data/lidc.h5 has no image 'nobody', but "),
    ],
)
def test_what_is_not_there_is_named_with_what_is(results: segunc.Results, call, sentence: str) -> None:
    with pytest.raises(segunc.UserError) as error:
        call(results)
    assert sentence in str(error.value) and str(error.value).endswith("; name one of these.")


def test_other_folders_and_unfinished_runs(tmp_path) -> None:
    with pytest.raises(segunc.UserError, match="is not a results folder, because it has no folder data; name that of"):
        segunc.load(tmp_path)
    (tmp_path / "data").mkdir()
    results = segunc.load(tmp_path)
    assert results.networks == [] and repr(results) == f"segunc.load('{tmp_path}')"
    with pytest.raises(segunc.UserError, match="data has no dataset 'lidc', but nothing; name one of these"):
        results.image("lidc", "a")
    with pytest.raises(segunc.UserError, match=r"summary\.csv does not exist; run snakemake, which makes it\."):
        results.summary  # noqa: B018
