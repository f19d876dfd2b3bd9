"""Networks from a training spec or from trained weights, and wrappers of them, by the name of their method."""

import importlib
import json
from collections.abc import Mapping
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segunc.learning.train_spec import TrainSpec, WrapperSpec
from segunc.networks.shape import Backbone, DataStatistics
from segunc.runtime.errors import UserError


def build(spec: TrainSpec, data: DataStatistics) -> Any:
    """The untrained network of a training spec (its `method`, `options` and `backbone`), as `segunc.models` describes.

    Imports the method by name, so that the code of a cell is that of its own method alone.
    """
    return _method(spec).build(data, Backbone(**spec["backbone"]), **spec["options"])


def wrap(spec: WrapperSpec, trained: Any) -> Any:
    """The wrapper of a trained network, as `segunc.models` describes, in evaluation mode."""
    return _method(spec).wrap(trained, **spec["options"]).eval()


def file_of(spec: TrainSpec | WrapperSpec) -> str:
    """The file that defines the method of a spec."""
    return str(_method(spec).__file__)


def _method(spec: TrainSpec | WrapperSpec) -> Any:
    return importlib.import_module(f"segunc.models.{spec['method']}")


def restore(weights: Mapping[str, Any], device: torch.device) -> tuple[Any, TrainSpec]:
    """The trained network of a `weights.pt` on the device, in evaluation mode, and its training spec.

    Raises UserError if there is no such network in segunc.
    """
    try:
        spec = json.loads(weights["spec"])
        model = build(spec, DataStatistics(**weights["data"]))
        model.load_state_dict(weights["state"])
    except (ImportError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = shorten(str(error), 160, placeholder=" ...")
        raise UserError(
            f"the weights are not those of a network of segunc ({reason}); train the model again."
        ) from error
    return model.to(device, memory_format=torch.channels_last).eval(), spec


def to_float(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [0, 1] on the device."""
    return torch.from_numpy(images).to(device).float() / 255
