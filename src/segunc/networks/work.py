"""How much work a model's networks do, from their shape and from what the model states next to `build`.

`segunc plan` turns work into time, `segunc.workflow.scheduler_resources` turns it into requested memory and time.
Imports neither torch nor numpy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from segunc.catalogue.options import MODELS, constant_of
from segunc.networks.shape import Backbone, flow_network
from segunc.runtime.errors import UserError


@dataclass(frozen=True)
class Work:
    """Work of a network, or of a part of it, for one image."""

    multiply_adds: float = 0.0
    values: float = 0.0
    """Values that its convolutions write: its activations."""
    weights: float = 0.0
    """Weights of its convolutions."""

    def __add__(self, other: "Work") -> "Work":
        return Work(self.multiply_adds + other.multiply_adds, self.values + other.values, self.weights + other.weights)

    def __mul__(self, count: float) -> "Work":
        return Work(count * self.multiply_adds, count * self.values, count * self.weights)


class ModelWork(NamedTuple):
    """Work of a model for one image."""

    training: Work
    """The forward pass of a training step; its weights are all those that the model has."""
    image: Work
    """What sampling does once per image."""
    sample: Work
    """What sampling does for each sample."""
    unet: Work
    """A pass through one U-Net, to compare with."""


def work_of(method: str, options: Mapping[str, Any], backbone: Backbone, channels: int, size: int) -> ModelWork:
    """Work of a model for an image of `size` x `size` pixels with so many channels.

    `options` are all options of the method, defaults included. Raises UserError if `models/<method>.py` does not state
    its work as `segunc.models` describes.
    """
    parts = parts_of(backbone, channels, size)
    training, image, sample = _phases(method, options, parts, ("training", "image", "sample"))
    return ModelWork(training, image, sample, parts["unet"])


def wrapped_work(method: str, options: Mapping[str, Any], of: ModelWork) -> ModelWork:
    """Work of a wrapper, which samples from a trained model, from that of the model. Raises UserError as `work_of`."""
    image, sample = _phases(method, options, {"image": of.image, "sample": of.sample}, ("image", "sample"))
    return of._replace(image=image, sample=sample)


def _phases(method: str, options: Mapping[str, Any], parts: Mapping[str, Work], phases: Iterable[str]) -> list[Work]:
    """Work of each phase, as the method states it."""
    try:
        stated = constant_of(MODELS, method, "WORK")
        return [_sum(stated[phase], parts, options) for phase in phases]
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{MODELS}/{method}.py does not state its work ({error}); "
            "add a constant WORK as described in segunc/models/__init__.py."
        ) from None


def _sum(counts: Mapping[str, int | str], parts: Mapping[str, Work], options: Mapping[str, Any]) -> Work:
    """Sum of the parts, each as often as its count: a number, or the name of an option."""
    total = Work()
    for part, count in counts.items():
        total += parts[part] * (options[count] if isinstance(count, str) else count)
    return total


def parts_of(backbone: Backbone, channels: int, size: int) -> dict[str, Work]:
    """Work of the parts of which models state how often they use them, by the names of `segunc.models`."""
    width = backbone.filters[0]
    into_flow, of_flow = flow_network(backbone)
    return {
        **_unet_parts(backbone, channels, size),
        "pointwise": Work(size**2 * width**2, size**2 * width, width**2),
        "flow": _unet_parts(of_flow, into_flow, size)["unet"],
    }


def _unet_parts(shape: Backbone, channels: int, size: int) -> dict[str, Work]:
    """Work of a U-Net and of its parts."""
    filters, convolutions = shape.filters, shape.convolutions

    def block(c_in: int, c_out: int, level: int) -> Work:
        weights = 9 * (c_in * c_out + (convolutions - 1) * c_out**2)
        pixels = size**2 / 4**level
        return Work(pixels * weights, pixels * convolutions * c_out, weights)

    down = [block(a, b, level) for level, (a, b) in enumerate(pairwise([channels, *filters]))]
    up = [block(a + b, a, level) for level, (a, b) in enumerate(pairwise(filters))]
    shallow = sum(down[: len(down) // 2], Work())
    deep = sum([*down[len(down) // 2 :], *up], Work())
    return {"unet": shallow + deep, "encoder": sum(down, Work()), "shallow": shallow, "deep": deep}
