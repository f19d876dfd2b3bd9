"""Winograd's algorithm against the direct convolution, and which layers use it."""

import pytest
import torch
from torch import Tensor, nn

from segunc.networks import winograd
from segunc.networks.winograd import Convolution3x3, convolve, weight_gradient


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


def example(b: int, c_in: int, c_out: int, h: int, w: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weights and the gradient of the output."""
    torch.manual_seed(0)
    x, gradient = torch.randn(b, c_in, h, w), torch.randn(b, c_out, h, w)
    weight = torch.randn(c_out, c_in, 3, 3) / (3 * c_in**0.5)
    return x, weight, gradient.contiguous(memory_format=torch.channels_last)


# A single block; images that share a chunk, the last incomplete; rows of an image in several chunks, likewise.
@pytest.mark.parametrize("shape", [(1, 3, 2, 4, 4), (21, 5, 7, 12, 8), (2, 6, 4, 60, 40), (1, 2, 3, 8, 600)])
def test_equals_the_direct_convolution(shape: tuple[int, int, int, int, int]) -> None:
    x, weight, gradient = example(*shape)
    exact_weight = weight.double().requires_grad_()
    y = nn.functional.conv2d(x.double(), exact_weight, padding=1)
    y.backward(gradient.double())
    assert exact_weight.grad is not None
    assert relative_error(convolve(x, weight), y) < 1e-4
    assert relative_error(weight_gradient(x, gradient), exact_weight.grad) < 1e-4


@pytest.mark.parametrize(("c_in", "c_out"), [(64, 96), (96, 32)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_wide_layer_has_the_gradients_of_a_direct_one(
    c_in: int, c_out: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "LARGE", 0)
    x, _, gradient = example(3, c_in, c_out, 16, 24)
    ours = Convolution3x3(c_in, c_out, bias)
    direct = nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias)
    direct.load_state_dict(ours.state_dict())
    results = []
    for layer in (ours, direct):
        image = x.clone().requires_grad_()
        y = layer(image)
        y.backward(gradient)
        results.append([y.detach(), image.grad, *(p.grad for p in layer.parameters())])
    assert "_Convolution" in type(ours(x).grad_fn).__name__ or bias
    assert all(relative_error(a, b) < 1e-4 for a, b in zip(*results, strict=True))


def test_only_large_wide_layers_in_training_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        used.append(x.shape)
        return nn.functional.conv2d(x, weight, padding=1)

    monkeypatch.setattr(winograd._Convolution, "apply", apply)
    wide, narrow = Convolution3x3(64, 64, bias=False), Convolution3x3(16, 64, bias=False)
    large = torch.rand(2, 64, 64, 64)
    for layer, x in [(narrow, torch.rand(32, 16, 64, 64)), (wide, large[:, :, :4]), (wide, large[..., :63])]:
        layer(x)
    with torch.no_grad():
        wide(large)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wide(large)
    assert not used
    wide(large)
    assert used == [large.shape]
