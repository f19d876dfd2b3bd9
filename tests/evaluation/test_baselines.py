from math import isnan

import numpy as np
import pytest
from helpers.study import (
    SHAPE,
    blob,
    energy_distances,
    random_draws,
    read_images,
    read_pixels,
    run,
    write_dataset,
    write_samples,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.evaluation.baselines import LEVELS, annotator, blind, empty, oracle, threshold
from segunc.evaluation.predictions import Prediction
from segunc.evaluation.scores import SCORES, score
from segunc.metrics.overlap import dice, pairwise_iou
from segunc.metrics.probability import cross_entropy
from segunc.stages import baseline_threshold, baselines


def test_empty_set_by_hand():
    prediction = empty(SHAPE)
    of_empty = score(prediction, np.zeros((4, *SHAPE), np.uint8), None)
    assert (of_empty["ged_16"], of_empty["dice"], of_empty["soft_dice_loss"]) == (0, 1, 0)
    of_marked = score(prediction, np.repeat(blob(2)[None], 4, axis=0), None)
    assert (of_marked["ged_16"], of_marked["dice"], of_marked["pixels_fn"]) == (2, 0, 12)
    # Two empty annotations of four: 2 * 0.5 - D, D = 8 of 16 pairs.
    assert score(prediction, np.stack([blob(0), blob(0), blob(2), blob(2)]), None)["ged_16"] == 0.5


@pytest.mark.parametrize("prediction", [empty(SHAPE), blind(blob(2)[None, None], np.ones((1, 1), bool))])
def test_masks_that_are_no_probabilities_are_not_judged_as_such(prediction):
    scores = score(prediction, np.stack([blob(1), blob(2)]), truth=np.full(SHAPE, 0.5))
    for name in SCORES:
        undefined = name in ("cross_entropy", "error_auroc", "truth_rmse") or name.startswith("entropy_")
        assert isnan(scores[name]) == undefined


def test_blind_masks_have_the_training_areas_at_the_most_frequent_pixels():
    radii = [0, 1, 1, 2, 3, 4]
    masks = np.stack([[blob(r), blob(r + 1) if r else blob(0)] for r in radii])
    annotated = np.ones((6, 2), bool)
    annotated[5, 1] = False
    masks[5, 1] = 0
    prediction = blind(masks, annotated)
    areas = [int(mask.sum()) for mask in masks.reshape(12, *SHAPE)[:11]]
    drawn = prediction.masks.sum(axis=(1, 2))
    np.testing.assert_array_equal(np.sort(drawn), np.rint(np.quantile(areas, (np.arange(16) + 0.5) / 16)))
    assert drawn.min() == 0 and (drawn > 0).sum() > 8
    frequency = masks.sum(axis=(0, 1))
    for mask in prediction.masks:
        assert not mask.any() or frequency[mask].min() >= frequency[~mask].max()
    assert prediction.exact
    np.testing.assert_allclose(prediction.probability, prediction.masks.mean(axis=0))


def test_blind_does_not_count_slots_that_do_not_exist():
    masks, annotated = np.zeros((5, 4, *SHAPE), np.uint8), np.zeros((5, 4), bool)
    masks[:, 0], annotated[:, 0] = blob(2), True
    assert blind(masks, annotated).masks.sum(axis=(1, 2)).tolist() == [12] * 16


def test_annotator_is_the_average_of_each_against_the_others():
    annotations = np.stack([blob(1), blob(2), blob(0), blob(3)])
    scores = annotator(annotations)
    expected = {"ged_16": [], "dice": []}
    for i in range(4):
        others = annotations[[j for j in range(4) if j != i]]
        alone = np.repeat(annotations[i : i + 1], 16, axis=0)
        expected["ged_16"].append(energy_distances(alone, others, exact=True)["ged_16"])
        expected["dice"].append(dice(annotations[i], others))
    assert scores["ged_16"] == pytest.approx(np.mean(expected["ged_16"]))
    assert scores["dice"] == pytest.approx(np.mean(expected["dice"]))
    for same in ("ged_1", "ged_4", "ged_8", "ged_u_16"):
        assert scores[same] == pytest.approx(scores["ged_16"])
    assert scores["diversity"] == 0
    assert isnan(scores["cross_entropy"])
    assert tuple(scores) == SCORES


def test_one_annotator_has_no_others():
    assert all(isnan(value) for value in annotator(blob(2)[None]).values())


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (4, 3, 3), elements=st.integers(0, 1)), arrays(np.float64, (3, 3), elements=st.floats(0, 1)))
def test_no_map_has_a_lower_cross_entropy_than_the_oracle(annotations, other):
    prediction = oracle(annotations, np.random.default_rng(0))
    assert score(prediction, annotations, None)["cross_entropy"] <= cross_entropy(other, annotations) + 1e-6


@pytest.mark.parametrize("annotators", [3, 4])
def test_oracle_is_a_perfect_model_with_independent_draws(annotators):
    annotations = np.stack([blob(radius) for radius in range(1, annotators + 1)])
    generator = np.random.default_rng(0)
    runs = [oracle(annotations, generator) for _ in range(300)]
    assert not any(run.exact for run in runs)
    scores = [score(run, annotations, None) for run in runs]
    unbiased = [one["ged_u_16"] for one in scores]
    assert abs(np.mean(unbiased)) < 4 * np.std(unbiased) / np.sqrt(300)
    diversity = (1 - pairwise_iou(annotations, annotations)).mean()
    for n in (1, 4, 16):
        values = [one[f"ged_{n}"] for one in scores]
        assert abs(np.mean(values) - diversity / n) < 4 * np.std(values) / np.sqrt(300) + 1e-9
    drawn = np.mean([[(mask == a).all() for a in annotations] for run in runs for mask in run.masks], axis=0)
    np.testing.assert_allclose(drawn, 1 / annotators, atol=0.04)
    np.testing.assert_allclose(runs[0].probability, annotations.mean(axis=0))


def test_levels_are_the_midpoints_and_spread_in_every_block():
    np.testing.assert_array_equal(np.sort(LEVELS), (np.arange(16) + 0.5) / 16)
    for n in (4, 8):
        for block in LEVELS.reshape(-1, n):
            assert np.floor(np.sort(block) * n).tolist() == list(range(n))


def test_thresholds_are_nested_and_average_to_the_map():
    p = random_draws(1)[0, 0].astype(np.float32)
    unet = Prediction(np.repeat(p[None] > 0.5, 16, axis=0), p, p * 0, exact=True)
    prediction = threshold(unet)
    ascending = prediction.masks[np.argsort(LEVELS)]
    assert np.all(ascending[:-1] >= ascending[1:])
    assert ascending[0].sum() > ascending[-1].sum() > 0
    np.testing.assert_allclose(prediction.masks.mean(axis=0), p, atol=1 / 32 + 1e-6)
    assert prediction.exact
    assert prediction.probability is p and prediction.uncertainty is unet.uncertainty


def test_stage_without_samples(tmp_path, monkeypatch):
    records = write_dataset(tmp_path / "d.h5", missing={(3, 1)}, truth=True)
    out = {"images": tmp_path / "images.csv", "pixels": tmp_path / "pixels.csv.gz"}
    run(baselines, monkeypatch, data=tmp_path / "d.h5", dataset="d", scores=list(out.values()))
    rows = read_images(out["images"])
    names = ["baseline_empty", "baseline_blind", "baseline_annotator", "baseline_oracle"]
    assert [row["model"] for row in rows] == [name for name in names for _ in records]
    assert [row["image_id"] for row in rows] == [r.image_id for r in records] * 4
    assert {row["seed"] for row in rows} == {0}
    by_key = {(row["model"], row["image_id"]): row for row in rows}
    assert by_key["baseline_empty", "000"]["ged_16"] == 0
    assert by_key["baseline_annotator", "005"]["dice"] < 1
    for row in rows:
        if row["model"] == "baseline_oracle":
            assert row["truth_rmse"] < 1e-3  # the truth of this dataset is the frequency, in float16
            assert -1e-12 <= row["ged_16"] <= row["ged_1"] + 1e-12
    assert {row["model"] for row in read_pixels(out["pixels"])} == {"baseline_oracle"}
    before = out["images"].read_bytes()
    run(baselines, monkeypatch, data=tmp_path / "d.h5", dataset="d", scores=list(out.values()))
    assert out["images"].read_bytes() == before


def test_stage_with_the_unets_samples(tmp_path, monkeypatch):
    records = write_dataset(tmp_path / "d.h5")
    p = np.repeat(random_draws(6, draws=1), 16, axis=1)
    write_samples(tmp_path / "unet.h5", [r.image_id for r in records], p, "exact")
    out = {"images": tmp_path / "images.csv", "pixels": tmp_path / "pixels.csv.gz"}
    named = {"data": tmp_path / "d.h5", "samples": tmp_path / "unet.h5", "dataset": "d", "seed": 2}
    run(baseline_threshold, monkeypatch, **named, scores=list(out.values()))
    rows = read_images(out["images"])
    assert {(row["model"], row["seed"]) for row in rows} == {("baseline_threshold", 2)}
    for row, record, draws in zip(rows, records, p, strict=True):
        annotations = np.stack(record.masks)
        masks = draws[0].astype(np.float32) > LEVELS[:, None, None]
        assert row["ged_16"] == pytest.approx(energy_distances(masks, annotations, exact=True)["ged_16"], rel=1e-8)
        assert row["dice"] == pytest.approx(dice(draws[0] > 0.5, annotations))
        assert not isnan(row["cross_entropy"])
    assert read_pixels(out["pixels"])


def test_samples_and_seed_go_together(monkeypatch, capsys):
    named = {"data": "d.h5", "dataset": "d", "scores": ["images.csv", "pixels.csv.gz"]}
    with pytest.raises(SystemExit):
        run(baseline_threshold, monkeypatch, samples="unet.h5", **named)
    assert "required: --seed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(baselines, monkeypatch, samples="unet.h5", seed=2, **named)
    assert "unrecognized arguments: --samples" in capsys.readouterr().err
