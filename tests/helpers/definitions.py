"""The measures by their definitions, in sets, fractions and loops: slow, and written apart from `segunc.metrics`."""

from fractions import Fraction
from itertools import combinations, pairwise, permutations, product
from math import hypot, lcm, log, log2, nan

import numpy as np


def pixels(mask):
    return {(y, x) for y, row in enumerate(mask) for x, value in enumerate(row) if value}


def iou(a, b):
    a, b = pixels(a), pixels(b)
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(1)


def dice(a, b):
    a, b = pixels(a), pixels(b)
    return Fraction(2 * len(a & b), len(a) + len(b)) if a or b else Fraction(1)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def mean_distance(first, second):
    return mean(1 - iou(a, b) for a, b in product(first, second))


def energy_distance(samples, annotations):
    within = mean_distance(samples, samples) + mean_distance(annotations, annotations)
    return 2 * mean_distance(samples, annotations) - within


def energy_distance_of(n, samples, annotations):
    """Mean over all subsets of n samples."""
    return mean(energy_distance(subset, annotations) for subset in combinations(samples, n))


def different(masks):
    """Mean distance between two different masks."""
    return mean(1 - iou(a, b) for a, b in combinations(masks, 2)) if len(masks) > 1 else nan


def best_matching(samples, annotations):
    """Mean IoU of the best one-to-one matching; for a handful of masks, since it tries every one."""
    size = lcm(len(samples), len(annotations))
    left, right = list(samples) * (size // len(samples)), list(annotations) * (size // len(annotations))
    return max(mean(iou(a, b) for a, b in zip(left, order, strict=True)) for order in permutations(right))


def votes(annotations):
    """Share of annotators at each pixel, as Fractions by row."""
    return [
        [Fraction(sum(int(v) for v in at), len(at)) for at in zip(*rows, strict=True)]
        for rows in zip(*annotations, strict=True)
    ]


def entropy(p):
    return -sum(float(q) * log2(q) for q in (p, 1 - p) if q > 0)


def correlation(x, y):
    x, y = list(x), list(y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        return nan
    dx, dy = [v - mean(x) for v in x], [v - mean(y) for v in y]
    both = sum(a * b for a, b in zip(dx, dy, strict=True))
    return both / (sum(a * a for a in dx) * sum(b * b for b in dy)) ** 0.5


def spread_correlation(samples, annotations):
    """S_NCC from the samples' probabilities, strictly between 0 and 1."""

    def cross_entropy(m, p):
        return -m * log(p) - (1 - m) * log(1 - p)

    flat = [[float(p) for p in np.ravel(sample)] for sample in samples]
    centre = [mean(at) for at in zip(*flat, strict=True)]
    spread = [mean(cross_entropy(m, s[i]) for s in flat) for i, m in enumerate(centre)]
    per_annotator = []
    for annotation in annotations:
        y = [int(v) for v in np.ravel(annotation)]
        per_annotator.append(correlation(spread, [mean(cross_entropy(m, s[i]) for s in flat) for i, m in enumerate(y)]))
    return mean(per_annotator)


def brier(probability, annotations):
    terms = [
        (Fraction(float(p)) - int(y)) ** 2
        for a in annotations
        for p, y in zip(np.ravel(probability), np.ravel(a), strict=True)
    ]
    return mean(terms)


def calibration_error(probability, annotations, bins):
    """Sum over bins of n_b / n times |mean p - mean f|."""
    shares = [f for row in votes(annotations) for f in row]
    by_bin = {}
    for p, f in zip(np.ravel(probability), shares, strict=True):
        by_bin.setdefault(min(int(float(p) * bins), bins - 1), []).append((float(p), f))
    gaps = [len(of) * abs(mean(p for p, _ in of) - float(mean(f for _, f in of))) for of in by_bin.values()]
    return sum(gaps) / len(shares)


def auroc(uncertainty, prediction, annotations):
    """Every wrong pair of pixel and annotator against every right one."""
    wrong, right = [], []
    for annotation in annotations:
        for u, p, y in zip(np.ravel(uncertainty), np.ravel(prediction), np.ravel(annotation), strict=True):
            (wrong if p != y else right).append(u)
    if not wrong or not right:
        return nan
    return mean((w > r) + (w == r) / 2 for w, r in product(wrong, right))


def distance_to_other_class(mask, y, x):
    here = [hypot(y - v, x - u) for (v, u), value in np.ndenumerate(mask) if value != mask[y, x]]
    return min(here, default=float("inf"))


def band(masks, radius):
    shape = masks[0].shape
    near = np.zeros(shape, bool)
    for y, x in np.ndindex(shape):
        near[y, x] = any(distance_to_other_class(mask, y, x) <= radius for mask in masks)
    return near


def risk_coverage(risk, uncertainty):
    """AURC and AUGRC as means over all orders that the uncertainty allows."""
    orders = [
        o for o in permutations(range(len(risk))) if all(uncertainty[a] <= uncertainty[b] for a, b in pairwise(o))
    ]
    aurc = mean(mean(mean(Fraction(risk[i]) for i in order[:k]) for k in range(1, len(risk) + 1)) for order in orders)
    areas = []
    for order in orders:
        curve = [sum((Fraction(risk[i]) for i in order[:k]), Fraction(0)) / len(risk) for k in range(len(risk) + 1)]
        areas.append(sum((a + b) / 2 for a, b in pairwise(curve)) / len(risk))
    return aurc, mean(areas)
