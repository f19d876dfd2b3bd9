"""A small training run: its spec, and images of discs on noise."""

import copy
from typing import Any

import numpy as np
import torch

from segunc.data.store import Images

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "method": "unet",
    "options": {},
    "backbone": {"filters": [4, 8, 8], "convolutions": 1, "normalisation": "batch"},
    "seed": 0,
    "training": {
        "steps": 20,
        "epochs": None,
        "validate_every": 5,
        "patience": None,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 4,
        "schedule": "cosine",
        "gradient_clip": 5,
        "annotators": "shuffled",
        "precision": "float32",
        "augmentation": {"flip": True, "rotation": 180, "scale": [0.9, 1.1]},
    },
}


def spec(**changes: Any) -> dict[str, Any]:
    """The spec of 20 steps of a U-Net, with changes in its `training`."""
    result = copy.deepcopy(SPEC)
    result["training"].update(changes)
    return result


def images(n: int = 10, seed: int = 0) -> Images:
    """n images of 16 x 16 pixels, two per group, each with two annotators who disagree."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    discs = np.stack([(x - rng.uniform(5, 11)) ** 2 + (y - rng.uniform(5, 11)) ** 2 < 9 for _ in range(n)])
    noise = rng.normal(80, 20, discs.shape)
    ids = np.array([f"image-{i}" for i in range(n)])
    groups = np.array([f"nodule-{i // 2}" for i in range(n)])
    return Images(
        images=(noise + 100 * discs).clip(0, 255).astype(np.uint8)[:, None],
        masks=np.stack([discs, discs & (x % 3 > 0)], axis=1).astype(np.uint8),
        annotated=np.ones((n, 2), dtype=bool),
        image_id=ids,
        group_id=groups,
        patient_id=groups,
        annotator_probability=None,
    )
