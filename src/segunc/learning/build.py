"""From a training spec or trained weights to a network, by name, so that a cell depends on its own method alone."""

import importlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segunc.networks.backbone import Backbone, Data


def build(spec: Mapping[str, Any], data: Data) -> Any:
    """The untrained network of a training spec (`method`, `options`, `backbone`): a module as in `segunc.models`."""
    method = importlib.import_module(f"segunc.models.{spec['method']}")
    return method.build(data, Backbone(**spec["backbone"]), **spec["options"])


def restore(weights: Mapping[str, Any], device: torch.device) -> tuple[Any, dict[str, Any]]:
    """The trained network of a `weights.pt` on the device, in evaluation mode, and its training spec."""
    spec = json.loads(weights["spec"])
    model = build(spec, Data(**weights["data"]))
    model.load_state_dict(weights["state"])
    return model.to(device, memory_format=torch.channels_last).eval(), spec


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [0, 1] on the device."""
    return torch.from_numpy(images).to(device).float() / 255
