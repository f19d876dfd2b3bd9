"""Statistics of annotated images: their foreground, the disagreement of annotators, the number of patients."""

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.metrics.overlap import pairwise_iou


def foreground(images: Images) -> NDArray[np.float64]:
    """Share of foreground pixels of each image, the mean over its existing annotations; (N,) in [0, 1]."""
    return images.masks.mean(axis=(2, 3)).mean(axis=1, where=images.annotated)


def disagreement(images: Images) -> NDArray[np.float64]:
    """Mean IoU distance between two different annotators of each image; (N,) in [0, 1], NaN with one annotator."""
    return np.array([_disagreement(m[exists]) for m, exists in zip(images.masks, images.annotated, strict=True)])


def _disagreement(masks: NDArray) -> float:
    """`disagreement` of one image with the existing masks (A, H, W)."""
    if len(masks) == 1:
        return float("nan")
    different = ~np.eye(len(masks), dtype=bool)
    return float((1 - pairwise_iou(masks, masks))[different].mean())


def composition(images: Images) -> dict[str, float]:
    """Means of `foreground` and `disagreement` over the images, and the number of their `patients` and `groups`.

    Images with one annotator do not count for `disagreement`, which is NaN if there are no others.
    """
    defined = disagreement(images)
    defined = defined[~np.isnan(defined)]
    return {
        "foreground": float(foreground(images).mean()),
        "disagreement": float(defined.mean()) if len(defined) else float("nan"),
        "patients": len(np.unique(images.patient_id)),
        "groups": len(np.unique(images.group_id)),
    }
