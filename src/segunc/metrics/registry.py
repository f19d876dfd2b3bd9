"""The metrics: one record for each, from which columns, tables, directions and descriptions are taken.

To add a metric, write a pure function in a module of this package, a record below, and a test. Its scores then appear
in `images.csv`, `summary.csv` and `summary.md`; add its name to one of the selections at the end to see it elsewhere.
"""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Literal, get_args

from numpy.typing import NDArray

from segunc.metrics import (
    best_match,
    border,
    calibration,
    correlation,
    ged,
    matching,
    overlap,
    probability,
    uncertainty,
)
from segunc.metrics.levels import LEVELS, level_sets

__all__ = ["COMPARED", "ENERGY_DISTANCES", "METRICS", "ROUND_SCORES", "STRATEGIES_COMPARED", "Inputs", "Metric"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Inputs:
    """What a metric may need of one image: the prediction, the annotations, and what follows from both.

    What follows is computed when a metric first needs it, once per image.
    """

    samples: NDArray
    """(S, H, W), bool: the sampled masks, S >= 1."""
    exact: bool
    """Whether the samples are the whole distribution, each outcome equally often; else they are independent."""
    mean: NDArray
    """(H, W), float in [0, 1]: mean of the samples."""
    uncertainty: NDArray | None
    """(H, W), float: predictive entropy in bits. None if `mean` is a share of masks that is not meant as a
    probability."""
    expected_entropy: NDArray | None
    """(H, W), float: mean of the samples' entropies in bits. None if unknown."""
    mutual_information: NDArray | None
    """(H, W), float: predictive minus expected entropy in bits. None if unknown."""
    log_foreground: NDArray | None
    """(H, W), float: mean over the samples of the log of their foreground probability, in nats. None if unknown."""
    log_background: NDArray | None
    """(H, W), float: the same of their background probability."""
    cut: float
    """In [0, 1]: the threshold of `mean` that is best on the validation images."""
    annotations: NDArray
    """(A, H, W), bool or {0, 1}: the existing annotations."""
    truth: NDArray | None
    """(H, W), float in [0, 1]: the true probability that an annotator marks the pixel. None if unknown."""

    @cached_property
    def probability(self) -> NDArray | None:
        """`mean` if it is meant as a probability, else None."""
        return None if self.uncertainty is None else self.mean

    @cached_property
    def prediction(self) -> NDArray:
        """(H, W), bool: `mean`, thresholded at > 0.5."""
        return self.mean > 0.5

    @cached_property
    def prediction_at_cut(self) -> NDArray:
        """(H, W), bool: `mean`, thresholded at > `cut`."""
        return self.mean > self.cut

    @cached_property
    def distances(self) -> ged.Distances:
        """Distances between samples and annotations, from which all energy distances are made."""
        return ged.distances(self.samples, self.annotations, exact=self.exact)

    @cached_property
    def levels(self) -> "Inputs":
        """The same with the level sets of `mean` as samples, which have no probabilities of their own."""
        return replace(
            self,
            samples=level_sets(self.mean),
            exact=True,
            expected_entropy=None,
            mutual_information=None,
            log_foreground=None,
            log_background=None,
        )

    @cached_property
    def level_distances(self) -> ged.Distances:
        """`distances` of `levels`."""
        return self.levels.distances

    @cached_property
    def between_annotators(self) -> NDArray:
        """(A, A): distances between the annotations."""
        return self.distances.between_annotators

    @cached_property
    def bins(self) -> calibration.Bins | None:
        """Bins of `probability`."""
        return None if self.probability is None else calibration.bins(self.probability, self.annotations)

    @cached_property
    def groups(self) -> dict[str, NDArray]:
        """(H, W), bool: the pixels of each of OUTCOMES and AGREEMENTS of `segunc.metrics.uncertainty`."""
        outcomes = uncertainty.outcomes(self.prediction, self.annotations)
        return outcomes | uncertainty.agreements(self.annotations)

    @cached_property
    def band(self) -> NDArray:
        """(H, W), bool: the pixels near a border of a mask."""
        return border.band(self.prediction, self.annotations)

    @cached_property
    def prediction_in_band(self) -> NDArray:
        """(N,), bool: `prediction` at the N pixels of `band`."""
        return self.prediction[self.band]

    @cached_property
    def annotations_in_band(self) -> NDArray:
        """(A, N): `annotations` at the pixels of `band`."""
        return self.annotations[:, self.band]

    @cached_property
    def uncertainty_in_band(self) -> NDArray | None:
        """(N,): `uncertainty` at the pixels of `band`."""
        return None if self.uncertainty is None else self.uncertainty[self.band]

    @cached_property
    def closeness_to_border_in_band(self) -> NDArray:
        """(N,): minus the distance to the predicted border at the pixels of `band`."""
        return border.closeness_to_border(self.prediction, self.band)

    @cached_property
    def closeness_to_centre_in_band(self) -> NDArray:
        """(N,): minus the distance to the centre of the image at the pixels of `band`."""
        return border.closeness_to_centre(self.band)


INPUTS = (
    *(field.name for field in fields(Inputs)),
    *(name for name, value in vars(Inputs).items() if isinstance(value, cached_property)),
)
"""What `needs` may name."""
OF_SAMPLES = frozenset(
    {
        *("samples", "exact", "distances"),
        *("expected_entropy", "mutual_information", "log_foreground", "log_background"),
    }
)
OF_PROBABILITY = frozenset(
    {"probability", "uncertainty", "uncertainty_in_band", "bins", "log_foreground", "log_background"}
)


Scale = Literal["identity", "log", "logit"]
"""Scales of `segunc.evaluation.statistics`."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. An incomplete or inconsistent record raises ValueError or TypeError when this module is imported."""

    name: str
    """Its column in files and its name in tables."""
    function: Callable[..., float]
    """Computes it for one image from what it needs, in that order."""
    needs: tuple[str, ...]
    """Names of INPUTS. The metric is undefined on an image for which one of them is None."""
    meaning: str
    """What it is, a phrase without a full stop for `summary.md`."""
    label: str
    """What axes of figures call it."""
    higher_is_better: bool | None
    """None if neither is."""
    low: float | None
    """Smallest possible value; None if unbounded."""
    high: float | None
    """Largest possible value; None if unbounded."""
    undefined: str | None
    """On which images it is NaN although there is all that it needs; None if on no image."""
    scale: Scale = "identity"
    """On which its mean is closer to normal, for intervals and tests."""

    def __post_init__(self) -> None:
        """Refuses what would go wrong in a later stage."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"the metric '{self.name}' needs a name of lower-case letters, digits and underscores")
        texts = {"meaning": self.meaning, "label": self.label}
        for field, text in (texts if self.undefined is None else {**texts, "undefined": self.undefined}).items():
            if not isinstance(text, str) or not text.strip() or text.endswith("."):
                raise ValueError(f"the metric {self.name} needs a phrase without a full stop as `{field}`")
        if not any(self.higher_is_better is value for value in (True, False, None)):
            raise ValueError(f"the metric {self.name} needs True, False or None as `higher_is_better`")
        if self.scale not in get_args(Scale):
            raise ValueError(f"the metric {self.name} needs one of {', '.join(get_args(Scale))} as `scale`")
        if not self.needs or not set(self.needs) <= set(INPUTS):
            raise ValueError(f"the metric {self.name} needs some of {', '.join(INPUTS)}, not {self.needs}")
        try:
            inspect.signature(self.function).bind(*self.needs)
        except TypeError as error:
            raise ValueError(f"the function of the metric {self.name} does not take {self.needs}: {error}") from None
        if None not in (self.low, self.high) and not self.low < self.high:  # type: ignore[operator]
            raise ValueError(f"the metric {self.name} has an empty range: {self.low} to {self.high}")

    def __call__(self, inputs: Inputs) -> float:
        """The metric of one image, NaN where it is undefined."""
        values = [getattr(inputs, name) for name in self.needs]
        return float("nan") if any(value is None for value in values) else float(self.function(*values))

    @property
    def judges_samples(self) -> bool:
        """Whether it depends on more than the mean prediction."""
        return not OF_SAMPLES.isdisjoint(self.needs)

    @property
    def judges_probability(self) -> bool:
        """Whether it is undefined where the mean prediction is not meant as a probability."""
        return not OF_PROBABILITY.isdisjoint(self.needs)


def _registered(*metrics: Metric) -> dict[str, Metric]:
    """The records by name; raises ValueError if two have the same."""
    names = [metric.name for metric in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two metrics have the same name, {twice[0]}")
    return dict(zip(names, metrics, strict=True))


def _ged(n: int) -> Metric:
    """The energy distance of n samples."""
    several = f"{n} sample{'s' * (n > 1)}"
    return Metric(
        name=f"ged_{n}",
        function=partial(ged.v_statistic, n=n),
        needs=("distances",),
        meaning=f"squared generalised energy distance (d = 1 - IoU) of {several}, V-statistic; lower is better; "
        f"a model that knows the population of readers gets D_U/A + D_U/{n} (up to {n} exact samples: D_U/A)",
        label=f"GED² ({several})",
        higher_is_better=False,
        low=min(0, 1 / n - 1 / 2),
        high=2,
        undefined=ONE_SAMPLE if n > 1 else None,
    )


ONE_SAMPLE = "the model has one independent sample"
NO_ERROR = "no pixel of the thresholded mean is wrong, or all are"
NO_ERROR_IN_BAND = f"{NO_ERROR}, near the borders"

METRICS = _registered(
    *(_ged(n) for n in ged.SIZES),
    Metric(
        name="ged_u",
        function=ged.u_statistic,
        needs=("distances",),
        meaning="the same of infinitely many samples, estimated without bias (U-statistic); a model that knows the "
        "population of readers gets D_U/A",
        label="GED² (unbiased)",
        higher_is_better=False,
        low=-1 / 2,
        high=2,
        undefined=ONE_SAMPLE,
    ),
    Metric(
        name="ged_study_16",
        function=ged.study_estimator,
        needs=("distances",),
        meaning="the estimator of Czolbe et al. 2021 in expectation, for comparison with published numbers only",
        label="GED² (16 samples, Czolbe et al. 2021)",
        higher_is_better=False,
        low=-7 / 16,
        high=2,
        undefined=ONE_SAMPLE,
    ),
    Metric(
        name="diversity",
        function=ged.diversity,
        needs=("distances",),
        meaning="mean distance between two of 16 samples; better the closer to that of a model that knows the "
        "population of readers, 15/16 D_U (up to 16 exact samples: D_U)",
        label="sample diversity",
        higher_is_better=None,
        low=0,
        high=15 / 16,
        undefined=ONE_SAMPLE,
    ),
    Metric(
        name="ged_levels",
        function=partial(ged.v_statistic, n=len(LEVELS)),
        needs=("level_distances",),
        meaning="GED² of the mean probability's own 16 level sets instead of the samples; lower is better",
        label="GED² (level sets)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="coupling_gain",
        function=ged.coupling_gain,
        needs=("distances", "level_distances"),
        meaning="GED² of the samples (without correction for their number) minus that of the level sets of their mean; "
        "lower is better: below 0, the samples say more than the mean probability of each pixel",
        label="coupling gain",
        higher_is_better=False,
        low=-2,
        high=2,
        undefined=None,
    ),
    Metric(
        name="hm_iou",
        function=matching.hm_iou,
        needs=("distances",),
        meaning="Hungarian-matched IoU: mean IoU of the best one-to-one matching of samples (at most 16 independent "
        "ones) and annotations; higher is better",
        label="HM-IoU",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="d_max",
        function=best_match.d_max,
        needs=("distances",),
        meaning="Dice of the best of the same samples for an annotation; higher is better, but spread alone raises it: "
        "read it beside `d_max_sample`",
        label="D_max",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="d_max_sample",
        function=best_match.d_max_sample,
        needs=("distances",),
        meaning="Dice of the best annotation for a sample; higher is better",
        label="D_max of a sample",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="ncc",
        function=correlation.ncc,
        needs=("uncertainty", "annotations"),
        meaning="correlation over pixels of the predictive entropy and the entropy of the votes; higher is better",
        label="NCC",
        higher_is_better=True,
        low=-1,
        high=1,
        undefined="the annotators agree on every pixel, or the entropy is the same at every pixel",
    ),
    Metric(
        name="s_ncc",
        function=correlation.s_ncc,
        needs=("probability", "log_foreground", "log_background", "annotations"),
        meaning="correlation over pixels of the samples' expected cross-entropy with their mean and with an "
        "annotation; higher is better",
        label="S-NCC",
        higher_is_better=True,
        low=-1,
        high=1,
        undefined="the samples' probabilities are unknown, or a cross-entropy is the same at every pixel",
    ),
    Metric(
        name="soft_dice_loss",
        function=overlap.soft_dice_loss,
        needs=("mean", "annotations"),
        meaning="1 - soft Dice of the mean probability with each annotator; lower is better",
        label="soft Dice loss",
        higher_is_better=False,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="dice",
        function=overlap.dice,
        needs=("prediction", "annotations"),
        meaning="Dice of the mean probability, thresholded at 0.5, with each annotator; higher is better",
        label="Dice",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="iou",
        function=overlap.iou,
        needs=("prediction", "annotations"),
        meaning="IoU of the same; higher is better",
        label="IoU",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="dice_cut",
        function=overlap.dice,
        needs=("prediction_at_cut", "annotations"),
        meaning="Dice of the mean probability, thresholded where Dice is largest on the validation images; higher is "
        "better",
        label="Dice (validation cut)",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="iou_cut",
        function=overlap.iou,
        needs=("prediction_at_cut", "annotations"),
        meaning="IoU of the same; higher is better",
        label="IoU (validation cut)",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="cross_entropy",
        function=probability.cross_entropy,
        needs=("probability", "annotations"),
        meaning="cross-entropy of the mean probability with each annotator, in nats per pixel; lower is better",
        label="cross-entropy (nats)",
        higher_is_better=False,
        low=0,
        high=-math.log(probability.CLIP),
        undefined=None,
        scale="log",
    ),
    Metric(
        name="brier",
        function=probability.brier,
        needs=("probability", "annotations"),
        meaning="Brier score of the mean probability, over pixels and annotators; lower is better, and `brier_floor` "
        "is the lowest",
        label="Brier score",
        higher_is_better=False,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="brier_floor",
        function=probability.brier_floor,
        needs=("annotations",),
        meaning="the Brier score of the annotators' own frequencies",
        label="lowest Brier score",
        higher_is_better=None,
        low=0,
        high=1 / 4,
        undefined=None,
    ),
    Metric(
        name="ece",
        function=calibration.ece,
        needs=("bins",),
        meaning="expected calibration error (15 bins) of the mean probability against the annotators' frequencies, per "
        "image; lower is better, but few pixels per bin raise it",
        label="ECE (per image)",
        higher_is_better=False,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="error_auroc",
        function=uncertainty.error_auroc,
        needs=("uncertainty", "prediction", "annotations"),
        meaning="AUROC of the predictive entropy as a detector of wrong pixels, per image; higher is better, but the "
        "position in the image tells most of it",
        label="error AUROC",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=NO_ERROR,
        scale="logit",
    ),
    Metric(
        name="error_auroc_band",
        function=uncertainty.error_auroc,
        needs=("uncertainty_in_band", "prediction_in_band", "annotations_in_band"),
        meaning="the same among the pixels near a border of the prediction or of an annotation; higher is better",
        label="error AUROC near borders",
        higher_is_better=True,
        low=0,
        high=1,
        undefined=NO_ERROR_IN_BAND,
        scale="logit",
    ),
    Metric(
        name="border_auroc_band",
        function=uncertainty.error_auroc,
        needs=("closeness_to_border_in_band", "prediction_in_band", "annotations_in_band"),
        meaning="the same of the closeness to the predicted border in the place of the entropy: what the shape of the "
        "prediction tells alone",
        label="error AUROC of the distance to the predicted border",
        higher_is_better=None,
        low=0,
        high=1,
        undefined=NO_ERROR_IN_BAND,
        scale="logit",
    ),
    Metric(
        name="centre_auroc_band",
        function=uncertainty.error_auroc,
        needs=("closeness_to_centre_in_band", "prediction_in_band", "annotations_in_band"),
        meaning="the same of the closeness to the centre of the image, which knows nothing of the image",
        label="error AUROC of the distance to the image centre",
        higher_is_better=None,
        low=0,
        high=1,
        undefined=NO_ERROR_IN_BAND,
        scale="logit",
    ),
    Metric(
        name="truth_rmse",
        function=probability.truth_rmse,
        needs=("probability", "truth"),
        meaning="root mean squared difference of the mean probability and the annotators' true one; lower is better",
        label="RMSE to the true probability",
        higher_is_better=False,
        low=0,
        high=1,
        undefined=None,
    ),
    Metric(
        name="annotator_distance",
        function=ged.annotator_distance,
        needs=("between_annotators",),
        meaning="D_U: mean distance (1 - IoU) of two different annotators, of which floors and targets of GED² and "
        "diversity are multiples",
        label="annotator distance",
        higher_is_better=None,
        low=0,
        high=1,
        undefined="the image has one annotator only",
    ),
)
"""By name, in the order of columns and tables."""


def _selected(*names: str) -> tuple[str, ...]:
    """These names; raises ValueError for one that no metric has."""
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric is called {', '.join(unknown)}")
    return names


ENERGY_DISTANCES = _selected(*(name for name in METRICS if name.startswith("ged_")))
"""Shown by the number of annotators who mark something on the image."""
COMPARED = _selected("ged_u", "dice_cut", "cross_entropy")
"""In which models are tested against each other: one of the samples, one of the mask, one of the probability."""
ROUND_SCORES = _selected("cross_entropy", "dice", "dice_cut", "ged_u")
"""Computed after each round of active learning."""
STRATEGIES_COMPARED = _selected("cross_entropy", "dice_cut", "ged_u")
"""In which acquisition strategies are tested against each other, the primary one first: some of ROUND_SCORES with a
direction."""

for _name in STRATEGIES_COMPARED:
    if _name not in ROUND_SCORES or METRICS[_name].higher_is_better is None:
        raise ValueError(f"strategies cannot be compared in {_name}: no round score, or neither way is better")
