"""`ssn`: a stochastic segmentation network, normal logits of low rank (Monteiro et al. 2020, arXiv:2006.06015).

The logits of the H x W pixels of an image are jointly normal: eta = m + P z + s e, with z ~ N(0, I) of `rank`
dimensions for the whole image and e ~ N(0, I) for each pixel. m, P and s are maps that 1x1 convolutions make of the
features of a U-Net. The loss is a Monte-Carlo estimate of - log p(y) per pixel with S samples,

    - 1/(HW) log 1/S sum_s exp sum_i log p(y_i | eta_is),   log p(y_i | eta_is) = - cross-entropy of y_i and eta_is,

where each sample is paired with its mirror image about m, as in the authors' code.

Settings: rank 10 and S = 20, as in the authors' configuration files (`rank_10_mc_20`). The first `warmup` steps train m
alone by its cross-entropy; otherwise the few samples near the mask determine the gradient before m is anywhere near it.
In the background the likelihood hardly depends on the covariance, because the samples nearest to the mask decide: with
a large one, some samples mark all of the background, which costs next to nothing. The authors mask it out by a region
of interest; here P and s are bounded by LIMIT, which leaves a standard deviation of up to 3.3 logits with rank 10. On
validation patients of LIDC-IDRI, limits of 0.5 to 10 were tried (docs/results.md): with 1, the samples were closest to
the annotators' masks. All of this is computed in float32.
"""

import math

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import UNet, output_layer
from segunc.networks.shape import Backbone, DataStatistics
from segunc.networks.warm_up import WarmUp

# The heads, and the sum over the rank for a sample, are about a `pointwise` each.
WORK = {"training": {"unet": 1}, "image": {"unet": 1, "pointwise": 1}, "sample": {"pointwise": 1}}
SAMPLES = 20
"""Samples per image in training, each with its mirror image."""
LIMIT = 1.0
"""Largest absolute value of P and of s, in logits."""


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    rank: PositiveInt = 10,  # dimensions of what the pixels of an image have in common
    warmup: PositiveInt = 100,  # first training steps, by cross-entropy of the mean
) -> nn.Module:
    """An untrained network."""
    return StochasticSegmentationNetwork(data, backbone, rank, warmup)


class StochasticSegmentationNetwork(nn.Module):
    """A U-Net with three heads: mean, factor and standard deviation of the logits."""

    draws = "independent"

    def __init__(self, data: DataStatistics, backbone: Backbone, rank: int, warmup: int) -> None:
        super().__init__()
        self.net = UNet(data, backbone, head=False)
        width = backbone.filters[0]
        self.mean = output_layer(width, data.foreground)
        self.factor = nn.Conv2d(width, rank, 1)
        self.log_std = nn.Conv2d(width, 1, 1)
        # Nearly no covariance at first, like the network of the warm-up.
        for layer, std, bias in ((self.factor, 0.1, 0.0), (self.log_std, 0.01, -2.0)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]
        self.warm_up = WarmUp(warmup)

    def distribution(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, C, H, W) in [0, 1] to m (B, H, W), P (B, rank, H, W) and s (B, H, W), float32."""
        features = self.net(images)
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            factor = LIMIT * torch.tanh(self.factor(features) / LIMIT)
            std = LIMIT * torch.sigmoid(self.log_std(features) - math.log(LIMIT))
            return self.mean(features).squeeze(1), factor, std.squeeze(1)

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Negative log-likelihood of one annotator per image, in nats per pixel; see `segunc.models`."""
        target = one_annotator(masks, annotated, generator).squeeze(1)
        mean, factor, std = self.distribution(images)
        if self.warm_up():
            return F.binary_cross_entropy_with_logits(mean, target)
        half = torch.stack([deviation(factor, std, generator) for _ in range(SAMPLES // 2)])
        logits = mean + torch.cat([half, -half])
        errors = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
        likelihood = torch.logsumexp(-errors.sum(dim=(2, 3)), dim=0) - math.log(len(logits))
        return -likelihood.mean() / target[0].numel()

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n samples of the logits, as probabilities; the distribution is computed once."""
        mean, factor, std = self.distribution(images)
        return torch.stack([(mean + deviation(factor, std, generator)).sigmoid() for _ in range(n)])

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net; see `segunc.models`."""
        return self.net.features(images)


def deviation(factor: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """P z + s e for one sample of each image, (B, H, W), from (B, rank, H, W) and (B, H, W)."""
    common = torch.randn(factor.shape[:2], device=factor.device, generator=generator)
    own = torch.randn(std.shape, device=std.device, generator=generator)
    with torch.autocast(factor.device.type, enabled=False):
        return torch.einsum("brhw,br->bhw", factor, common) + std * own
