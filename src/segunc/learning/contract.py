"""Whether a model keeps the contract of `segunc.models`, tried on two images before its training or sampling starts.

What is wrong with a model would otherwise show hours later, or not at all: logits in the place of probabilities and
samples that no seed repeats can be scored as well.
"""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from segunc.learning.device import mixed_precision
from segunc.runtime.errors import UserError

IMAGES = 2
"""Images on which a model is tried."""
SIDE = 32
"""Rows and columns of their centres that are enough for it, unless the backbone needs more: whole ones take seconds."""
SAMPLES = 3
"""Samples that are drawn of each: another number than that of the images, so that exchanged axes show."""
METHODS = {"loss": ("images", "masks", "annotated", "generator"), "sample": ("images", "n", "generator")}
"""What each model has, with its arguments."""
OPTIONAL = {"divergence": METHODS["loss"], "features": ("images",)}
"""What a model may have."""
DRAWS = ("independent", "exact")
"""Values of `draws`."""


def check(model: Any, path: str, images: Tensor, masks: Tensor, annotated: Tensor, precision: str) -> None:
    """Raises UserError if an untrained model breaks the contract: one sentence with the first fault that is found.

    The model and torch's random numbers stay as they are.

    Parameters
    ----------
    model
        What `build` returned, on any device.
    path
        The file that defines it, for the sentence.
    images, masks, annotated
        IMAGES training images, or parts of them, as `loss` takes them, on the device of the training.
    precision
        Of the training: `auto`, `float32` or `bfloat16`.
    """
    with _refused(path, images):
        _check_interface(model, METHODS, "build() returns {}, not a torch.nn.Module; return the untrained network")
        trial = copy.deepcopy(model).to(images.device, memory_format=torch.channels_last)
        batch = images, masks, annotated
        _check_loss(trial, batch, precision)
        _check_samples(trial, images, precision)
        _check_optional(trial, batch, precision)


def check_wrapper(wrapper: Any, path: str, images: Tensor, precision: str) -> None:
    """The same for the wrapper of a trained network, which `wrap` returned, and images to sample for.

    `precision` is that of the training; the wrapper has no loss.
    """
    with _refused(path, images):
        of_wrapper = {"sample": METHODS["sample"]}
        _check_interface(wrapper, of_wrapper, "wrap() returns {}, not a torch.nn.Module; return one")
        _check_samples(wrapper, images, precision)


def centres(images: Tensor, levels: int) -> Tensor:
    """The centres of images (B, ..., H, W), which are enough to try a model of so many levels on, for speed."""
    side = max(SIDE, 2 ** (levels - 1))
    rows, columns = (slice(start := max(0, (size - side) // 2), start + side) for size in images.shape[-2:])
    return images[..., rows, columns]


@contextmanager
def _refused(path: str, images: Tensor) -> Iterator[None]:
    """Turns a fault into a UserError; torch's random numbers go on as if nothing had been tried."""
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if images.is_cuda else []):
            yield
    except _FaultError as fault:
        raise UserError(f"{path} breaks the contract of models (segunc.models): {fault}.") from None


class _FaultError(Exception):
    """What is wrong, and what to do: `<fact>; <remedy>`, without a full stop."""


def _check_interface(model: Any, methods: Mapping[str, Iterable[str]], no_module: str) -> None:
    if not isinstance(model, nn.Module):
        raise _FaultError(no_module.format(_kind(model)))
    for name, arguments in {**methods, **OPTIONAL}.items():
        method = getattr(model, name, None)
        if method is None and name in OPTIONAL:
            continue
        call = f"{name}({', '.join(arguments)})"
        if not callable(method):
            raise _FaultError(f"the model has no method {call}; define it")
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError as error:
            raise _FaultError(f"{name}() cannot be called as {call} ({error}); give it these arguments") from None
    if getattr(model, "draws", None) not in DRAWS:
        found = f"is {model.draws!r}" if hasattr(model, "draws") else "is missing"
        raise _FaultError(
            f"the attribute draws {found}, but must be 'independent' (each sample is a new one) or 'exact' (the "
            "samples are all outcomes of the model); set it"
        )


def _check_loss(model: Any, batch: tuple[Tensor, Tensor, Tensor], precision: str) -> None:
    # A copy of its own for the second call, because the first may change running statistics.
    losses = []
    for one in (model, copy.deepcopy(model)):
        one.train()
        with mixed_precision(batch[0].device, precision):
            losses.append(one.loss(*batch, _generator(batch[0])))
    loss, again = losses
    if not isinstance(loss, Tensor) or loss.ndim != 0 or not loss.is_floating_point():
        raise _FaultError(f"loss() returns {_kind(loss)}, not a float tensor with one number; return one")
    if not loss.isfinite():
        raise _FaultError(f"loss() is {loss.item()} for two training images; keep it finite")
    if not loss.requires_grad:
        raise _FaultError(
            "loss() has no gradient; compute it from the parameters without detach(), numpy or torch.no_grad()"
        )
    if not _equal(loss, again):
        raise _FaultError(
            f"loss() is {loss.item():g} and {again.item():g} for equal generators; take all random numbers from the "
            "generator"
        )
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    if broken := [name for name, gradient in gradients.items() if not gradient.isfinite().all()]:
        raise _FaultError(f"the gradient of loss() is not finite in {broken[0]}; keep it finite")
    if not any(gradient.any() for gradient in gradients.values()):
        raise _FaultError(
            "the gradient of loss() is 0 in all parameters; compute it from logits or probabilities, not from "
            "thresholded masks"
        )
    model.zero_grad(set_to_none=True)


def _check_samples(model: Any, images: Tensor, precision: str) -> None:
    model.eval()
    before = {name: value.clone() for name, value in _tensors(model)}
    samples = _sample(model, images, SAMPLES, 0, precision)
    _check_probabilities(samples, images, model.draws == "exact")
    if modules := [name or "the model" for name, module in model.named_modules() if module.training]:
        raise _FaultError(f"sample() leaves {modules[0]} in training mode; leave the mode as it is")
    if changed := [name for name, value in _tensors(model) if not torch.equal(value, before[name])]:
        raise _FaultError(f"sample() changes {changed[0]}; leave parameters and buffers as they are")
    if not _equal(samples, _sample(model, images, SAMPLES, 0, precision)):
        raise _FaultError(
            "sample() returns other samples for an equal generator; take all random numbers from the generator"
        )
    if model.draws == "exact":
        other = _sample(model, images, 1, 1, precision)
        if len(other) != len(samples):
            raise _FaultError(
                f"sample() returns a number of samples that depends on n, {len(other)} for n = 1 and {len(samples)} "
                f"for n = {SAMPLES}, although draws is 'exact'; return all outcomes whatever n is, or set draws to "
                "'independent'"
            )
        if not _equal(samples, other):
            raise _FaultError(
                "sample() depends on the generator, although draws is 'exact'; return all outcomes, each once, or set "
                "draws to 'independent'"
            )


def _check_probabilities(samples: Any, images: Tensor, exact: bool) -> None:
    """Type, shape and values of what `sample` returned."""
    if not isinstance(samples, Tensor) or samples.dtype != torch.float32:
        raise _FaultError(f"sample() returns {_kind(samples)}, not a float32 tensor of probabilities; convert it")
    of_images = (len(images), *images.shape[-2:])
    count = len(samples) if exact and samples.ndim else SAMPLES
    if samples.shape != (count, *of_images) or count == 0:
        expected = ("S" if exact else SAMPLES, *of_images)
        raise _FaultError(
            f"sample() returns the shape {_shape(samples.shape)} for n = {SAMPLES} and {len(images)} images, but must "
            f"return {_shape(expected)}: samples, images, height, width; change the shape"
        )
    if samples.isnan().any():
        raise _FaultError("sample() returns NaN; return probabilities")
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 1:
        raise _FaultError(
            f"sample() returns values from {low:.3g} to {high:.3g}, but probabilities are in [0, 1]; apply the sigmoid "
            "to logits"
        )


def _check_optional(model: Any, batch: tuple[Tensor, Tensor, Tensor], precision: str) -> None:
    """What a model need not have: a vector of finite numbers per image each."""
    arguments = {"divergence": (*batch, _generator(batch[0])), "features": batch[:1]}
    for name in OPTIONAL:
        if not hasattr(model, name):
            continue
        with torch.no_grad(), mixed_precision(batch[0].device, precision):
            found = getattr(model, name)(*arguments[name])
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != IMAGES or not found.isfinite().all():
            raise _FaultError(
                f"{name}() returns {_kind(found)} for {IMAGES} images, but must return finite numbers of the shape "
                f"({IMAGES}, any); change it"
            )


@torch.no_grad()
def _sample(model: Any, images: Tensor, n: int, seed: int, precision: str) -> Any:
    with mixed_precision(images.device, precision):
        return model.sample(images, n, _generator(images, seed))


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, by name."""
    return [*model.named_parameters(), *model.named_buffers()]


def _generator(images: Tensor, seed: int = 0) -> torch.Generator:
    return torch.Generator(images.device).manual_seed(seed)


def _equal(first: Tensor, second: Any) -> bool:
    """Whether two results of equal calls are equal: bit for bit on CPUs, up to rounding on GPUs."""
    if not isinstance(second, Tensor) or first.shape != second.shape:
        return False
    return torch.equal(first, second) or (first.is_cuda and torch.allclose(first, second, rtol=1e-2, atol=1e-3))


def _kind(value: Any) -> str:
    """`a list`, `a float32 tensor of the shape (2, 32, 32)`."""
    if isinstance(value, Tensor):
        name = str(value.dtype).removeprefix("torch.")
        return f"a {name} tensor of the shape {_shape(value.shape)}"
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def _shape(sizes: Iterable[object]) -> str:
    return f"({', '.join(map(str, sizes))})"
