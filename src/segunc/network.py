"""From a training spec to a network, reached by name so that a cell depends on its own method alone."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segunc.backbone import Backbone, Data


def build(spec: Mapping[str, Any], data: Data) -> Any:
    """The untrained network of a training spec (`method`, `options`, `backbone`): a module as in `segunc.models`."""
    method = importlib.import_module(f"segunc.models.{spec['method']}")
    return method.build(data, Backbone(**spec["backbone"]), **spec["options"])


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [0, 1] on the device."""
    return torch.from_numpy(images).to(device).float() / 255
