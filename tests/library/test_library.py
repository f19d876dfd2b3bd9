"""The names that `segunc` offers: which there are, when they are imported, and that they are the metrics'."""

import importlib
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from helpers.workflow import ROOT

import segunc
from segunc import library
from segunc.metrics import calibration, correlation, ged, overlap, probability, uncertainty


def test_every_name_is_one_of_segunc() -> None:
    for name in library.__all__:
        assert getattr(segunc, name) is getattr(library, name), name
    with pytest.raises(AttributeError, match="module 'segunc' has no attribute 'gde'"):
        segunc.gde  # noqa: B018
    assert not hasattr(segunc, "_distances") and not hasattr(segunc, "measures")


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert segunc.__version__ == project["version"]


@pytest.mark.parametrize(
    ("program", "loaded", "absent"),
    [
        ("import segunc", set(), {"numpy", "pandas", "torch", "segunc.library"}),
        ("from segunc import cells", {"segunc.cells"}, {"numpy", "pandas", "torch", "segunc.library"}),
        ("from segunc import ged, load", {"segunc.library"}, {"torch", "snakemake", "matplotlib"}),
    ],
)
def test_nothing_is_imported_before_it_is_used(program: str, loaded: set[str], absent: set[str]) -> None:
    command = [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert loaded <= found and not absent & found


def test_no_job_depends_on_the_library() -> None:
    from segunc.runtime.code_digest import code

    assert "segunc" in code("segunc.stages.evaluate")
    assert not [name for name in code("segunc.stages.evaluate") if name.startswith("segunc.library")]


RNG = np.random.default_rng(0)
SAMPLES, ANNOTATIONS = RNG.random((20, 5, 7)) < 0.4, RNG.random((3, 5, 7)) < 0.4
P, U = RNG.random((5, 7)), RNG.random((5, 7))


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64])
def test_values_are_those_of_the_metrics(kind: type) -> None:
    samples, annotations, mask = SAMPLES.astype(kind), ANNOTATIONS.astype(kind), SAMPLES[0].astype(kind)
    for exact in (False, True):
        distances = ged.distances(SAMPLES, ANNOTATIONS, exact=exact)
        assert segunc.ged(samples, annotations, exact=exact) == ged.u_statistic(distances)
        assert segunc.ged(samples, annotations, n=16, exact=exact) == ged.v_statistic(distances, 16)
        assert segunc.diversity(samples, exact=exact) == pytest.approx(ged.diversity(distances))
        assert segunc.hm_iou(samples, annotations, exact=exact) == importlib.import_module(
            "segunc.metrics.matching"
        ).hm_iou(distances)
    assert segunc.dice(mask, annotations) == overlap.dice(SAMPLES[0], ANNOTATIONS)
    assert segunc.iou(mask, annotations) == overlap.iou(SAMPLES[0], ANNOTATIONS)
    assert segunc.cross_entropy(P, annotations) == probability.cross_entropy(P, ANNOTATIONS)
    assert segunc.brier(P, annotations) == probability.brier(P, ANNOTATIONS)
    assert segunc.ece(P, annotations) == calibration.ece(calibration.bins(P, ANNOTATIONS))
    assert segunc.ncc(U, annotations) == correlation.ncc(U, ANNOTATIONS)
    assert segunc.error_auroc(U, mask, annotations) == uncertainty.error_auroc(U, SAMPLES[0], ANNOTATIONS)


def test_maps_add_up() -> None:
    samples = RNG.random((4, 5, 7)).astype(np.float32)
    total, expected = segunc.predictive_entropy(samples), segunc.expected_entropy(samples)
    assert total == pytest.approx(segunc.entropy(samples.mean(axis=0)), abs=1e-6)
    assert expected == pytest.approx(np.mean([segunc.entropy(one) for one in samples], axis=0))
    assert segunc.mutual_information(samples) == pytest.approx(total - expected)
    assert not segunc.mutual_information(np.full((3, 2, 2), 0.3)).any()


HALVES = np.full((5, 7), 0.5)
MASK = SAMPLES[0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        # Masks that are none.
        (lambda: segunc.dice(P, ANNOTATIONS), "prediction has values of the type float64, but a mask is bool or has"),
        (lambda: segunc.dice(MASK.astype(float), ANNOTATIONS), "threshold probabilities first, as in prediction > 0.5"),
        (lambda: segunc.ged(SAMPLES * np.uint8(255), ANNOTATIONS), "samples has the values 0, 255, but a mask is bool"),
        (lambda: segunc.ged(SAMPLES, ANNOTATIONS * np.uint8(255)), "1; pass annotations > 127."),
        (lambda: segunc.iou(np.arange(35).reshape(5, 7), ANNOTATIONS), "the values 0, 1, 2, 3, ..., but a mask"),
        (lambda: segunc.iou(MASK.astype(str), ANNOTATIONS), "prediction has values of the type <U5, but a mask is"),
        # Probabilities that are none.
        (lambda: segunc.brier(MASK, ANNOTATIONS), "probability has values of the type bool, but probabilities are fl"),
        (lambda: segunc.brier((255 * P).astype(np.uint8), ANNOTATIONS), "and divide values up to 255 by 255."),
        (lambda: segunc.brier(8 * P - 4, ANNOTATIONS), "scale it, or apply the sigmoid to logits."),
        (lambda: segunc.ece(np.where(P > 0.5, np.nan, P), ANNOTATIONS), "probability has NaN, but probabilities are"),
        (lambda: segunc.predictive_entropy(SAMPLES), "samples has values of the type bool, but probabilities are fl"),
        (lambda: segunc.ncc(np.where(U > 0.5, np.inf, U), ANNOTATIONS), "uncertainty must have finite numbers, but"),
        (lambda: segunc.ncc(U.astype(str), ANNOTATIONS), "uncertainty must have finite numbers, but has NaN, infi"),
        # Other dimensions, nothing, and arrays that do not belong together.
        (lambda: segunc.dice(MASK, MASK), "annotations has the shape (5, 7), but must be (A, H, W); add the axis A, a"),
        (lambda: segunc.dice(SAMPLES, ANNOTATIONS), "prediction has the shape (20, 5, 7), but must be (H, W); reshape"),
        (lambda: segunc.ged(SAMPLES[:0], ANNOTATIONS), "samples is empty, with the shape (0, 5, 7); pass at least one"),
        (lambda: segunc.ged(SAMPLES, ANNOTATIONS.swapaxes(1, 2)), "annotations has the height and width (7, 5), but"),
        (lambda: segunc.error_auroc(U.T, MASK, ANNOTATIONS), "prediction has the height and width (5, 7), but uncert"),
        (lambda: segunc.cross_entropy(P[:, :3], ANNOTATIONS), "(5, 7), but probability has (5, 3); pass masks of one"),
        (lambda: segunc.ged(SAMPLES, ANNOTATIONS, n=0), "n is 0, but must be at least 1; pass the number of samples"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    said = str(error.value)
    assert sentence in said and said.endswith(".") and "\n" not in said


def test_masks_of_zeros_are_masks() -> None:
    empty = np.zeros((5, 7), np.uint8)
    assert segunc.dice(empty, empty[None]) == 1
    assert segunc.brier(HALVES, empty[None]) == 0.25
