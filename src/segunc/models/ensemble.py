"""`ensemble`: independently initialised U-Nets (Lakshminarayanan et al. 2017). A draw is a member."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.networks.annotator_sampling import label_sets, one_annotator
from segunc.networks.backbone import Backbone, Data, UNet


def build(
    data: Data,
    backbone: Backbone,
    *,
    members: Literal[2, 4, 8] = 4,  # U-Nets; with several annotators each has a label set of its own
) -> nn.Module:
    """An untrained ensemble."""
    return Ensemble(data, backbone, members)


class Ensemble(nn.Module):
    """With several annotators each member learns from its own disjoint set of them, as in the study."""

    draws = "exact"

    def __init__(self, data: Data, backbone: Backbone, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(data, backbone) for _ in range(members))

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Sum of the members' binary cross-entropies: each member's gradient is that of a net trained alone.

        (Only a `gradient_clip` sees them together.)
        """
        sets = label_sets(annotated, len(self.members))
        total = images.new_zeros(())
        for member, mine in zip(self.members, sets, strict=True):
            target = one_annotator(masks, mine, generator)
            total = total + F.binary_cross_entropy_with_logits(member(images).float(), target)
        return total

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw i is member i mod `members`: the mean of a multiple of `members` draws is the ensemble's, exactly.

        Eight draws, as many as validation takes, and sixteen hold every member equally often.
        """
        outputs = torch.stack([member(images).float().sigmoid().squeeze(1) for member in self.members[:n]])
        return outputs[torch.arange(n, device=images.device) % len(outputs)]
