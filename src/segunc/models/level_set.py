"""`level_set`: a U-Net trained on the energy distance of its own level sets, in addition to cross-entropy.

Its samples are the soft level sets of its probability at t_k = (k - 1/2) / K, k = 1 .. K, K = 16,

    s_k = sigmoid((f - logit t_k) / T),

with the logits f. They are nested, s_1 >= ... >= s_K. The loss for the masks y_1 .. y_A of an image is

    2/(KA) sum_ka d(s_k, y_a) - 1/K^2 sum_kl d(s_k, s_l) + cross_entropy * BCE(f, mean y),
    d(u, v) = 1 - (sum min(u, v) + 1) / (sum max(u, v) + 1).

The first two terms are the generalised energy distance but for a constant. 1 - IoU is of negative type, so that the
true distribution minimises it. Since the s_k are nested, d(s_k, s_l) is a matter of their K areas. The energy distance
weighs all images alike, cross-entropy all pixels. To our knowledge, this loss is not published; that level sets are a
sampler is the reading of Vorob'ev quantiles of random sets (Molchanov, Theory of Random Sets).

Settings: the first `warmup` steps train f by cross-entropy alone, because an empty mask and a far one have the same
distance. On validation patients of LIDC-IDRI, weights of 10 to 300 and T of 0.5 to 4 were tried (docs/results.md). With
T = 1 and a weight of 100, the level sets of the mean came closest to the annotators' masks, with the cross-entropy of a
U-Net. A smaller weight was worse. Larger T brings the s_k themselves closer, but the mean is no probability any more:
its cross-entropy is twice as high with T = 2.
"""

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from segunc.networks.annotator_sampling import mean_annotation
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics
from segunc.networks.warm_up import WarmUp

WORK = {"training": {"unet": 1}, "image": {"unet": 1}, "sample": {}}
LEVELS = 16
"""Level sets, K."""


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    temperature: PositiveFloat = 1.0,  # T: how soft level sets are
    cross_entropy: PositiveFloat = 100.0,  # weight of the mean cross-entropy of a pixel against the energy distance
    warmup: PositiveInt = 50,  # first training steps, by cross-entropy alone
) -> nn.Module:
    """An untrained network."""
    return LevelSetUNet(data, backbone, temperature, cross_entropy, warmup)


class LevelSetUNet(nn.Module):
    """A U-Net whose outcomes are level sets."""

    draws = "exact"

    def __init__(
        self, data: DataStatistics, backbone: Backbone, temperature: float, cross_entropy: float, warmup: int
    ) -> None:
        super().__init__()
        self.temperature, self.cross_entropy = temperature, cross_entropy
        self.net = UNet(data, backbone)
        self.warm_up = WarmUp(warmup)

    def level_sets(self, logits: Tensor) -> Tensor:
        """Logits (B, 1, H, W) to s_1 .. s_K, (K, B, H, W)."""
        levels = (torch.arange(LEVELS, device=logits.device) + 0.5) / LEVELS
        return ((logits.transpose(0, 1) - levels.logit()[:, None, None, None]) / self.temperature).sigmoid()

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Energy distance and cross-entropy against all existing annotators; see `segunc.models`."""
        logits = self.net(images).float()
        cross_entropy = F.binary_cross_entropy_with_logits(logits, mean_annotation(masks, annotated))
        if self.warm_up():
            return cross_entropy
        return energy(self.level_sets(logits), masks, annotated) + self.cross_entropy * cross_entropy

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """The soft level sets; see `segunc.models`."""
        return self.level_sets(self.net(images).float())

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net; see `segunc.models`."""
        return self.net.features(images)


def energy(nested: Tensor, masks: Tensor, annotated: Tensor) -> Tensor:
    """Energy distance between soft masks and annotations without its constant, mean over the images.

    nested: (K, B, H, W) in [0, 1], falling in K; masks: {0, 1} (B, A, H, W); annotated: bool (B, A).
    """
    with torch.autocast(nested.device.type, enabled=False):
        areas, of_masks = nested.sum(dim=(2, 3)), masks.sum(dim=(2, 3))
        shared = torch.einsum("kbhw,bahw->kba", nested, masks)
        to_masks = 1 - (shared + 1) / (areas[..., None] + of_masks - shared + 1)
        weights = annotated / annotated.sum(dim=1, keepdim=True)
        cross = torch.einsum("kba,ba->b", to_masks, weights) / len(nested)
        smaller, larger = torch.minimum(areas[:, None], areas), torch.maximum(areas[:, None], areas)
        within = (1 - (smaller + 1) / (larger + 1)).mean(dim=(0, 1))
        return (2 * cross - within).mean()
