import subprocess
import sys
from math import isnan

import h5py
import numpy as np
import pytest
from helpers.study import (
    SHAPE,
    energy_distances,
    random_draws,
    read_images,
    read_pixels,
    run,
    write_dataset,
    write_samples,
)

from segunc.evaluation.predictions import Prediction
from segunc.evaluation.scores import BINS, COLUMNS, GROUPS, HISTOGRAM_COLUMNS, entropy_histograms, score
from segunc.metrics.overlap import dice, iou, soft_dice_loss
from segunc.metrics.probability import cross_entropy, truth_rmse
from segunc.metrics.registry import METRICS
from segunc.metrics.uncertainty import entropy, error_auroc
from segunc.stages import evaluate

NAMED = {"dataset": "lidc", "model": "prob_unet", "seed": 3}


def evaluated(folder, monkeypatch, draws=None, kind="independent", **dataset):
    records = write_dataset(folder / "lidc.h5", **dataset)
    draws = random_draws(len(records)) if draws is None else draws
    write_samples(folder / "samples.h5", [r.image_id for r in records], draws, kind)
    out = {"images": folder / "out" / "images.csv", "pixels": folder / "out" / "pixels.csv.gz"}
    run(
        evaluate,
        monkeypatch,
        data=folder / "lidc.h5",
        samples=folder / "samples.h5",
        **NAMED,
        scores=list(out.values()),
    )
    return records, draws, out


def test_every_score_is_that_of_the_samples_and_the_existing_annotations(tmp_path, monkeypatch):
    records, draws, out = evaluated(tmp_path, monkeypatch, truth=True, missing={(3, 1), (4, 0)})
    rows = read_images(out["images"])
    assert [row["image_id"] for row in rows] == [r.image_id for r in records]
    for row, record, d in zip(rows, records, draws, strict=True):
        annotations = np.stack([mask for mask in record.masks if mask is not None])
        mean = d.mean(axis=0).astype(np.float32)
        uncertainty = entropy(d.mean(axis=0)).astype(np.float16)
        expected = energy_distances(d > 0.5, annotations, exact=False) | {
            "soft_dice_loss": soft_dice_loss(mean, annotations),
            "dice": dice(mean > 0.5, annotations),
            "iou": iou(mean > 0.5, annotations),
            "cross_entropy": cross_entropy(mean, annotations),
            "error_auroc": error_auroc(uncertainty, mean > 0.5, annotations),
            "truth_rmse": truth_rmse(mean, record.probability.astype(np.float16)),
            "annotators": len(annotations),
            "votes": sum(a.any() for a in annotations),
            "foreground": annotations.mean(),
            "seed": 3,
        }
        assert set(METRICS) <= set(expected)
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-8, abs=1e-12, nan_ok=True)
        assert (row["dataset"], row["model"]) == ("lidc", "prob_unet")
        assert (row["group_id"], row["patient_id"]) == (record.group_id, record.patient_id)
    assert [row["annotators"] for row in rows] == [4, 4, 4, 3, 3, 4]
    assert [row["votes"] for row in rows] == [0, 1, 2, 2, 3, 4]


def test_columns_are_in_the_order_of_the_contract(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    header = out["images"].read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
    assert header.endswith(
        ",entropy_tp,entropy_fp,entropy_fn,entropy_tn,pixels_tp,pixels_fp,pixels_fn,pixels_tn"
        ",entropy_agree,entropy_somewhat,entropy_disagree,pixels_agree,pixels_somewhat,pixels_disagree"
    )
    assert all(tuple(row) == HISTOGRAM_COLUMNS for row in read_pixels(out["pixels"]))


def test_histograms_add_up_to_the_pixels_and_their_entropies(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    counts = {}
    for row in read_pixels(out["pixels"]):
        assert int(row["pixels"]) > 0
        assert 0 <= int(row["bin"]) < BINS
        counts.setdefault((row["image_id"], row["group"]), {})[int(row["bin"])] = int(row["pixels"])
    for row in read_images(out["images"]):
        assert row["pixels_agree"] + row["pixels_somewhat"] + row["pixels_disagree"] == SHAPE[0] * SHAPE[1]
        for group in GROUPS:
            bins = counts.get((row["image_id"], group), {})
            assert sum(bins.values()) == row[f"pixels_{group}"]
            if bins:
                middle = sum((b + 0.5) / BINS * n for b, n in bins.items()) / sum(bins.values())
                assert row[f"entropy_{group}"] == pytest.approx(middle, abs=0.5 / BINS + 1e-6)
            else:
                assert isnan(row[f"entropy_{group}"])


def test_groups_by_hand():
    annotations = np.zeros((4, 1, 6), np.uint8)
    annotations[:, 0, 0] = annotations[:, 0, 1] = 1  # all mark them
    annotations[0, 0, 2] = 1  # 1 to 3
    annotations[:2, 0, 3] = 1  # 2 to 2
    p = np.array([[0.9, 0.1, 0.9, 0.9, 0.8, 0.2]])
    h = np.array([[0.1, 0.2, 0.3, 0.4, 1.0, 0.049]])
    prediction = Prediction(np.repeat(p[None] > 0.5, 16, axis=0), p, h, exact=True)
    scores = score(prediction, annotations, None)
    expected = {"tp": 0.1, "fn": 0.2, "fp": 1.0, "tn": 0.049, "somewhat": 0.3, "disagree": 0.4}
    for group, value in expected.items():
        assert scores[f"entropy_{group}"] == pytest.approx(value)
        assert scores[f"pixels_{group}"] == 1
    assert scores["entropy_agree"] == pytest.approx((0.1 + 0.2 + 1.0 + 0.049) / 4)
    histograms = entropy_histograms(prediction, annotations)
    assert {g: np.flatnonzero(n).tolist() for g, n in histograms.items()} == {
        "tp": [2], "fn": [4], "fp": [19], "tn": [0], "somewhat": [6], "disagree": [8], "agree": [0, 2, 4, 19]
    }  # fmt: skip


def test_exactly_one_half_is_background():
    p = np.full((2, 2), 0.5)
    prediction = Prediction(np.zeros((16, 2, 2), bool), p, entropy(p), exact=True)
    assert score(prediction, np.zeros((1, 2, 2), bool), None)["dice"] == 1


def test_one_annotator_always_agrees(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch, annotators=1)
    for row in read_images(out["images"]):
        assert (row["annotators"], row["pixels_agree"]) == (1, SHAPE[0] * SHAPE[1])
        assert isnan(row["entropy_somewhat"]) and isnan(row["entropy_disagree"])
        assert row["ged_study_16"] == pytest.approx(row["ged_16"])
        assert isnan(row["truth_rmse"])


def test_exact_draws_need_no_correction(tmp_path, monkeypatch):
    """An ensemble of 4, whose draws go through its members."""
    members = np.tile(random_draws(6, draws=4), (1, 4, 1, 1))
    _, _, out = evaluated(tmp_path, monkeypatch, members, "exact")
    rows = read_images(out["images"])
    assert all(row["ged_u_16"] == row["ged_16"] == row["ged_4"] for row in rows)
    assert any(row["diversity"] > 0.2 for row in rows)
    independent = tmp_path / "independent"
    independent.mkdir()
    _, _, out = evaluated(independent, monkeypatch, members, "independent")
    assert any(row["ged_u_16"] < row["ged_16"] - 0.01 for row in read_images(out["images"]))


def test_same_scores_same_bytes(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    before = {name: path.read_bytes() for name, path in out.items()}
    assert before["pixels"][4:8] == bytes(4)  # no time in the gzip header
    _, _, out = evaluated(tmp_path, monkeypatch)
    assert {name: path.read_bytes() for name, path in out.items()} == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images.csv", "pixels.csv.gz"]


def broken_samples(path, records):
    """Samples files that do not fit, and what the user is told."""
    ids = [r.image_id for r in records]
    draws = random_draws(len(records))
    yield "other images (5) than the dataset's test split has (6)", lambda: write_samples(path, ids[1:], draws[1:])
    yield "or in another order", lambda: write_samples(path, ids[::-1], draws)
    yield "is damaged (Unable to synchronously open file (file signature not found)", lambda: path.write_text("no HDF5")
    yield "does not exist; run snakemake", lambda: path.unlink()
    yield "is damaged (", lambda: h5py.File(path, "w").close()
    diverged = draws.copy()
    diverged[1] = np.nan
    yield "diverged; train the model with a lower learning_rate.", lambda: write_samples(path, ids, diverged)


@pytest.mark.parametrize("case", range(6))
def test_samples_that_do_not_fit_get_one_sentence_and_leave_no_file(tmp_path, monkeypatch, case):
    records = write_dataset(tmp_path / "lidc.h5")
    samples = tmp_path / "samples.h5"
    samples.touch()
    said, break_it = list(broken_samples(samples, records))[case]
    break_it()
    out = {"images": tmp_path / "out" / "images.csv", "pixels": tmp_path / "out" / "pixels.csv.gz"}
    with pytest.raises(SystemExit) as stopped:
        run(evaluate, monkeypatch, data=tmp_path / "lidc.h5", samples=samples, **NAMED, scores=list(out.values()))
    assert str(stopped.value).startswith(f"segunc: {samples} ")
    assert said in str(stopped.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_it_imports_neither_torch_nor_pandas():
    stages = ", ".join(f"segunc.stages.{name}" for name in ("evaluate", "baselines", "baseline_threshold"))
    command = f"import sys, {stages}; print({{'torch', 'pandas', 'scipy'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
