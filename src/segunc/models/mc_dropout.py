"""`mc_dropout`: a U-Net whose dropout stays on when it is sampled (Gal and Ghahramani 2016).

Only dropout stays on: normalisation uses its running statistics as in any other evaluation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.annotators import one_annotator
from segunc.backbone import Backbone, Data, UNet


def build(
    data: Data,
    backbone: Backbone,
    *,
    dropout: float = 0.5,  # probability with which a channel is zeroed
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
        repeated = [level.repeat(n, 1, 1, 1) for level in shallow]
        logits = self.net.deep(repeated, generator).float()
        return logits.sigmoid().view(n, len(images), *images.shape[-2:])
