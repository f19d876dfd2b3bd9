"""`mc_ensemble`: an ensemble whose members are U-Nets with dropout (deep ensembles with MC-dropout).

A sample is that of a member, chosen at random, with dropout: Lakshminarayanan et al. 2017 and Gal and Ghahramani 2016
together. The members differ in initialisation, dropout and noise; all learn from all annotators.

It has a training of its own, and no wrapper could replace it. Members that were trained without dropout cannot be
sampled with it. Trained `mc_dropout` networks cannot be members either: those of other seeds belong to other folds of
the patients, and two cells of the grid that share members would not be two trainings, so that intervals over trainings
would be too narrow. Training K networks in one job takes no longer than in K.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.catalogue.option_types import Probability
from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics

WORK = {"training": {"unet": "members"}, "image": {"shallow": "members"}, "sample": {"deep": 1}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    members: Literal[2, 4, 8] = 4,  # U-Nets; each learns from all annotators
    dropout: Probability = 0.5,  # probability with which a channel is zeroed
) -> nn.Module:
    """An untrained ensemble."""
    return MCEnsemble(data, backbone, members, dropout)


class MCEnsemble(nn.Module):
    """U-Nets with channel dropout, placed as `segunc.networks.backbone.UNet` describes."""

    draws = "independent"

    def __init__(self, data: DataStatistics, backbone: Backbone, members: int, dropout: float) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(data, backbone, dropout) for _ in range(members))

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Sum of the members' binary cross-entropies, each with an annotator and a dropout of its own.

        Only `gradient_clip` acts on all members together.
        """
        total = images.new_zeros(())
        for member in self.members:
            target = one_annotator(masks, annotated, generator)
            total = total + F.binary_cross_entropy_with_logits(member(images, generator).float(), target)
        return total

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n samples, each of a member chosen at random; the layers before the first dropout run once."""
        # As many of each member would be a stratified sample, which estimators for independent samples misjudge.
        chosen = torch.randint(len(self.members), (n,), device=images.device, generator=generator)
        samples = images.new_empty(n, len(images), *images.shape[-2:])
        for number, member in enumerate(self.members):
            assert isinstance(member, UNet)
            shallow = member.shallow(images)
            for place in (chosen == number).nonzero():
                samples[place] = member.deep(shallow, generator).float().sigmoid().squeeze(1)
        return samples

    def features(self, images: Tensor) -> Tensor:
        """Those of the first member without dropout; see `segunc.models`."""
        first = self.members[0]
        assert isinstance(first, UNet)
        return first.features(images)
