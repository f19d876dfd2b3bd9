"""What a joint distribution is worth where it matters: on `phantom_choice`, annotators mark one of two discs."""

import copy

import numpy as np
import pytest
import torch
from helpers.training import CPU, spec

from segunc.data.formats import phantom
from segunc.data.phantoms import choice
from segunc.data.phantoms.canvas import canvas
from segunc.data.store import Images, take
from segunc.learning.build import restore
from segunc.learning.sampling import sample
from segunc.learning.training import train
from segunc.metrics.ged import distances, u_statistic
from segunc.metrics.levels import level_sets

TRAINED_ON = 140


@pytest.fixture(scope="module")
def choices() -> Images:
    """180 images, each of a patient of its own."""
    records = list(phantom.read(kind="choice", patients=180, images_per_patient=1, size=32))
    ids = np.array([record.image_id for record in records])
    masks = np.stack([np.stack(record.masks) for record in records])
    return Images(np.stack([one.image for one in records]), masks, masks.any(axis=(2, 3)), ids, ids, ids, None)


def own_and_levels(choices: Images, method: str, options: dict[str, object], seed: int = 0) -> tuple[float, float]:
    """Mean `ged_u` of a model's own samples, and of the level sets of its mean, on images it was not trained on."""
    settings = copy.deepcopy(spec(steps=200, validate_every=None, batch_size=8, warmup_steps=10, augmentation=None))
    backbone = {"filters": [8, 16, 32], "convolutions": 2, "normalisation": "batch"}
    settings |= {"method": method, "options": options, "backbone": backbone, "seed": seed}
    weights, _ = train(settings, take(choices, np.arange(TRAINED_ON)), None, CPU, "train choice")
    model, trained_by = restore(weights, CPU)
    others = take(choices, np.arange(TRAINED_ON, len(choices.images)))
    samples = torch.cat(list(sample(model, trained_by, others.images, 16, 0, CPU, "sample choice")), dim=1)
    exact, scores = model.draws == "exact", []
    for of_image, masks in zip(samples.transpose(0, 1).numpy(), others.masks, strict=True):
        levels = level_sets(of_image.mean(axis=0))
        found = distances(of_image > 0.5, masks, exact=exact), distances(levels, masks, exact=True)
        scores.append([u_statistic(one) for one in found])
    own, of_levels = np.mean(scores, axis=0)
    return own, of_levels


def test_a_joint_model_beats_its_own_level_sets(choices: Images) -> None:
    """Perfect sampler, joint model, its level sets, in this order; five seeds put 0.10 to 0.33 between the last two."""
    others, rng, best = take(choices, np.arange(TRAINED_ON, len(choices.images))), np.random.default_rng(0), []
    for name, masks in zip(others.image_id, others.masks, strict=True):
        sampled = choice.masks(rng, canvas(32), choice.scene_of(name, 0), 64)
        best.append(u_statistic(distances(sampled, masks, exact=False)))
    own, levels = own_and_levels(choices, "ssn", {"warmup": 30})
    assert np.mean(best) - 0.02 < own < levels - 0.05


def test_a_plain_network_loses_to_its_level_sets(choices: Images) -> None:
    own, levels = own_and_levels(choices, "unet", {})
    assert own > levels + 0.2
