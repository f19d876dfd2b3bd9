"""What a network in training is validated on, and the criterion by which early stopping selects weights.

In torch, on the device of the network, and without `segunc.metrics`: an edit of a metric must not rerun trainings.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from segunc.data.store import Images
from segunc.learning.build import to_float
from segunc.learning.device import mixed_precision
from segunc.learning.passes import VALIDATION_BATCH, VALIDATION_DRAWS


class Validation(NamedTuple):
    """Means over the validation images."""

    cross_entropy: float
    """Of the mean of the samples, in nats per pixel, averaged over pixels and annotators."""
    ged: float
    """Generalised energy distance (`energy_distance`), in [-1/8, 2] with 8 samples."""
    divergence: list[float]
    """KL(posterior || prior) per latent dimension, in nats; empty if the model has no latent space."""

    @property
    def criterion(self) -> float:
        """Of early stopping, the lower the better.

        The cross-entropy alone would judge the mean of the samples. It is flat after a quarter of the training of a
        Probabilistic U-Net, while the samples still approach the annotators' masks.
        """
        return self.cross_entropy + self.ged


@torch.no_grad()
def validate(model: Any, images: Images, precision: str, device: torch.device) -> Validation:
    """Validates a model (`segunc.models`) with 8 samples per image, or all outcomes of an exact model.

    The random numbers are the same each time, so validations of one run differ in the weights alone. Leaves the model
    in evaluation mode.
    """
    model.eval()
    generator = torch.Generator(device).manual_seed(0)
    cross_entropies, distances, divergences = [], [], []
    for start in range(0, len(images.images), VALIDATION_BATCH):
        part = slice(start, start + VALIDATION_BATCH)
        x = to_float(images.images[part], device)
        masks = torch.from_numpy(images.masks[part]).to(device).float()
        annotated = torch.from_numpy(images.annotated[part]).to(device)
        with mixed_precision(device, precision):
            samples = model.sample(x, VALIDATION_DRAWS, generator).float()
            if hasattr(model, "divergence"):
                divergences.append(model.divergence(x, masks, annotated, generator))
        weights = (annotated / annotated.sum(dim=1, keepdim=True)).to(masks.dtype)
        # The cross-entropy is linear in the mask, so against the mean mask it is the mean over the annotators.
        y = torch.einsum("ba,bahw->bhw", weights, masks)
        p = samples.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        cross_entropies.append(-(y * p.log() + (1 - y) * (1 - p).log()).mean(dim=(1, 2)))
        distances.append(energy_distance(samples > 0.5, masks, weights, exact=model.draws == "exact"))
    return Validation(
        float(torch.cat(cross_entropies).mean()),
        float(torch.cat(distances).mean()),
        torch.cat(divergences).mean(dim=0).tolist() if divergences else [],
    )


def energy_distance(samples: Tensor, masks: Tensor, weights: Tensor, *, exact: bool) -> Tensor:
    """Generalised energy distance of each of B images, (B,): 2 E d(s, a) - E d(s, s') - E d(a, a'), with d = 1 - IoU.

    Two empty masks have distance 0, an empty and a non-empty one 1. It is the unbiased estimator (U-statistic): E d(s,
    s') is the mean over pairs of different samples. The samples of an exact model are all outcomes, so there it is the
    mean over all pairs. All annotators are known, too.

    Parameters
    ----------
    samples
        bool (S, B, H, W), S >= 2 if not `exact`.
    masks
        {0, 1} (B, A, H, W): the annotators' masks.
    weights
        float32 (B, A), sum 1 per image: 0 for annotators who do not exist, equal for the others.
    exact
        Whether the samples are all outcomes of the model, each equally probable; else they are independent.
    """
    count = len(samples)
    both = torch.cat([samples.transpose(0, 1).to(masks.dtype), masks], dim=1).flatten(start_dim=2)
    shared = both @ both.transpose(1, 2)
    size = shared.diagonal(dim1=1, dim2=2)
    union = size[:, :, None] + size[:, None, :] - shared
    distance = torch.where(union > 0, 1 - shared / union, 0)
    to_annotators = torch.einsum("bsa,ba->b", distance[:, :count, count:], weights) / count
    between_samples = distance[:, :count, :count].sum(dim=(1, 2)) / (count * (count if exact else count - 1))
    between_annotators = torch.einsum("ba,bac,bc->b", weights, distance[:, count:, count:], weights)
    return 2 * to_annotators - between_samples - between_annotators
