"""What a set of annotated images is made of: how much is marked, how much is disputed, of how many patients."""

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.metrics.overlap import pairwise_iou


def foreground(images: Images) -> NDArray[np.float64]:
    """Share of marked pixels of each image, the mean over its existing annotators, (N,) in [0, 1]."""
    return images.masks.mean(axis=(2, 3)).mean(axis=1, where=images.annotated)


def disagreement(images: Images) -> NDArray[np.float64]:
    """Mean IoU distance between two different annotators of each image, (N,) in [0, 1]; NaN with one annotator."""
    return np.array([_disagreement(m[exists]) for m, exists in zip(images.masks, images.annotated, strict=True)])


def _disagreement(masks: NDArray) -> float:
    """The same of the existing masks (A, H, W) of one image."""
    if len(masks) == 1:
        return float("nan")
    different = ~np.eye(len(masks), dtype=bool)
    return float((1 - pairwise_iou(masks, masks))[different].mean())


def composition(images: Images) -> dict[str, float]:
    """Means of foreground and disagreement over the images, and how many patients and groups they come from.

    `disagreement` leaves out images with one annotator, and is NaN if there are no others.
    """
    disputed = disagreement(images)
    disputed = disputed[~np.isnan(disputed)]
    return {
        "foreground": float(foreground(images).mean()),
        "disagreement": float(disputed.mean()) if len(disputed) else float("nan"),
        "patients": len(np.unique(images.patient_id)),
        "groups": len(np.unique(images.group_id)),
    }
