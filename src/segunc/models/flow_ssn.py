"""`flow_ssn`: a stochastic segmentation network with a continuous flow (Flow-SSN, ICCV 2025, arXiv:2507.18838).

A U-Net sees the image once. It gives features f and the mean mu of a normal distribution per pixel, from which a sample
starts. A small network g at full resolution turns the noise into a mask. With y in {-1, 1} per pixel (background,
foreground) and t uniform in [0, 1]:

    u = mu(x) + e, e ~ N(0, 1)                 where a path starts
    y_t = (1 - t) u + t y                      a point on it
    loss = cross-entropy of g(y_t, t, f) against y

So the sigmoid of g estimates P(y = 1 | y_t), and m = 2 sigmoid(g) - 1 the expectation E[y | y_t]. The flow that carries
the distribution of u to that of y (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003) has the
velocity E[y - u | y_t] = (m - y_t) / (1 - t). Sampling follows it in N Euler steps, at t = 0, 1/N, ...:

    y <- y + (m - y) / (N - k),  k = 0 ... N - 1

The last step ends at m, so the sample is the sigmoid of g there. Pixels decide together although their noise is
independent, because g sees the neighbourhood of each.

Unlike the authors' code, which moves by softmax(g) - u with the u that the path began with, this is the flow's own
velocity; and g sees the features, where theirs sees mu alone.
"""

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from segunc.networks.annotator_sampling import one_annotator
from segunc.networks.backbone import UNet
from segunc.networks.shape import Backbone, DataStatistics, flow_network

WORK = {"training": {"unet": 1, "flow": 1}, "image": {"unet": 1}, "sample": {"flow": "steps"}}


def build(
    data: DataStatistics,
    backbone: Backbone,
    *,
    steps: PositiveInt = 10,  # Euler steps of a sample; training does not depend on them
) -> nn.Module:
    """An untrained network."""
    return FlowSSN(data, backbone, steps)


class FlowSSN(nn.Module):
    """The U-Net of the base distribution, and the small network of the flow."""

    draws = "independent"

    def __init__(self, data: DataStatistics, backbone: Backbone, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.net = UNet(data, backbone, head=False)
        self.base = nn.Conv2d(backbone.filters[0], 1, 1)
        channels, shape = flow_network(backbone)
        # Features, y_t and t are of the order of 1 as they are.
        self.flow = UNet(DataStatistics([0.0] * channels, [1.0] * channels, data.foreground), shape)

    def logits(self, features: Tensor, y: Tensor, t: Tensor | float) -> Tensor:
        """Features (B, F, H, W), points on the paths (B, 1, H, W) and times in [0, 1], (B, 1, 1, 1), to logits as y."""
        time = torch.zeros_like(y) + t
        return self.flow(torch.cat([features, y, time], dim=1)).float()

    def loss(self, images: Tensor, masks: Tensor, annotated: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the flow at a random time of each image, against one annotator."""
        target = one_annotator(masks, annotated, generator)
        features = self.net(images)
        start = self._start(self.base(features).float(), generator)
        t = torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator)
        y = (1 - t) * start + t * (2 * target - 1)
        return F.binary_cross_entropy_with_logits(self.logits(features, y, t), target)

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """n samples, each along a path of its own; the U-Net runs once."""
        features = self.net(images)
        mean = self.base(features).float()
        return torch.stack([self._path(features, self._start(mean, generator)) for _ in range(n)])

    def features(self, images: Tensor) -> Tensor:
        """Those of the U-Net; see `segunc.models`."""
        return self.net.features(images)

    def _start(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        return mean + torch.randn(mean.shape, device=mean.device, generator=generator)

    def _path(self, features: Tensor, y: Tensor) -> Tensor:
        """Foreground probabilities (B, H, W) at the end of the paths that start in y."""
        probability = y
        for step in range(self.steps):
            probability = self.logits(features, y, step / self.steps).sigmoid()
            y = y + (2 * probability - 1 - y) / (self.steps - step)
        return probability.squeeze(1)
