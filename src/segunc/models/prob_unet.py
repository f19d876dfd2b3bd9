"""`prob_unet`: the Probabilistic U-Net (Kohl et al. 2018, arXiv:1806.05034)."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import Encoder, UNet, output_layer
from segunc.networks.shape import Backbone, DataStatistics

# Prior and posterior have encoders of their own. A sample runs the last 1x1 convolutions.
WORK = {"training": {"unet": 1, "encoder": 2}, "image": {"unet": 1, "encoder": 1}, "sample": {"pointwise": 2}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    latent: PositiveInt = 6,  # dimensions of the latent space
    beta: PositiveFloat = 0.005,  # weight of KL(posterior || prior) against the mean cross-entropy of a pixel
) -> nn.Module:
    """An untrained network."""
    return ProbUNet(data, backbone, latent, beta)


class Gaussian(NamedTuple):
    """Diagonal normal distributions, (B, latent) each."""

    mean: Tensor
    log_std: Tensor

    @staticmethod
    def size(latent: int) -> int:
        """Numbers that define a distribution of so many dimensions."""
        return 2 * latent

    @classmethod
    def of(cls, numbers: Tensor, latent: int) -> "Gaussian":
        """The distributions of numbers (B, size), which are any real numbers."""
        mean, log_std = numbers.split(latent, dim=1)
        return cls(mean, bounded(log_std))

    def sample(self, generator: torch.Generator) -> Tensor:
        """One sample per image, (B, latent), differentiable in mean and log_std."""
        noise = torch.randn(self.mean.shape, device=self.mean.device, generator=generator)
        return self.mean + self.log_std.exp() * noise

    def divergence(self, prior: "Gaussian") -> Tensor:
        """KL(self || prior) in nats, at least 0, of each latent dimension, (B, latent)."""
        squared = (2 * (self.log_std - prior.log_std)).exp() + ((self.mean - prior.mean) / prior.log_std.exp()) ** 2
        return prior.log_std - self.log_std + 0.5 * (squared - 1)


def bounded(log_std: Tensor) -> Tensor:
    """No useful network reaches these bounds; without them a single batch can make the variance overflow."""
    return log_std.clamp(-8, 4)


class LatentNet(nn.Module):
    """Encoder and global average pooling to a Gaussian; the posterior's input includes a mask."""

    def __init__(self, data: DataStatistics, backbone: Backbone, latent: int, gaussian: Any, sees_mask: bool) -> None:
        super().__init__()
        self.latent, self.gaussian = latent, gaussian
        self.encoder = Encoder(data, backbone, extra=int(sees_mask))
        self.to_gaussian = nn.Linear(backbone.filters[-1], gaussian.size(latent))

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Any:
        """Images (B, C, H, W) in [0, 1] and a mask {0, 1} (B, 1, H, W) to a Gaussian per image."""
        centred = None if mask is None else mask - 0.5
        pooled = self.encoder(images, centred)[-1].mean(dim=(2, 3))
        return self.gaussian.of(self.to_gaussian(pooled).float(), self.latent)


class ProbUNet(nn.Module):
    """A U-Net whose last 1x1 convolutions also take a latent sample, from the prior or, in training, the posterior."""

    draws = "independent"
    gaussian: Any = Gaussian
    """Of prior and posterior: a class with the methods of `Gaussian`."""

    def __init__(self, data: DataStatistics, backbone: Backbone, latent: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.net = UNet(data, backbone, head=False)
        self.prior = LatentNet(data, backbone, latent, self.gaussian, sees_mask=False)
        self.posterior = LatentNet(data, backbone, latent, self.gaussian, sees_mask=True)
        width = backbone.filters[0]
        self.head = nn.Sequential(
            nn.Conv2d(width + latent, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
            nn.ReLU(inplace=True),
            output_layer(width, data.foreground),
        )

    def logits(self, features: Tensor, z: Tensor) -> Tensor:
        """Features (B, F, H, W) and latent samples (B, latent) to logits (B, 1, H, W)."""
        plane = z[..., None, None].expand(-1, -1, *features.shape[-2:]).to(features.dtype)
        return self.head(torch.cat([features, plane], dim=1)).float()

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy averaged over pixels + beta KL(posterior || prior) (Kohl et al., eq. 4).

        With beta = 1 / (H W), that is the negative evidence lower bound per pixel. The default of 0.005 is 20 times as
        much at 64 x 64 pixels, and 82 times at 128 x 128: the loss of a beta-VAE (Higgins et al. 2017), not a bound.
        """
        target = one_annotator(masks, annotated, generator)
        prior, posterior = self.prior(images), self.posterior(images, target)
        logits = self.logits(self.net(images), posterior.sample(generator))
        divergence = posterior.divergence(prior).sum(dim=1).mean()
        return F.binary_cross_entropy_with_logits(logits, target) + self.beta * divergence

    def divergence(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """KL per image and latent dimension; see `segunc.models`."""
        target = one_annotator(masks, annotated, generator)
        return self.posterior(images, target).divergence(self.prior(images))

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n samples from the prior; the features are computed once."""
        features, prior = self.net(images), self.prior(images)
        samples = [self.logits(features, prior.sample(generator)).sigmoid().squeeze(1) for _ in range(n)]
        return torch.stack(samples)

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net, not of the latent space; see `segunc.models`."""
        return self.net.features(images)
