"""Statistics of annotated images: their foreground, and the disagreement of annotators."""

import numpy as np
from numpy.typing import NDArray

from segunc.data.store import Images
from segunc.masks import pairwise_iou


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


def disputed_pixels(images: Images) -> NDArray[np.float64]:
    """Number of pixels of each image that some but not all of its annotators mark; (N,), NaN with one annotator."""
    annotators = images.annotated.sum(axis=1)
    votes = images.masks.sum(axis=1, dtype=np.uint8)
    disputed = (votes > 0) & (votes < annotators[:, None, None])
    return np.where(annotators > 1, disputed.sum(axis=(1, 2)), np.nan)
