import subprocess
import sys
from fractions import Fraction
from math import isnan

import h5py
import numpy as np
import pytest
from helpers import definitions
from helpers.study import (
    SHAPE,
    energy_distances,
    random_draws,
    read_images,
    read_pixels,
    run,
    score_files,
    write_dataset,
    write_samples,
)

from segunc.data.store import read_split, take
from segunc.evaluation.predictions import CUTS, Prediction, annotations_of, best_cut
from segunc.evaluation.scores import (
    BINS,
    CALIBRATION_COLUMNS,
    COLUMNS,
    FEWEST_PIXELS,
    GROUPS,
    HISTOGRAM_COLUMNS,
    entropy_histograms,
    inputs_of,
    score,
    score_image,
)
from segunc.metrics.overlap import dice, iou, soft_dice_loss
from segunc.metrics.probability import cross_entropy, truth_rmse
from segunc.metrics.uncertainty import entropy, error_auroc
from segunc.stages import evaluate

NAMED = {"dataset": "lidc", "model": "prob_unet", "seed": 3}


def evaluated(folder, monkeypatch, draws=None, kind="independent", **dataset):
    records = write_dataset(folder / "lidc.h5", **dataset)
    draws = random_draws(len(records)) if draws is None else draws
    write_samples(folder / "samples.h5", [r.image_id for r in records], draws, kind)
    out = score_files(folder / "out")
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
    # The validation images of these samples are the test images.
    validation = read_split(tmp_path / "lidc.h5", "val", 3)
    cut = best_cut(draws.mean(axis=1).astype(np.float16), validation)
    for i, (row, record, d) in enumerate(zip(rows, records, draws, strict=True)):
        annotations = np.stack([mask for mask in record.masks if mask is not None])
        mean, p = d.mean(axis=0).astype(np.float32), d.clip(1e-8, 1 - 1e-8)
        of_samples = entropy(d).mean(axis=0)
        maps = (
            entropy(mean),
            of_samples,
            entropy(mean) - of_samples,
            np.log(p).mean(axis=0),
            np.log(1 - p).mean(axis=0),
        )
        maps = [values.astype(np.float16).astype(np.float32) for values in maps]
        prediction = Prediction(d > 0.5, mean, maps[0], False, *maps[1:], cut)
        expected = score_image("lidc", "prob_unet", 3, read_split(tmp_path / "lidc.h5", "test", 3), i, prediction).row
        texts = {"dataset", "model", "image_id", "group_id", "patient_id"}
        assert {name: row[name] for name in texts} == {name: expected[name] for name in texts}
        numbers = {name: expected[name] for name in expected if name not in texts}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-7, nan_ok=True)
        uncertainty = maps[0]
        by_hand = energy_distances(d > 0.5, annotations, exact=False) | {
            "soft_dice_loss": soft_dice_loss(mean, annotations),
            "dice": dice(mean > 0.5, annotations),
            "iou_cut": iou(mean > cut, annotations),
            "cross_entropy": cross_entropy(mean, annotations),
            "error_auroc": error_auroc(uncertainty, mean > 0.5, annotations),
            "truth_rmse": truth_rmse(mean, record.probability.astype(np.float16)),
            "u_mean_mi": maps[2].mean(),
            "u_foreground_expected": maps[1][mean > 0.5].mean() if (mean > 0.5).any() else maps[1].max(),
            "u_patch_entropy": uncertainty.mean(),  # the images are smaller than the patch
            "annotators": len(annotations),
            "votes": sum(a.any() for a in annotations),
            "foreground": annotations.mean(),
            "seed": 3,
        }
        assert {name: row[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-5, abs=1e-7, nan_ok=True)
    assert [row["annotators"] for row in rows] == [4, 4, 4, 3, 3, 4]
    assert [row["votes"] for row in rows] == [0, 1, 2, 2, 3, 4]
    assert cut != 0.5 and any(row["dice"] < row["dice_cut"] for row in rows)


OF_SAMPLES = {"s_ncc", "coupling_gain", "diversity", "hm_iou", "d_max", "d_max_sample", "u_pairwise"}
OF_SAMPLES |= {name for name in COLUMNS if name.startswith("ged_") and name != "ged_levels"}
UNKNOWN = {"s_ncc"} | {name for name in COLUMNS if name.startswith("u_") and name.endswith(("_expected", "_mi"))}


def test_level_sets_are_judged_as_samples_and_have_all_else_from_their_model(tmp_path, monkeypatch):
    records, draws, out = evaluated(tmp_path, monkeypatch, truth=True)
    rows, of_levels = read_images(out["images"]), read_images(out["levels"])
    assert out["levels"].read_text().splitlines()[0] == ",".join(COLUMNS)
    for row, levels, record, d in zip(rows, of_levels, records, draws, strict=True):
        assert levels["model"] == "prob_unet+levels"
        same = set(COLUMNS) - OF_SAMPLES - UNKNOWN - {"model"}
        assert {name: levels[name] for name in same} == pytest.approx({name: row[name] for name in same}, nan_ok=True)
        masks = np.stack([d.mean(axis=0).astype(np.float32) > (i + 0.5) / 16 for i in range(16)])
        prediction = Prediction(masks, masks.mean(axis=0), None, exact=True)
        expected = score(inputs_of(prediction, np.stack(record.masks), None))
        own = {name: expected[name] for name in OF_SAMPLES - {"s_ncc"}}
        assert {name: levels[name] for name in own} == pytest.approx(own, rel=1e-6, abs=1e-9)
        assert levels["ged_u"] == row["ged_levels"] and levels["coupling_gain"] == 0
        assert all(isnan(levels[name]) for name in UNKNOWN)
    assert any(row["ged_u"] != levels["ged_u"] for row, levels in zip(rows, of_levels, strict=True))


def test_columns_are_in_the_order_of_the_contract(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    header = out["images"].read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
    assert header.endswith(
        ",u_mean_entropy,u_mean_expected,u_mean_mi,u_foreground_entropy,u_foreground_expected,u_foreground_mi"
        ",u_patch_entropy,u_patch_expected,u_patch_mi,u_pairwise"
        ",entropy_tp,entropy_fp,entropy_fn,entropy_tn,pixels_tp,pixels_fp,pixels_fn,pixels_tn"
        ",entropy_agree,entropy_somewhat,entropy_disagree,pixels_agree,pixels_somewhat,pixels_disagree"
        ",entropy_right,entropy_wrong,entropy_disputed,certain_tp,certain_tn,pixels_predicted"
    )
    assert all(tuple(row) == HISTOGRAM_COLUMNS for row in read_pixels(out["pixels"]))
    assert all(tuple(row) == CALIBRATION_COLUMNS for row in read_pixels(out["calibration"]))


def test_calibration_bins_are_those_of_the_error_per_image(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    gaps, pixels = {}, {}
    for row in read_pixels(out["calibration"]):
        assert int(row["pixels"]) > 0 and 0 <= int(row["bin"]) < 15
        assert int(row["bin"]) / 15 <= float(row["probability"]) / int(row["pixels"]) + 1e-9
        gap = abs(float(row["probability"]) - float(row["frequency"]))
        gaps[row["image_id"]] = gaps.get(row["image_id"], 0) + gap
        pixels[row["image_id"]] = pixels.get(row["image_id"], 0) + int(row["pixels"])
    assert set(pixels.values()) == {SHAPE[0] * SHAPE[1]}
    for row in read_images(out["images"]):
        assert gaps[row["image_id"]] / pixels[row["image_id"]] == pytest.approx(row["ece"], rel=1e-6)


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
                few = sum(bins.values()) < FEWEST_PIXELS
                expected = pytest.approx(np.nan if few else middle, abs=0.5 / BINS + 1e-6, nan_ok=True)
                assert row[f"entropy_{group}"] == expected
            else:
                assert isnan(row[f"entropy_{group}"])


def of(prediction, annotations):
    return score(inputs_of(prediction, annotations, None))


def test_groups_by_hand():
    annotations = np.zeros((4, 1, 6), np.uint8)
    annotations[:, 0, 0] = annotations[:, 0, 1] = 1  # all mark them
    annotations[0, 0, 2] = 1  # 1 to 3
    annotations[:2, 0, 3] = 1  # 2 to 2
    p = np.array([[0.9, 0.1, 0.9, 0.9, 0.8, 0.2]])
    h = np.array([[0.1, 0.2, 0.3, 0.4, 1.0, 0.049]])
    expected = {"tp": 0.1, "fn": 0.2, "fp": 1.0, "tn": 0.049, "somewhat": 0.3, "disagree": 0.4}
    for times, defined in ((9, False), (10, True)):
        tall = [np.repeat(values, times, axis=-2) for values in (p, h, annotations)]
        prediction = Prediction(np.repeat(tall[0][None] > 0.5, 16, axis=0), tall[0], tall[1], exact=True)
        scores = of(prediction, tall[2])
        for group, value in expected.items():
            assert scores[f"entropy_{group}"] == pytest.approx(value if defined else np.nan, nan_ok=True)
            assert scores[f"pixels_{group}"] == times
        assert scores["entropy_agree"] == pytest.approx((0.1 + 0.2 + 1.0 + 0.049) / 4)
        # Taken together, groups need no ten pixels.
        assert scores["entropy_right"] == pytest.approx((0.1 + 0.049) / 2)
        assert scores["entropy_wrong"] == pytest.approx((1.0 + 0.2) / 2)
        assert scores["entropy_disputed"] == pytest.approx((0.3 + 0.4) / 2)
        assert (scores["certain_tp"], scores["certain_tn"]) == (0, 1)
        histograms = entropy_histograms(inputs_of(prediction, tall[2], None))
        assert {g: np.flatnonzero(n).tolist() for g, n in histograms.items()} == {
            "tp": [2], "fn": [4], "fp": [19], "tn": [0], "somewhat": [6], "disagree": [8], "agree": [0, 2, 4, 19]
        }  # fmt: skip


def test_unions_weigh_pixels_and_may_be_empty():
    annotations = np.zeros((2, 1, 4), np.uint8)
    annotations[:, 0, 0] = 1
    h = np.array([[0.9, 0.1, 0.1, 0.01]])
    right = of(Prediction(annotations[:1] > 0, annotations[0].astype(float), h, exact=True), annotations)
    assert right["entropy_right"] == pytest.approx((0.9 + 0.1 + 0.1 + 0.01) / 4)
    assert isnan(right["entropy_wrong"]) and isnan(right["entropy_disputed"])
    assert (right["certain_tp"], right["certain_tn"]) == pytest.approx((0, 1 / 3))
    nothing = of(Prediction(annotations[:1] > 1, np.zeros((1, 4)), h, exact=True), annotations)
    assert isnan(nothing["certain_tp"]) and nothing["entropy_wrong"] == pytest.approx(0.9)


@pytest.mark.parametrize("images", [0, 1, 5])
def test_the_best_cut_is_the_best_of_all(tmp_path, images):
    write_dataset(tmp_path / "lidc.h5", images=max(images, 1), missing={(0, 1)})
    validation = take(read_split(tmp_path / "lidc.h5", "val", 0), np.arange(images))
    p = random_draws(5, seed=1, draws=1)[:images, 0]
    by_cut = {}
    for cut in CUTS:
        of_images = [mean_dice(p[i] > cut, annotations_of(validation, i)) for i in range(images)]
        by_cut[cut] = sum(of_images, start=Fraction(0))
    found = best_cut(p, validation)
    best = [cut for cut, total in by_cut.items() if total == max(by_cut.values())]
    assert found in best and abs(found - 0.5) <= min(abs(cut - 0.5) for cut in best) + 1e-9
    assert images > 0 or found == 0.5


def mean_dice(mask, annotations):
    return definitions.mean(definitions.dice(mask, annotation) for annotation in annotations)


def test_exactly_one_half_is_background():
    p = np.full((2, 2), 0.5)
    prediction = Prediction(np.zeros((16, 2, 2), bool), p, entropy(p), exact=True)
    scores = of(prediction, np.zeros((1, 2, 2), bool))
    assert scores["dice"] == scores["dice_cut"] == 1


def test_one_annotator_always_agrees(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch, annotators=1)
    for row in read_images(out["images"]):
        assert (row["annotators"], row["pixels_agree"]) == (1, SHAPE[0] * SHAPE[1])
        assert isnan(row["entropy_somewhat"]) and isnan(row["entropy_disagree"])
        assert row["ged_study_16"] == pytest.approx(row["ged_16"])
        assert isnan(row["annotator_distance"]) and isnan(row["ncc"]) and row["brier_floor"] == 0
        assert isnan(row["truth_rmse"])


def test_exact_draws_need_no_correction(tmp_path, monkeypatch):
    """An ensemble of 4, each of whose members is stored once."""
    members = random_draws(6, draws=4)
    _, _, out = evaluated(tmp_path, monkeypatch, members, "exact")
    rows = read_images(out["images"])
    assert all(row["ged_u"] == row["ged_64"] == row["ged_16"] == row["ged_4"] for row in rows)
    assert any(row["diversity"] > 0.2 for row in rows)
    independent = tmp_path / "independent"
    independent.mkdir()
    _, _, out = evaluated(independent, monkeypatch, members, "independent")
    assert any(row["ged_u"] < row["ged_64"] - 0.001 < row["ged_4"] - 0.01 for row in read_images(out["images"]))


def test_one_outcome_has_no_spread(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch, random_draws(6, draws=1), "exact")
    for row in read_images(out["images"]):
        assert row["ged_1"] == row["ged_64"] == row["ged_u"]
        assert row["diversity"] == row["u_pairwise"] == row["u_mean_mi"] == row["u_foreground_mi"] == 0
        assert row["u_mean_expected"] == row["u_mean_entropy"]


def test_same_scores_same_bytes(tmp_path, monkeypatch):
    _, _, out = evaluated(tmp_path, monkeypatch)
    before = {name: path.read_bytes() for name, path in out.items()}
    assert before["pixels"][4:8] == before["calibration"][4:8] == bytes(4)  # no time in the gzip header
    _, _, out = evaluated(tmp_path, monkeypatch)
    assert {name: path.read_bytes() for name, path in out.items()} == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "calibration.csv.gz",
        "images.csv",
        "levels.csv",
        "pixels.csv.gz",
    ]


def broken_samples(path, records):
    """Samples files that do not fit, and what the user is told."""
    ids = [r.image_id for r in records]
    draws = random_draws(len(records))
    yield "other images (5) than the dataset has for test (6)", lambda: write_samples(path, ids[1:], draws[1:])
    yield "or in another order", lambda: write_samples(path, ids[::-1], draws)
    yield "other images (5) than the dataset has for validation (6)", lambda: of_other_validation(path, ids, draws)
    yield "is damaged (Unable to synchronously open file (file signature not found)", lambda: path.write_text("no HDF5")
    yield "does not exist; run snakemake", lambda: path.unlink()
    yield "is damaged (", lambda: h5py.File(path, "w").close()
    diverged = draws.copy()
    diverged[1] = np.nan
    yield "diverged; train the model with a lower learning_rate.", lambda: write_samples(path, ids, diverged)


def of_other_validation(path, ids, draws):
    write_samples(path, ids, draws)
    with h5py.File(path, "a") as file:
        del file["validation_image_id"]
        file["validation_image_id"] = ids[1:]


@pytest.mark.parametrize("case", range(7))
def test_samples_that_do_not_fit_get_one_sentence_and_leave_no_file(tmp_path, monkeypatch, case):
    records = write_dataset(tmp_path / "lidc.h5")
    samples = tmp_path / "samples.h5"
    samples.touch()
    said, break_it = list(broken_samples(samples, records))[case]
    break_it()
    out = score_files(tmp_path / "out")
    with pytest.raises(SystemExit) as stopped:
        run(evaluate, monkeypatch, data=tmp_path / "lidc.h5", samples=samples, **NAMED, scores=list(out.values()))
    assert str(stopped.value).startswith(f"segunc: {samples} ")
    assert said in str(stopped.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_it_imports_neither_torch_nor_pandas():
    stages = ", ".join(f"segunc.stages.{name}" for name in ("evaluate", "baselines"))
    command = f"import sys, {stages}; print({{'torch', 'pandas'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
