"""Augmentation: one geometry for images and masks, binary masks, no black corners."""

import numpy as np
import torch

from segunc.data.augment import augment

NONE = {"flip": False, "rotation": 0.0, "scale": [1.0, 1.0]}
ALL = {"flip": True, "rotation": 180.0, "scale": [0.8, 1.25]}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(b: int = 64) -> torch.Tensor:
    """(B, 1, 32, 32) smooth shapes without symmetry, wholly inside the image."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    left = ((x - 12) ** 2 + (y - 15) ** 2 < 20).float()
    right = ((x - 19) ** 2 + (y - 18) ** 2 < 6).float()
    return (left + right).clamp(max=1).expand(b, 1, 32, 32).contiguous()


def test_nothing_asked_nothing_changed() -> None:
    images, masks = torch.rand(4, 3, 32, 32), (torch.rand(4, 2, 32, 32) > 0.5).float()
    moved, moved_masks = augment(images, masks, NONE, seeded())
    assert torch.allclose(moved, images, atol=1e-5)
    assert torch.equal(moved_masks, masks)


def test_masks_stay_binary_and_follow_their_image() -> None:
    masks = blobs()
    moved, moved_masks = augment(masks, masks, ALL, seeded())
    assert set(moved_masks.unique().tolist()) == {0.0, 1.0}
    # Where the interpolated image is far from an edge, the nearest-neighbour mask must say the same.
    certain = (moved < 0.02) | (moved > 0.98)
    assert torch.equal((moved > 0.5)[certain], (moved_masks > 0.5)[certain])


def test_each_image_is_changed_in_its_own_way() -> None:
    moved, _ = augment(blobs(), blobs(), ALL, seeded())
    assert len(torch.unique(moved.flatten(1), dim=0)) == 64


def test_flips_give_all_four_mirror_images_and_nothing_else() -> None:
    image = torch.rand(1, 1, 8, 8)
    moved, _ = augment(image.expand(64, 1, 8, 8), image.expand(64, 1, 8, 8), {**NONE, "flip": True}, seeded())
    mirrored = [image.flip(dims) for dims in ([], [2], [3], [2, 3])]
    which = torch.stack([(moved - m).abs().amax(dim=(1, 2, 3)) < 1e-4 for m in mirrored])
    assert torch.equal(which.sum(dim=0), torch.ones(64, dtype=torch.long))
    assert (which.sum(dim=1) > 4).all()


def test_rotation_keeps_the_size_of_shapes_and_zoom_changes_it() -> None:
    masks = blobs()
    _, rotated = augment(masks, masks, {**NONE, "rotation": 180.0}, seeded())
    area = masks[0].sum()
    assert ((rotated.sum(dim=(1, 2, 3)) / area - 1).abs() < 0.25).all()
    _, larger = augment(masks, masks, {**NONE, "scale": [1.4, 1.4]}, seeded())
    assert np.isclose(float(larger[0].sum() / area), 1.4**2, rtol=0.15)


def test_no_black_corners() -> None:
    bright = torch.full((64, 1, 32, 32), 0.8)
    moved, _ = augment(bright, bright.round(), ALL, seeded())
    assert float(moved.min()) > 0.79


def test_same_generator_same_result() -> None:
    first, second = (augment(blobs(), blobs(), ALL, seeded(3))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(blobs(), blobs(), ALL, seeded(4))[0])
