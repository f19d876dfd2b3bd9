"""`ensemble`: independently initialised U-Nets (Lakshminarayanan et al. 2017). A sample is the output of a member."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.networks.annotator_sampling import label_sets, one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": "members"}, "image": {"unet": "members"}, "sample": {}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    members: Literal[2, 4, 8] = 4,  # U-Nets; with several annotators each has its own label set
) -> nn.Module:
    """An untrained ensemble."""
    return Ensemble(data, backbone, members)


class Ensemble(nn.Module):
    """With several annotators each member learns from its own disjoint set of their masks.

    In the study, member k learns from mask k as it is in the raw data (`annotators: index` in the config). If the order
    of the annotators is shuffled, all members learn the same distribution, and differ in initialisation and noise.
    """

    draws = "exact"

    def __init__(self, data: DataStatistics, backbone: Backbone, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(data, backbone) for _ in range(members))

    def label_sets(self, annotated: Tensor) -> Tensor:
        """Which annotators each member learns from, bool (members, B, A)."""
        return label_sets(annotated, len(self.members))

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Sum of the members' binary cross-entropies: each member's gradient is that of a network trained alone.

        Only `gradient_clip` acts on all of them together.
        """
        total = images.new_zeros(())
        for member, mine in zip(self.members, self.label_sets(annotated), strict=True):
            target = one_annotator(masks, mine, generator)
            total = total + F.binary_cross_entropy_with_logits(member(images).float(), target)
        return total

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """The output of each member; see `segunc.models`."""
        return torch.stack([member(images).float().sigmoid().squeeze(1) for member in self.members])

    def features(self, images: Tensor) -> Tensor:
        """Those of the first member; see `segunc.models`."""
        first = self.members[0]
        assert isinstance(first, UNet)
        return first.features(images)
