"""`mc_dropout`: a U-Net whose dropout stays on when it is sampled (Gal and Ghahramani 2016).

Only dropout stays on: normalisation uses its running statistics as in any other evaluation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.catalogue.option_types import Probability
from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import Backbone, Data, UNet


def build(
    data: Data,
    backbone: Backbone,
    *,
    dropout: Probability = 0.5,  # probability with which a channel is zeroed
) -> nn.Module:
    """An untrained network."""
    return MCDropout(data, backbone, dropout)


class MCDropout(nn.Module):
    """Where the dropout sits: `segunc.backbone.UNet`."""

    draws = "independent"

    def __init__(self, data: Data, backbone: Backbone, dropout: float) -> None:
        super().__init__()
        self.net = UNet(data, backbone, dropout)

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Binary cross-entropy against one annotator per image, with dropout."""
        target = one_annotator(masks, annotated, generator)
        return F.binary_cross_entropy_with_logits(self.net(images, generator).float(), target)

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n draws of the dropped channels; what lies before the first dropout is computed once."""
        shallow = self.net.shallow(images)
        # One draw at a time: all at once would take n times the memory of a large image's features.
        return torch.stack([self.net.deep(shallow, generator).float().sigmoid().squeeze(1) for _ in range(n)])
