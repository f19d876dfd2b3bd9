"""Measures of one image, on arrays whose inputs are checked (`segunc.library.inputs`); docs/measures.md defines them.

Masks are bool or integers that are 0 or 1. Each function raises ValueError with one sentence for arrays that are no
masks or no probabilities, that have other dimensions, or that do not belong together.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segunc.library.inputs import finite, masks, probabilities, same_size
from segunc.metrics import calibration, correlation, matching, overlap
from segunc.metrics import ged as energy
from segunc.metrics import probability as of_probability
from segunc.metrics import uncertainty as of_uncertainty

__all__ = [
    "brier",
    "cross_entropy",
    "dice",
    "diversity",
    "ece",
    "entropy",
    "error_auroc",
    "expected_entropy",
    "ged",
    "hm_iou",
    "iou",
    "mutual_information",
    "ncc",
    "predictive_entropy",
]

MAP, SAMPLES, ANNOTATIONS = ("H", "W"), ("S", "H", "W"), ("A", "H", "W")


def ged(samples: ArrayLike, annotations: ArrayLike, *, n: int | None = None, exact: bool = False) -> float:
    """Squared generalised energy distance (GED²) with the distance 1 - IoU; lower is better.

    Parameters
    ----------
    samples
        (S, H, W), masks sampled from a model.
    annotations
        (A, H, W), the masks of all annotators.
    n
        None for the U-statistic, which does not depend on the number of samples (`ged_u` in the tables). A number for
        the V-statistic of so many samples, estimated from all S: most publications have 16 (`ged_16`).
    exact
        Whether the samples are the whole distribution, each outcome equally often, as the members of an ensemble are.

    Returns
    -------
    float
        In [0, 2], or as low as -1/S for independent samples without bias. NaN for one independent sample, unless n
        is 1.

    Examples
    --------
    >>> import segunc
    >>> left, right = [[1, 0]], [[0, 1]]
    >>> segunc.ged([left, left], [left, right])
    0.5
    >>> segunc.ged([left, right], [left, right], exact=True)
    0.0
    """
    found = _distances(samples, annotations, exact)
    if n is None:
        return energy.u_statistic(found)
    if n < 1:
        raise ValueError(f"n is {n}, but must be at least 1; pass the number of samples, or None for no bias.")
    return energy.v_statistic(found, n)


def diversity(samples: ArrayLike, *, exact: bool = False) -> float:
    """Mean distance 1 - IoU between two of 16 samples, equal ones included.

    Parameters
    ----------
    samples
        (S, H, W), masks sampled from a model.
    exact
        As in `ged`.

    Returns
    -------
    float
        In [0, 1]; NaN for one independent sample.

    Examples
    --------
    >>> import segunc
    >>> segunc.diversity([[[1, 0]], [[0, 1]]], exact=True)
    0.5
    """
    array = masks("samples", samples, SAMPLES)
    return energy.diversity(energy.distances(array, array[:1], exact=exact))


def hm_iou(samples: ArrayLike, annotations: ArrayLike, *, exact: bool = False) -> float:
    """Hungarian-matched IoU: mean IoU of the best one-to-one matching of samples and annotations; higher is better.

    Of independent samples, the first 16 are matched.

    Parameters
    ----------
    samples, annotations, exact
        As in `ged`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.hm_iou([[[1, 0]], [[0, 0]]], [[[1, 1]], [[0, 0]]])
    0.75
    """
    return matching.hm_iou(_distances(samples, annotations, exact))


def _distances(samples: ArrayLike, annotations: ArrayLike, exact: bool) -> energy.Distances:
    of_model, of_readers = masks("samples", samples, SAMPLES), masks("annotations", annotations, ANNOTATIONS)
    same_size(samples=of_model, annotations=of_readers)
    return energy.distances(of_model, of_readers, exact=exact)


def dice(prediction: ArrayLike, annotations: ArrayLike) -> float:
    """Dice coefficient of one mask with each annotation, averaged over the annotations; two empty masks have 1.

    Parameters
    ----------
    prediction
        (H, W), a mask.
    annotations
        (A, H, W), the masks of all annotators.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.dice([[1, 0, 0]], [[[1, 0, 0]], [[1, 1, 1]]])
    0.75
    """
    return overlap.dice(*_prediction(prediction, annotations))


def iou(prediction: ArrayLike, annotations: ArrayLike) -> float:
    """Intersection over union of one mask with each annotation, averaged over the annotations; two empty masks have 1.

    Parameters
    ----------
    prediction, annotations
        As in `dice`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.iou([[1, 0]], [[[1, 0]], [[1, 1]]])
    0.75
    """
    return overlap.iou(*_prediction(prediction, annotations))


def _prediction(prediction: ArrayLike, annotations: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    mask, of_readers = masks("prediction", prediction, MAP), masks("annotations", annotations, ANNOTATIONS)
    same_size(prediction=mask, annotations=of_readers)
    return mask, of_readers


def cross_entropy(probability: ArrayLike, annotations: ArrayLike) -> float:
    """Binary cross-entropy of a probability map, averaged over pixels and annotators; lower is better.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1], clipped by 1.2e-7.
    annotations
        (A, H, W), the masks of all annotators.

    Returns
    -------
    float
        In nats, at least 0.

    Examples
    --------
    >>> import segunc
    >>> round(segunc.cross_entropy([[0.5, 0.5]], [[[1, 0]], [[0, 0]]]), 6)
    0.693147
    """
    return of_probability.cross_entropy(*_probability(probability, annotations))


def brier(probability: ArrayLike, annotations: ArrayLike) -> float:
    """Brier score of a probability map, averaged over pixels and annotators; lower is better.

    Parameters
    ----------
    probability, annotations
        As in `cross_entropy`, without clipping.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import segunc
    >>> round(segunc.brier([[0.2, 0.9]], [[[0, 1]], [[1, 1]]]), 6)
    0.175
    """
    return of_probability.brier(*_probability(probability, annotations))


def ece(probability: ArrayLike, annotations: ArrayLike) -> float:
    """Expected calibration error of a probability map, in 15 equal bins; lower is better.

    A bin compares the mean probability with the share of annotators who mark its pixels.

    Parameters
    ----------
    probability, annotations
        As in `brier`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> import segunc
    >>> round(segunc.ece([[0.2, 0.9]], [[[0, 1]], [[1, 1]]]), 6)
    0.2
    """
    return calibration.ece(calibration.bins(*_probability(probability, annotations)))


def _probability(probability: ArrayLike, annotations: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    p = probabilities("probability", probability, MAP)
    of_readers = masks("annotations", annotations, ANNOTATIONS)
    same_size(probability=p, annotations=of_readers)
    return p, of_readers


def entropy(probability: ArrayLike) -> NDArray[np.float64]:
    """Entropy of a map of foreground probabilities, pixel by pixel.

    Parameters
    ----------
    probability
        (H, W), float in [0, 1].

    Returns
    -------
    NDArray
        (H, W), float64: bits in [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.entropy([[0.0, 0.25, 0.5]]).round(3).tolist()
    [[0.0, 0.811, 1.0]]
    """
    return _entropy(probabilities("probability", probability, MAP))


def _entropy(p: NDArray[np.floating]) -> NDArray[np.float64]:
    # Not -0, which would be shown as such.
    return of_uncertainty.entropy(p) + 0.0


def predictive_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """Entropy of the mean of sampled probability maps: the total uncertainty.

    Parameters
    ----------
    samples
        (S, H, W), float in [0, 1]: probability maps, not masks.

    Returns
    -------
    NDArray
        (H, W), float64: bits in [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.predictive_entropy([[[0.0, 0.5]], [[1.0, 0.5]]]).tolist()
    [[1.0, 1.0]]
    """
    return _entropy(probabilities("samples", samples, SAMPLES).mean(axis=0, dtype=np.float64))


def expected_entropy(samples: ArrayLike) -> NDArray[np.float64]:
    """Mean entropy of sampled probability maps: the aleatoric part.

    Parameters
    ----------
    samples
        As in `predictive_entropy`.

    Returns
    -------
    NDArray
        (H, W), float64: bits in [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.expected_entropy([[[0.0, 0.5]], [[1.0, 0.5]]]).tolist()
    [[0.0, 1.0]]
    """
    return _entropy(probabilities("samples", samples, SAMPLES)).mean(axis=0)


def mutual_information(samples: ArrayLike) -> NDArray[np.float64]:
    """Predictive minus expected entropy of sampled probability maps: how much the samples differ.

    Parameters
    ----------
    samples
        As in `predictive_entropy`.

    Returns
    -------
    NDArray
        (H, W), float64: bits in [0, 1].

    Examples
    --------
    >>> import segunc
    >>> segunc.mutual_information([[[0.0, 0.5]], [[1.0, 0.5]]]).tolist()
    [[1.0, 0.0]]
    """
    # Not negative by concavity, but rounding may make it so.
    return (predictive_entropy(samples) - expected_entropy(samples)).clip(min=0)


def ncc(uncertainty: ArrayLike, annotations: ArrayLike) -> float:
    """Correlation over pixels of uncertainty and the entropy of the annotators' votes; higher is better.

    Parameters
    ----------
    uncertainty
        (H, W), finite numbers, such as an entropy map.
    annotations
        (A, H, W), the masks of all annotators.

    Returns
    -------
    float
        In [-1, 1]; NaN if either map is constant, as the votes of one annotator are.

    Examples
    --------
    >>> import segunc
    >>> segunc.ncc([[0.0, 0.0, 0.9, 0.9]], [[[0, 0, 1, 1]], [[0, 0, 0, 0]]])
    1.0
    """
    u, of_readers = finite("uncertainty", uncertainty, MAP), masks("annotations", annotations, ANNOTATIONS)
    same_size(uncertainty=u, annotations=of_readers)
    return correlation.ncc(u, of_readers)


def error_auroc(uncertainty: ArrayLike, prediction: ArrayLike, annotations: ArrayLike) -> float:
    """Area under the ROC curve of the uncertainty as a detector of wrong pixels; higher is better.

    Each annotator judges each pixel. Most of it is known from the position in the image alone (docs/measures.md).

    Parameters
    ----------
    uncertainty
        (H, W), finite numbers, such as an entropy map.
    prediction
        (H, W), the mask that is judged.
    annotations
        (A, H, W), the masks of all annotators.

    Returns
    -------
    float
        In [0, 1]; NaN if no pixel is wrong, or all are.

    Examples
    --------
    >>> import segunc
    >>> segunc.error_auroc([[0.9, 0.1, 0.2]], [[1, 1, 0]], [[[0, 1, 0]]])
    1.0
    """
    u = finite("uncertainty", uncertainty, MAP)
    mask, of_readers = _prediction(prediction, annotations)
    same_size(uncertainty=u, prediction=mask)
    return of_uncertainty.error_auroc(u, mask, of_readers)
