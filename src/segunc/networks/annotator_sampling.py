"""What a network learns from in a training step: a random annotator, a set of them, or their mean."""

import torch
from torch import Tensor


def one_annotator(masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
    """One existing mask per image, sampled uniformly for each image on its own (the study samples one per batch).

    masks: (B, A, H, W); annotated: bool (B, A), at least one per image. Returns (B, 1, H, W) of the masks' dtype.
    """
    slots = torch.multinomial(annotated.float(), 1, generator=generator)
    return masks.take_along_dim(slots[..., None, None], dim=1)


def mean_annotation(masks: Tensor, annotated: Tensor) -> Tensor:
    """Mean of the existing masks of each image, in [0, 1].

    masks: (B, A, H, W); annotated: bool (B, A), at least one per image. Returns (B, 1, H, W) of the masks' dtype.
    """
    weights = (annotated / annotated.sum(dim=1, keepdim=True)).to(masks.dtype)
    return torch.einsum("ba,bahw->bhw", weights, masks)[:, None]


def label_sets(annotated: Tensor, members: int) -> Tensor:
    """Which slots each of `members` networks learns from: disjoint sets if there are enough annotators.

    annotated: bool (B, A). Returns bool (members, B, A). The j-th existing annotator of an image belongs to member
    j mod `members`; with fewer annotators than members, member m learns from the (m mod annotators)-th alone.
    """
    position = annotated.long().cumsum(dim=1) - 1
    sets = annotated.sum(dim=1, keepdim=True).clamp(max=members)
    return torch.stack([annotated & (position % sets == m % sets) for m in range(members)])
