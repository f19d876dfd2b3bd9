from math import isnan

import numpy as np
import pytest
from helpers import definitions
from helpers.study import (
    SHAPE,
    blob,
    read_images,
    read_pixels,
    run,
    score_files,
    write_dataset,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segunc.data.store import Images
from segunc.evaluation.baselines import annotator, blind, empty, readings
from segunc.evaluation.predictions import CUTS
from segunc.evaluation.scores import SCORES, inputs_of, score
from segunc.metrics.overlap import dice
from segunc.metrics.probability import brier_floor, cross_entropy
from segunc.metrics.registry import ENERGY_DISTANCES
from segunc.stages import baselines


def of(prediction, annotations, truth=None):
    return score(inputs_of(prediction, annotations, truth))


def images(masks, annotated=None):
    """A split of these masks, (N, A, H, W)."""
    annotated = np.ones(masks.shape[:2], bool) if annotated is None else annotated
    names = np.array([str(i) for i in range(len(masks))])
    return Images(np.zeros((len(masks), 1, *SHAPE), np.uint8), masks, annotated, names, names, names, None)


ONE = images(blob(2)[None, None])
NONE = images(np.zeros((0, 1, *SHAPE), np.uint8))


def test_empty_set_by_hand():
    prediction = empty(SHAPE)
    of_empty = of(prediction, np.zeros((4, *SHAPE), np.uint8))
    assert (of_empty["ged_16"], of_empty["dice"], of_empty["soft_dice_loss"]) == (0, 1, 0)
    of_marked = of(prediction, np.repeat(blob(2)[None], 4, axis=0))
    assert (of_marked["ged_16"], of_marked["dice"], of_marked["pixels_fn"]) == (2, 0, 12)
    # Two empty annotations of four: 2 * 0.5 - D, D = 8 of 16 pairs.
    assert of(prediction, np.stack([blob(0), blob(0), blob(2), blob(2)]))["ged_16"] == 0.5


@pytest.mark.parametrize("prediction", [empty(SHAPE), blind(ONE, NONE)])
def test_masks_that_are_no_probabilities_are_not_judged_as_such(prediction):
    scores = of(prediction, np.stack([blob(1), blob(2)]), truth=np.full(SHAPE, 0.5))
    of_probability = {"ncc", "s_ncc", "cross_entropy", "brier", "ece", "error_auroc", "error_auroc_band", "truth_rmse"}
    of_probability |= {name for name in SCORES if name.startswith(("entropy_", "u_", "certain_"))} - {"u_pairwise"}
    assert {name for name in SCORES if isnan(scores[name])} == of_probability


def test_blind_masks_have_the_training_areas_at_the_most_frequent_pixels():
    radii = [0, 1, 1, 2, 3, 4]
    masks = np.stack([[blob(r), blob(r + 1) if r else blob(0)] for r in radii])
    annotated = np.ones((6, 2), bool)
    annotated[5, 1] = False
    masks[5, 1] = 0
    prediction = blind(images(masks, annotated), NONE)
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
    assert blind(images(masks, annotated), NONE).masks.sum(axis=(1, 2)).tolist() == [12] * 16


def test_blind_is_cut_where_the_validation_images_are_marked():
    """The training areas are from 4 to 60 pixels, so that each validation mask is another level of the map."""
    train = images(np.stack([[blob(radius)] for radius in (1, 1.5, 2, 2.5, 3, 3.5, 4, 5)]))
    cuts = [blind(train, images(blob(radius)[None, None])).cut for radius in (1, 2, 3, 4)]
    assert cuts == sorted(cuts, reverse=True) and len(set(cuts)) == 4


@pytest.mark.parametrize("annotators", [2, 3, 4])
def test_annotator_is_the_average_of_each_against_the_others(annotators):
    annotations = np.stack([blob(1), blob(2), blob(0), blob(3)])[:annotators]
    scores = annotator(annotations)
    others = [np.delete(annotations, i, axis=0) for i in range(annotators)]
    assert scores["dice"] == scores["dice_cut"]
    assert scores["dice"] == pytest.approx(np.mean([dice(a, o) for a, o in zip(annotations, others, strict=True)]))
    assert scores["hm_iou"] == pytest.approx(scores["iou"])
    assert scores["diversity"] == 0
    assert isnan(scores["cross_entropy"])
    assert tuple(scores) == SCORES


@pytest.mark.parametrize("annotators", [2, 3, 4])
def test_energy_distances_of_an_annotator_are_those_of_one_more_annotator(annotators):
    """A fresh reader is expected to have 2 D_U - D, and D is (1 - 1 / A) D_U."""
    annotations = np.stack([blob(1), blob(2), blob(0), blob(3)])[:annotators]
    spread = float(definitions.different(annotations))
    scores = annotator(annotations)
    assert scores["annotator_distance"] == pytest.approx(spread)
    assert scores["brier_floor"] == pytest.approx(brier_floor(annotations))
    for name in {*ENERGY_DISTANCES} - {"ged_study_16"}:
        assert scores[name] == pytest.approx((1 + 1 / annotators) * spread), name
    assert scores["ged_study_16"] == pytest.approx((2 - 15 / 16 * (1 - 1 / annotators)) * spread)


def test_one_annotator_has_no_others():
    assert all(isnan(value) for value in annotator(blob(2)[None]).values())


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (4, 3, 3), elements=st.integers(0, 1)), arrays(np.float64, (3, 3), elements=st.floats(0, 1)))
def test_no_map_has_a_lower_cross_entropy_than_the_readings(annotations, other):
    scores = of(readings(annotations, 0.5), annotations)
    assert scores["cross_entropy"] <= cross_entropy(other, annotations) + 1e-6
    assert scores["brier"] == scores["brier_floor"]
    assert scores["ece"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("annotators", [1, 3, 4])
def test_readings_are_all_of_what_is_known(annotators):
    annotations = np.stack([blob(radius) for radius in range(1, annotators + 1)])
    scores = of(readings(annotations, 0.3), annotations)
    for name in ("ged_4", "ged_8", "ged_16", "ged_64", "ged_u"):
        assert scores[name] == pytest.approx(0, abs=1e-12)
    spread = float(definitions.mean_distance(annotations, annotations))
    assert scores["ged_1"] == scores["diversity"] == pytest.approx(spread)
    assert scores["hm_iou"] == scores["d_max"] == scores["d_max_sample"] == 1
    assert scores["dice_cut"] == dice(annotations.mean(axis=0) > 0.3, annotations)


def test_stage(tmp_path, monkeypatch):
    records = write_dataset(tmp_path / "d.h5", missing={(3, 1)}, truth=True)
    out = score_files(tmp_path)
    run(baselines, monkeypatch, data=tmp_path / "d.h5", dataset="d", seed=3, scores=list(out.values()))
    rows = read_images(out["images"])
    names = ["baseline_empty", "baseline_blind", "baseline_annotator", "baseline_readings"]
    assert [row["model"] for row in rows] == [name for name in names for _ in records]
    assert [row["image_id"] for row in rows] == [r.image_id for r in records] * 4
    assert {row["seed"] for row in rows} == {3}
    by_key = {(row["model"], row["image_id"]): row for row in rows}
    assert by_key["baseline_empty", "000"]["ged_16"] == 0
    assert by_key["baseline_annotator", "005"]["dice"] < 1
    of_readings = [row for row in rows if row["model"] == "baseline_readings"]
    for row in of_readings:
        assert row["truth_rmse"] < 1e-3  # the truth of this dataset is the frequency, in float16
        assert row["ged_16"] == pytest.approx(0, abs=1e-9)
    # The validation images have the same masks.
    of_images = [np.stack([mask for mask in record.masks if mask is not None]) for record in records]
    by_cut = [np.mean([dice(masks.mean(axis=0) > cut, masks) for masks in of_images]) for cut in CUTS]
    assert np.mean([row["dice_cut"] for row in of_readings]) == pytest.approx(max(by_cut))
    assert min(by_cut) < max(by_cut)
    for name in ("pixels", "calibration"):
        assert {row["model"] for row in read_pixels(out[name])} == {"baseline_readings"}
    assert read_images(out["levels"]) == []
    before = out["images"].read_bytes()
    run(baselines, monkeypatch, data=tmp_path / "d.h5", dataset="d", seed=3, scores=list(out.values()))
    assert out["images"].read_bytes() == before
