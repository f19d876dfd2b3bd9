"""`unet`: the plain U-Net. Its uncertainty is the entropy of its own output; it has one outcome."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": 1}, "image": {"unet": 1}, "sample": {}}


def build(data: DataStatistics, backbone: Backbone) -> nn.Module:
    """An untrained network."""
    return SoftmaxUNet(data, backbone)


class SoftmaxUNet(nn.Module):
    """With two classes the softmax is the sigmoid of one logit."""

    draws = "exact"

    def __init__(self, data: DataStatistics, backbone: Backbone) -> None:
        super().__init__()
        self.net = UNet(data, backbone)

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Binary cross-entropy against one annotator per image; see `segunc.models`."""
        target = one_annotator(masks, annotated, generator)
        return F.binary_cross_entropy_with_logits(self.net(images).float(), target)

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """The output; see `segunc.models`."""
        return self.net(images).float().sigmoid().squeeze(1)[None]

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net; see `segunc.models`."""
        return self.net.features(images)
