"""Augmentation of a whole batch at once, with the same geometry for images and masks."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(
    images: Tensor, masks: Tensor, settings: Mapping[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random flips, rotation and zoom per image.

    images: float (B, C, H, W); masks: float {0, 1} (B, A, H, W); settings: `flip` (bool), `rotation` (degrees either
    way), `scale` (lowest and highest zoom factor). Images are interpolated bilinearly, masks by the nearest pixel,
    so they remain binary. Pixels from outside are filled by reflection, so there are no black corners.
    """
    b = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, device=images.device, generator=generator)

    def sign() -> Tensor:
        return uniform(0, 1).ge(0.5).float() * 2 - 1 if settings["flip"] else torch.ones(b, device=images.device)

    angle = torch.deg2rad(uniform(-settings["rotation"], settings["rotation"]))
    zoom = uniform(*settings["scale"])
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    flip_x, flip_y, zero = sign(), sign(), torch.zeros(b, device=images.device)
    x_row = torch.stack([cos * flip_x, -sin * flip_y, zero], dim=1)
    y_row = torch.stack([sin * flip_x, cos * flip_y, zero], dim=1)
    grid = F.affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    moved_masks = F.grid_sample(masks, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return moved, moved_masks
