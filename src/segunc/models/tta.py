"""`tta`: test-time augmentation of another model's trained network (Wang et al. 2019, arXiv:1807.07356).

The network sees each image in several views, flipped or turned by multiples of 90 degrees, and each of its samples is
transformed back. Each view is equally probable. They are the views of training images if these were flipped and turned
(`training.augmentation`, on by default); a network that never saw such views may be wrong on them.
"""

from typing import Literal

import torch
from torch import Tensor, nn

WORK = {"image": {"image": "views"}, "sample": {"sample": 1}}

Symmetry = tuple[int, bool]
"""Quarter turns, and whether a flip from left to right follows."""


def wrap(
    trained: nn.Module,
    *,
    views: Literal[2, 4, 8] = 8,  # 2: flips from left to right; 4: all flips; 8: quarter turns as well
) -> nn.Module:
    """The trained network with test-time augmentation."""
    return TestTimeAugmentation(trained, views)


def symmetries(views: int) -> list[Symmetry]:
    """The group of 2, 4 or 8 symmetries of a square, the identity first."""
    turns = {2: (0,), 4: (0, 2), 8: (0, 1, 2, 3)}[views]
    return [(quarter, flip) for quarter in turns for flip in (False, True)]


def transformed(images: Tensor, symmetry: Symmetry) -> Tensor:
    """Images (..., H, W) under a symmetry; a quarter turn exchanges H and W."""
    quarter, flip = symmetry
    turned = images.rot90(quarter, dims=(-2, -1))
    return turned.flip(-1) if flip else turned


def transformed_back(images: Tensor, symmetry: Symmetry) -> Tensor:
    """Images (..., H, W) under the inverse of a symmetry."""
    quarter, flip = symmetry
    return (images.flip(-1) if flip else images).rot90(-quarter, dims=(-2, -1))


class TestTimeAugmentation(nn.Module):
    """If the network has S outcomes, this has S of each view. Else each sample is one of a view chosen at random."""

    def __init__(self, trained: nn.Module, views: int) -> None:
        super().__init__()
        self.trained = trained
        self.draws = trained.draws
        self.symmetries = symmetries(views)

    def sample(self, images: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """All outcomes of all views, or n independent samples; see `segunc.models`."""
        if self.draws == "exact":
            return torch.cat([self._of_view(images, n, view, generator) for view in self.symmetries])
        chosen = torch.randint(len(self.symmetries), (n,), device=images.device, generator=generator)
        samples = images.new_empty(n, len(images), *images.shape[-2:])
        for number, view in enumerate(self.symmetries):
            places = (chosen == number).nonzero().squeeze(1)
            if len(places):
                samples[places] = self._of_view(images, len(places), view, generator)
        return samples

    def _of_view(self, images: Tensor, n: int, view: Symmetry, generator: torch.Generator) -> Tensor:
        """Samples of the network for a view of the images, in the images' own orientation."""
        seen = transformed(images, view).contiguous(memory_format=torch.channels_last)
        return transformed_back(self.trained.sample(seen, n, generator), view)  # type: ignore[operator]
