"""`full_prob_unet`: the Probabilistic U-Net with full covariance matrices (Bhat et al. 2022, arXiv:2207.12872).

Prior and posterior are normal distributions N(mu, L L') instead of diagonal ones, and everything else is that of
`prob_unet`. The network's numbers s and a give L = diag(exp s) (I + A), where A has the numbers a below its diagonal
and 0 elsewhere. A sample is mu + L e with e ~ N(0, I). With M = L_p^-1 L_q and m = L_p^-1 (mu_q - mu_p),

    KL(q || p) = sum_i ( - log M_ii + (sum_{j <= i} M_ij^2 + m_i^2 - 1) / 2 ).

Because L is triangular, term i is KL(q(z_i | z_1 .. z_i-1) || p(z_i | z_1 .. z_i-1)) in expectation, so that each
dimension has its own divergence here as well. The settings are those of `prob_unet`.
"""

from typing import NamedTuple

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from segunc.models.prob_unet import ProbUNet, bounded
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": 1, "encoder": 2}, "image": {"unet": 1, "encoder": 1}, "sample": {"pointwise": 2}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    latent: PositiveInt = 6,  # dimensions of the latent space
    beta: PositiveFloat = 0.005,  # weight of KL(posterior || prior) against the mean cross-entropy of a pixel
) -> nn.Module:
    """An untrained network."""
    return FullProbUNet(data, backbone, latent, beta)


class FullGaussian(NamedTuple):
    """Normal distributions with any covariance matrix."""

    mean: Tensor
    """(B, latent)"""
    log_std: Tensor
    """(B, latent): logarithms of the diagonal of L."""
    unit: Tensor
    """(B, latent, latent): I + A, lower triangular with ones on the diagonal."""

    @staticmethod
    def size(latent: int) -> int:
        """Numbers that define a distribution of so many dimensions."""
        return 2 * latent + latent * (latent - 1) // 2

    @classmethod
    def of(cls, numbers: Tensor, latent: int) -> "FullGaussian":
        """The distributions of numbers (B, size), which are any real numbers."""
        mean, log_std, below = numbers.split([latent, latent, numbers.shape[1] - 2 * latent], dim=1)
        rows, columns = torch.tril_indices(latent, latent, offset=-1, device=numbers.device)
        unit = torch.eye(latent, device=numbers.device).repeat(len(numbers), 1, 1)
        unit[:, rows, columns] = below
        return cls(mean, bounded(log_std), unit)

    def factor(self) -> Tensor:
        """L, (B, latent, latent), lower triangular with a positive diagonal."""
        return self.log_std.exp()[..., None] * self.unit

    def sample(self, generator: torch.Generator) -> Tensor:
        """One sample per image, (B, latent), differentiable in all numbers."""
        noise = torch.randn(self.mean.shape, device=self.mean.device, generator=generator)
        return self.mean + torch.einsum("bij,bj->bi", self.factor(), noise)

    def divergence(self, prior: "FullGaussian") -> Tensor:
        """KL(self || prior) in nats, at least 0, of each latent dimension given those before it, (B, latent)."""
        columns = torch.cat([self.factor(), (self.mean - prior.mean)[..., None]], dim=2)
        squared = torch.linalg.solve_triangular(prior.factor(), columns, upper=False).square().sum(dim=2)
        return prior.log_std - self.log_std + 0.5 * (squared - 1)


class FullProbUNet(ProbUNet):
    """A Probabilistic U-Net with full covariance matrices."""

    gaussian = FullGaussian
