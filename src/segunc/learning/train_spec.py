"""Types of the specs of training and sampling, as `segunc.config.specs` writes them."""

from typing import Any, Literal, NotRequired, TypedDict


class AugmentationSpec(TypedDict):
    """Random changes of training images; ranges are those of `segunc.config.schema.Augmentation`."""

    flip: bool
    rotation: float
    scale: list[float]


class TrainingSpec(TypedDict):
    """How a network is trained; meanings and ranges are those of `segunc.config.schema.Training`."""

    steps: int | None
    """One of `steps` and `epochs` is None."""
    epochs: int | None
    validate_every: int | None
    patience: int | None
    batch_size: int
    learning_rate: float
    warmup_steps: int
    schedule: Literal["constant", "cosine"]
    gradient_clip: float | None
    annotators: Literal["shuffled", "index"]
    precision: Literal["auto", "float32", "bfloat16"]
    augmentation: AugmentationSpec | None


class BackboneSpec(TypedDict):
    """Shape of the U-Net, `segunc.networks.shape.Backbone`."""

    filters: list[int]
    convolutions: int
    normalisation: Literal["batch", "none"]


class TrainSpec(TypedDict):
    """Everything in the config that the weights depend on."""

    method: str
    options: dict[str, Any]
    backbone: BackboneSpec
    training: TrainingSpec
    seed: int


class WrapperSpec(TypedDict):
    """A wrapper of a trained network (`segunc.models`)."""

    method: str
    options: dict[str, Any]
    """All but `of`."""


class SampleSpec(TypedDict):
    """Everything in the config that samples depend on besides the weights."""

    draws: int
    """Samples per image, of models whose samples are independent."""
    seed: int
    wrapper: NotRequired[WrapperSpec]
    """What draws the samples, if it is not the trained network itself."""
