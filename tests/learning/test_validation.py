"""Validation against the metrics, which it must not import, and against its definition."""

import numpy as np
import pytest
import torch
from helpers.training import CPU, images, spec

from segunc.data.store import Images
from segunc.learning.build import build
from segunc.learning.training import statistics_of
from segunc.learning.validation import energy_distance, validate
from segunc.metrics import ged
from segunc.runtime.code_digest import closure


def random_masks(rng: np.random.Generator, count: int, images: int) -> np.ndarray:
    """(count, images, 4, 5); some are empty, some full."""
    return rng.random((count, images, 4, 5)) < rng.choice([0, 0.1, 0.5, 1], (count, images, 1, 1))


def distances(samples: np.ndarray, masks: np.ndarray, annotated: np.ndarray, exact: bool) -> np.ndarray:
    weights = torch.from_numpy(annotated / annotated.sum(axis=1, keepdims=True)).float()
    both = torch.from_numpy(samples), torch.from_numpy(masks.swapaxes(0, 1)).float()
    return energy_distance(*both, weights, exact=exact).numpy()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("count", "annotators"), [(2, 1), (2, 4), (8, 1), (8, 3), (8, 5)])
def test_energy_distance_is_that_of_the_metrics(count: int, annotators: int, exact: bool) -> None:
    rng = np.random.default_rng(count + annotators)
    samples, masks = random_masks(rng, count, 40), random_masks(rng, annotators, 40)
    annotated = rng.random((40, annotators)) < 0.6
    annotated[np.arange(40), rng.integers(0, annotators, 40)] = True
    found = distances(samples, masks, annotated, exact)
    for i, value in enumerate(found):
        of_image = ged.distances(samples[:, i], masks[annotated[i], i], exact=exact)
        assert value == pytest.approx(ged.u_statistic(of_image), abs=1e-6)


def test_energy_distance_of_empty_masks() -> None:
    """Two empty masks are equal, and an empty one is as far from any other as possible."""
    empty, full = np.zeros((1, 1, 4, 5), bool), np.ones((1, 1, 4, 5), bool)
    one = np.ones((1, 1), bool)
    for samples, masks, expected in ((empty, empty, 0), (empty, full, 2), (full, full, 0), (full, empty, 2)):
        assert distances(samples, masks, one, exact=True) == expected
    both = np.concatenate([empty, full])
    assert distances(both, both, np.ones((1, 2), bool), exact=True) == 0
    assert distances(both, both, np.ones((1, 2), bool), exact=False) == -0.5


class OfPixels(torch.nn.Module):
    """Samples are the image's pixels, and 0 everywhere in every second one."""

    draws = "independent"

    def sample(self, images: torch.Tensor, n: int, generator: torch.Generator) -> torch.Tensor:
        on = torch.arange(n) % 2 == 0
        return images[:, 0] * on[:, None, None, None]


def test_validation_is_its_definition_over_all_annotators_and_batches() -> None:
    """The study's validation loss was the last annotator's alone (defect B9)."""
    some = images(70)
    some.annotated[::3, 1] = False
    found = validate(OfPixels(), some, "float32", CPU)
    entropies, energies = [], []
    for image, masks, annotated in zip(some.images, some.masks, some.annotated, strict=True):
        pixels = image[0].astype(np.float32) / 255
        p = (pixels / 2).clip(1e-6, 1 - 1e-6)
        entropies.append(np.mean([np.where(mask, -np.log(p), -np.log(1 - p)).mean() for mask in masks[annotated]]))
        samples = np.stack([pixels > 0.5, np.zeros_like(pixels, bool)] * 4)
        energies.append(ged.u_statistic(ged.distances(samples, masks[annotated], exact=False)))
    assert found.cross_entropy == pytest.approx(np.mean(entropies), rel=1e-5)
    assert found.ged == pytest.approx(np.mean(energies), rel=1e-5)
    assert found.divergence == []
    assert found.criterion == found.cross_entropy + found.ged


@pytest.mark.parametrize("method", ["unet", "ensemble", "mc_dropout", "prob_unet"])
def test_validations_of_the_same_weights_are_equal_and_those_of_all_annotators(method: str) -> None:
    torch.manual_seed(0)
    both = images(6)
    model = build({**spec(), "method": method, "options": {}}, statistics_of(both))
    first = validate(model, both, "float32", CPU)
    torch.rand(3)
    assert validate(model, both, "float32", CPU) == first
    assert len(first.divergence) == (6 if method == "prob_unet" else 0)

    def of(annotators: list[int]) -> Images:
        return both._replace(masks=both.masks[:, annotators], annotated=both.annotated[:, annotators])

    alone = [validate(model, of([a]), "float32", CPU).cross_entropy for a in (0, 1)]
    assert first.cross_entropy == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("step", ["train", "sample", "active_train"])
def test_no_network_depends_on_a_metric(step: str) -> None:
    """An edit of a metric must not rerun trainings."""
    modules = closure(f"segunc.stages.{step}")
    assert "segunc.learning.build" in modules
    assert not any(name.startswith(("segunc.metrics", "segunc.evaluation")) for name in modules)
