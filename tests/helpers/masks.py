"""Masks that measures go wrong on."""

import numpy as np

L, T, E = (np.array(mask, bool) for mask in ([[1, 0], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]))
"""Left, top, empty: samples {L, E} and annotations {L, T, E, E} are the example computed by hand."""
H, W = 4, 5


def random_masks(n, seed):
    """Masks of many sizes, some empty, some full."""
    generator = np.random.default_rng(seed)
    return generator.random((n, H, W)) < generator.choice([0, 0.2, 0.5, 0.9, 1], size=(n, 1, 1))


def adversarial(n, kind):
    """n masks: all empty, all full, one pixel, the same mask, nested ones, disjoint ones, or half of them empty."""
    masks = np.zeros((n, H, W), bool)
    if kind == "full":
        masks[:] = True
    elif kind == "pixel":
        masks[:, 1, 2] = True
    elif kind == "same":
        masks[:] = random_masks(1, 3) | (np.arange(W) == 1)
    elif kind == "nested":
        for i in range(n):
            masks[i].flat[: i % (H * W)] = True
    elif kind == "disjoint":
        for i in range(n):
            masks[i].flat[i % (H * W)] = True
    elif kind == "half":
        masks[::2, :2] = True
    return masks


KINDS = ("empty", "full", "pixel", "same", "nested", "disjoint", "half")


def pairs():
    """Samples and annotations: every kind against every kind, and random ones, of 1 to 64 and of 1 to 5 masks."""
    counts = [(1, 4), (2, 1), (4, 3), (16, 2), (64, 5), (4, 4), (3, 2)]
    for i, first in enumerate(KINDS):
        for j, second in enumerate(KINDS):
            samples, annotators = counts[(i + j) % len(counts)]
            yield adversarial(samples, first), adversarial(annotators, second)
    for seed, (samples, annotators) in enumerate(counts):
        yield random_masks(samples, seed), random_masks(annotators, 100 + seed)
