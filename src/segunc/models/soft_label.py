"""`soft_label`: a U-Net that learns the mean annotation (as in Lemay et al. 2023, arXiv:2202.07550, label averaging).

The loss is the binary cross-entropy of f against the mean y of all existing masks of the image, - y log f - (1 - y)
log(1 - f). It is the expectation of the loss of `unet`, which takes one annotator at random, so that the two differ in
the noise of the gradient alone. No settings.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.models.unet import SoftmaxUNet
from segunc.networks.annotator_sampling import mean_annotation
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": 1}, "image": {"unet": 1}, "sample": {}}


def build(data: DataStatistics, backbone: Backbone) -> nn.Module:
    """An untrained network."""
    return SoftLabelUNet(data, backbone)


class SoftLabelUNet(SoftmaxUNet):
    """The plain U-Net with another target."""

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Binary cross-entropy against the mean of the existing annotations; see `segunc.models`."""
        return F.binary_cross_entropy_with_logits(self.net(images).float(), mean_annotation(masks, annotated))
