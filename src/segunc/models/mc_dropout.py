"""`mc_dropout`: a U-Net whose dropout stays on when it is sampled (Gal and Ghahramani 2016).

Only dropout stays on; normalisation uses its running statistics, as in any other evaluation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.catalogue.option_types import Probability
from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": 1}, "image": {"shallow": 1}, "sample": {"deep": 1}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    dropout: Probability = 0.5,  # probability with which a channel is zeroed
) -> nn.Module:
    """An untrained network."""
    return MCDropout(data, backbone, dropout)


class MCDropout(nn.Module):
    """A U-Net with channel dropout, placed as `segunc.networks.backbone.UNet` describes."""

    draws = "independent"

    def __init__(self, data: DataStatistics, backbone: Backbone, dropout: float) -> None:
        super().__init__()
        self.net = UNet(data, backbone, dropout)

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Binary cross-entropy against one annotator per image, with dropout."""
        target = one_annotator(masks, annotated, generator)
        return F.binary_cross_entropy_with_logits(self.net(images, generator).float(), target)

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n samples with independent dropout; the layers before the first dropout run once."""
        shallow = self.net.shallow(images)
        # One sample at a time: all at once would take n times the memory of a large image's features.
        return torch.stack([self.net.deep(shallow, generator).float().sigmoid().squeeze(1) for _ in range(n)])

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net without dropout; see `segunc.models`."""
        return self.net.features(images)
