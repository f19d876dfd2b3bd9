"""The metrics: one record for each, from which columns, tables, directions and descriptions are taken.

To add a metric, write a pure function in a module of this package, a record below, and a test. Its scores then appear
in `images.csv`, `summary.csv` and `summary.md`; add its name to one of the selections at the end to see it elsewhere.
"""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial

from numpy.typing import NDArray

from segunc.metrics import ged, overlap, probability, uncertainty

__all__ = ["COMPARED", "ENERGY_DISTANCES", "METRICS", "ROUND_SCORES", "STRATEGIES_COMPARED", "Inputs", "Metric"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Inputs:
    """What a metric may need of one image: the prediction, the annotations, and what follows from both.

    What follows is computed when a metric first needs it, once per image.
    """

    samples: NDArray
    """(S, H, W), bool: the sampled masks; S is a multiple of 16."""
    exact: bool
    """Whether the samples are the whole distribution, each outcome equally often; else they are independent."""
    mean: NDArray
    """(H, W), float in [0, 1]: mean of the samples."""
    uncertainty: NDArray | None
    """(H, W), float: predictive entropy in bits. None if `mean` is a share of masks that is not meant as a
    probability."""
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
    def distances(self) -> ged.Distances:
        """Distances between samples and annotations, from which all energy distances are made."""
        return ged.distances(self.samples, self.annotations, exact=self.exact)


INPUTS = (
    *(field.name for field in fields(Inputs)),
    *(name for name, value in vars(Inputs).items() if isinstance(value, cached_property)),
)
"""What `needs` may name."""
OF_SAMPLES = frozenset({"samples", "distances"})
OF_PROBABILITY = frozenset({"probability", "uncertainty"})


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

    def __post_init__(self) -> None:
        """Refuses what would go wrong in a later stage."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"the metric '{self.name}' needs a name of lower-case letters, digits and underscores")
        texts = {"meaning": self.meaning, "label": self.label, "undefined": self.undefined}
        for field, text in texts.items():
            if text is not None and (not text.strip() or text.endswith(".")):
                raise ValueError(f"the metric {self.name} needs a phrase without a full stop as `{field}`")
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
        """Whether it compares samples with annotations; else it judges the mean prediction."""
        return not OF_SAMPLES.isdisjoint(self.needs)

    @property
    def judges_probability(self) -> bool:
        """Whether it is undefined where the mean prediction is not meant as a probability."""
        return not OF_PROBABILITY.isdisjoint(self.needs)


def _registered(*metrics: Metric) -> dict[str, Metric]:
    """The records by name; raises ValueError if two have the same."""
    by_name = {metric.name: metric for metric in metrics}
    if len(by_name) < len(metrics):
        raise ValueError("two metrics have the same name")
    return by_name


METRICS = _registered(
    Metric(
        name="ged_1",
        function=partial(ged.v_statistic, n=1),
        needs=("distances",),
        meaning="squared generalised energy distance (d = 1 - IoU) of 1 draw, V-statistic; lower is better",
        label="GED² (1 sample)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="ged_4",
        function=partial(ged.v_statistic, n=4),
        needs=("distances",),
        meaning="the same of 4 draws",
        label="GED² (4 samples)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="ged_8",
        function=partial(ged.v_statistic, n=8),
        needs=("distances",),
        meaning="the same of 8 draws",
        label="GED² (8 samples)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="ged_16",
        function=partial(ged.v_statistic, n=16),
        needs=("distances",),
        meaning="the same of 16 draws; a perfect model with independent draws gets 1/16 of the annotators' diversity",
        label="GED² (16 samples)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="ged_u_16",
        function=ged.u_statistic,
        needs=("distances",),
        meaning="the same without bias (U-statistic); a perfect model gets 0 on average",
        label="GED² (16 samples, unbiased)",
        higher_is_better=False,
        low=-1 / 16,
        high=2,
        undefined=None,
    ),
    Metric(
        name="ged_study_16",
        function=ged.study_estimator,
        needs=("distances",),
        meaning="the estimator of Czolbe et al. 2021 in expectation, for comparison with published numbers only",
        label="GED² (16 samples, Czolbe et al. 2021)",
        higher_is_better=False,
        low=0,
        high=2,
        undefined=None,
    ),
    Metric(
        name="diversity",
        function=ged.diversity,
        needs=("distances",),
        meaning="mean distance between two of the 16 draws; better the closer to the annotators' (`baseline_oracle`)",
        label="sample diversity",
        higher_is_better=None,
        low=0,
        high=15 / 16,
        undefined=None,
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
        name="cross_entropy",
        function=probability.cross_entropy,
        needs=("probability", "annotations"),
        meaning="cross-entropy of the mean probability with each annotator, in nats per pixel; lower is better",
        label="cross-entropy (nats)",
        higher_is_better=False,
        low=0,
        high=-math.log(probability.CLIP),
        undefined=None,
    ),
    Metric(
        name="error_auroc",
        function=uncertainty.error_auroc,
        needs=("uncertainty", "prediction", "annotations"),
        meaning="AUROC of the predictive entropy as a detector of wrong pixels, per image; higher is better",
        label="error AUROC",
        higher_is_better=True,
        low=0,
        high=1,
        undefined="no pixel of the thresholded mean is wrong, or all are",
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
COMPARED = _selected("ged_16", "ged_u_16", "dice", "cross_entropy")
"""In which models are tested against each other."""
ROUND_SCORES = _selected("cross_entropy", "dice", "ged_16", "ged_u_16")
"""Computed after each round of active learning, in the order of its `scores.csv`."""
STRATEGIES_COMPARED = _selected("cross_entropy", "dice", "ged_16")
"""In which acquisition strategies are tested against each other, some of ROUND_SCORES with a direction."""

for _name in STRATEGIES_COMPARED:
    if _name not in ROUND_SCORES or METRICS[_name].higher_is_better is None:
        raise ValueError(f"strategies cannot be compared in {_name}: no round score, or neither way is better")
