"""`deep_ensemble`: U-Nets that differ in their random numbers alone (Lakshminarayanan et al. 2017, arXiv:1612.01474).

Each member learns from all annotators, one at random per image and step, as `unet` does. The study's `ensemble` differs
from it in the label sets of its members alone, so that the two together separate the effect of label sets from that of
initialisation.
"""

from typing import Literal

from torch import Tensor, nn

from segunc.models.ensemble import Ensemble
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": "members"}, "image": {"unet": "members"}, "sample": {}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    members: Literal[2, 4, 8] = 4,  # U-Nets
) -> nn.Module:
    """An untrained ensemble."""
    return DeepEnsemble(data, backbone, members)


class DeepEnsemble(Ensemble):
    """An ensemble whose members all have the same label set."""

    def label_sets(self, annotated: Tensor) -> Tensor:
        """All existing annotators for each member, bool (members, B, A)."""
        return annotated.expand(len(self.members), -1, -1)
