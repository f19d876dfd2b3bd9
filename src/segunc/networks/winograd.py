"""3x3 convolutions of wide layers with fewer multiplications: Winograd's minimal filtering, for training on CPUs.

F(4x4, 3x3) of Lavin and Gray 2016 (arXiv:1509.09308): a block of 4x4 outputs depends on a window of 6x6 inputs. With
both transformed linearly, the convolution is 36 products per window instead of 144, and a sum over channels, which is a
matrix product. The gradient of the weights is the same sum over windows instead of channels. Rounding errors are about
1e-5 of the largest output, ten times those of a direct convolution.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCK = 4
"""Rows and columns of a block of outputs."""
WINDOW = BLOCK + 2
"""Rows and columns of the inputs that a block depends on."""
WIDE_GRADIENT = 32
"""Fewest channels, of input and output, with which the gradient of the weights is faster than a direct one."""
WIDE = 64
"""The same for the convolution and the gradient of its input."""
LARGE = 2**25
"""Fewest products of an input value and a weight, for a position in the window, that are worth the transforms."""
WINDOWS = 128
"""Windows to transform at a time, so that they stay in the cache."""

# The transforms interpolate at 0, 1, -1, 2, -2 and infinity. Their Kronecker squares act on flattened windows.
_INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_WEIGHT = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_OUTPUT = torch.tensor([[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
INPUT, WEIGHT, OUTPUT = (torch.kron(matrix, matrix) for matrix in (_INPUT, _WEIGHT, _OUTPUT))


class Convolution3x3(nn.Conv2d):
    """3x3 convolution with zero padding; (B, C_in, H, W) to (B, C_out, H, W).

    Wide layers are trained by Winograd's algorithm where that is faster: on large batches in float32 on a CPU, if
    blocks cover the image. Without gradients, the convolution is direct.
    """

    def __init__(self, c_in: int, c_out: int, bias: bool) -> None:
        super().__init__(c_in, c_out, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        wide = min(self.in_channels, self.out_channels) >= WIDE_GRADIENT
        large = x.numel() * self.out_channels >= LARGE
        covered = x.shape[2] % BLOCK == x.shape[3] % BLOCK == 0
        float32_on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if not (wide and large and covered and float32_on_cpu and torch.is_grad_enabled()):
            return super().forward(x)
        y = _Convolution.apply(x, self.weight)
        return y if self.bias is None else y + self.bias[:, None, None]


class _Convolution(torch.autograd.Function):
    """`convolve` with its gradients; direct where layers are not `WIDE`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _fastest(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return _fastest(gradient, weight.flip(2, 3).transpose(0, 1)), weight_gradient(x, gradient)


def _fastest(x: Tensor, weight: Tensor) -> Tensor:
    return convolve(x, weight) if min(weight.shape[:2]) >= WIDE else F.conv2d(x, weight, padding=1)


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution with zero padding of (B, C_in, H, W), H and W multiples of 4, with weights (C_out, C_in, 3, 3).

    Returns (B, C_out, H, W), channels last.
    """
    b, c_in, h, w = x.shape
    c_out = len(weight)
    y = x.new_empty(b, h, w, c_out).permute(0, 3, 1, 2)
    factors = (WEIGHT @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(-1, c_in, c_out)
    for images, rows, windows in _transformed_windows(x):
        products = windows.transpose(0, 1) @ factors
        blocks = _blocks(y[images])[:, :, :, rows]
        blocks.copy_((OUTPUT @ products.view(WINDOW**2, -1)).view(blocks.shape))
    return y


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Gradient (C_out, C_in, 3, 3) of the weights, from input and the gradient of the output.

    x: (B, C_in, H, W); gradient: (B, C_out, H, W), channels last; H and W are multiples of 4.
    """
    c_in, c_out = x.shape[1], gradient.shape[1]
    total = x.new_zeros(WINDOW**2, c_in, c_out)
    for images, rows, windows in _transformed_windows(x):
        blocks = _blocks(gradient[images])[:, :, :, rows].reshape(BLOCK**2, -1)
        total.baddbmm_(windows.permute(1, 2, 0), (OUTPUT.t() @ blocks).view(WINDOW**2, -1, c_out))
    return (WEIGHT.t() @ total.view(WINDOW**2, -1)).view(3, 3, c_in, c_out).permute(3, 2, 0, 1)


def _transformed_windows(x: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """The transformed windows of (B, C, H, W), about `WINDOWS` at a time.

    Yields the images that they are from, their rows of blocks, and the windows (N, 36, C), in the order of the blocks.
    """
    b, c, h, w = x.shape
    down, across = h // BLOCK, w // BLOCK
    rows = min(down, max(1, WINDOWS // across))
    images = max(1, WINDOWS // (down * across))
    for image in range(0, b, images):
        padded = F.pad(x[image : image + images].permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        windows = padded.unfold(1, WINDOW, BLOCK).unfold(2, WINDOW, BLOCK).permute(0, 1, 2, 4, 5, 3)
        for row in range(0, down, rows):
            chunk = windows[:, row : row + rows].reshape(-1, WINDOW**2, c)
            transformed = torch.bmm(INPUT.expand(len(chunk), -1, -1), chunk)
            yield slice(image, image + images), slice(row, row + rows), transformed


def _blocks(y: Tensor) -> Tensor:
    """View (4, 4, B, H / 4, W / 4, C) of (B, C, H, W), which is channels last."""
    b, c, h, w = y.shape
    return y.permute(0, 2, 3, 1).view(b, h // BLOCK, BLOCK, w // BLOCK, BLOCK, c).permute(2, 4, 0, 1, 3, 5)
