"""The U-Net that all models share, so that models differ only in how they represent uncertainty."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.networks.shape import Backbone, DataStatistics
from segunc.networks.winograd import Convolution3x3


class Block(nn.Sequential):
    """`convolutions` times 3x3 convolution, normalisation, ReLU; (B, C_in, H, W) to (B, C_out, H, W)."""

    def __init__(self, c_in: int, c_out: int, shape: Backbone) -> None:
        layers: list[nn.Module] = []
        for i in range(shape.convolutions):
            batch_norm = shape.normalisation == "batch"
            convolution = Convolution3x3(c_out if i else c_in, c_out, bias=not batch_norm)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(c_out) if batch_norm else nn.Identity(), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Encoder(nn.Module):
    """Standardised images to features of every level; average pooling halves the resolution from level to level.

    `extra` input channels (a mask, for a posterior) are appended to those of the image and are not standardised.
    """

    def __init__(self, data: DataStatistics, shape: Backbone, extra: int = 0) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(data.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(data.std).view(1, -1, 1, 1))
        widths = [len(data.mean) + extra, *shape.filters]
        self.blocks = nn.ModuleList(Block(a, b, shape) for a, b in pairwise(widths))

    def forward(self, images: Tensor, extra: Tensor | None = None) -> list[Tensor]:
        """Images (B, C, H, W) in [0, 1] to features, finest first: (B, filters[i], H / 2^i, W / 2^i)."""
        return self.descend([self.first(images, extra)], len(self.blocks))

    def first(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to the features of the finest level, (B, filters[0], H, W)."""
        x = (images - self.mean) / self.std
        if extra is not None:
            x = torch.cat([x, extra], dim=1)
        return self.blocks[0](x.contiguous(memory_format=torch.channels_last))

    def descend(
        self, features: list[Tensor], levels: int, dropout: float = 0.0, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Continues `features` down to `levels` levels; drops channels of each new level if there is a generator."""
        for block in self.blocks[len(features) : levels]:
            x = block(F.avg_pool2d(features[-1], 2))
            features = [*features, drop_channels(x, dropout, generator)]
        return features


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015): average pooling down, bilinear interpolation up, skip connections.

    Channel dropout follows the blocks of the deeper half of the encoder and of the decoder; the input image is never
    dropped. It is active if and only if a generator is passed.
    """

    def __init__(self, data: DataStatistics, shape: Backbone, dropout: float = 0.0, head: bool = True) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder = Encoder(data, shape)
        filters = list(shape.filters)
        self.decoder = nn.ModuleList(
            Block(deep + skip, skip, shape) for deep, skip in zip(filters[:0:-1], filters[-2::-1], strict=True)
        )
        self.shallow_levels = len(filters) // 2
        self.head = output_layer(filters[0], data.foreground) if head else nn.Identity()

    def shallow(self, images: Tensor) -> list[Tensor]:
        """Images (B, C, H, W) in [0, 1] to the features of the finer levels, which dropout does not affect."""
        return self.encoder.descend([self.encoder.first(images)], self.shallow_levels)

    def deep(self, features: list[Tensor], generator: torch.Generator | None = None) -> Tensor:
        """The rest of the network, from `shallow` features to (B, filters[0], H, W), or logits if there is a head."""
        features = self.encoder.descend(features, len(self.encoder.blocks), self.dropout, generator)
        x = features.pop()
        for block in self.decoder:
            skip = features.pop()
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            if x.requires_grad:
                # A part of the gradient of `cat`, with which the backward pass of `interpolate` is slow unless dense.
                x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
            x = drop_channels(block(torch.cat([x, skip], dim=1)), self.dropout, generator)
        return self.head(x)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to logits of the foreground (B, 1, H, W)."""
        return self.deep(self.shallow(images), generator)

    def features(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to the deepest features without dropout, float32 (B, filters[-1]).

        They are averaged over the image.
        """
        return self.encoder(images)[-1].float().mean(dim=(2, 3))


def output_layer(features: int, foreground: float) -> nn.Conv2d:
    """1x1 convolution to one logit; its bias starts at the logit of the foreground fraction in (0, 1).

    Without that bias, short training runs on small lesions end at the empty mask.
    """
    layer = nn.Conv2d(features, 1, 1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, math.log(foreground / (1 - foreground)))  # type: ignore[arg-type]
    return layer


def drop_channels(x: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Zeroes whole channels of (B, C, H, W) with probability p and scales the rest; returns x without a generator."""
    if generator is None or p == 0:
        return x
    kept = torch.rand(*x.shape[:2], 1, 1, device=x.device, generator=generator) >= p
    return x * (kept / (1 - p)).to(x.dtype)
