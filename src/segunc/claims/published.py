"""Numbers that Czolbe et al. 2021 published, and the column of `images.csv` that each compares with.

They are from the paper's figures, read from their vector coordinates, and from the files `plots/metrics.csv` and
`plots/test_results.txt` that its authors published with their code. Their data are LIDC-IDRI and ISIC 2018.
"""

from typing import NamedTuple

__all__ = ["CURVES", "DATA", "LABELLED", "LIDC", "SCORES", "TESTS", "Score"]

LIDC, ISIC = "LIDC-IDRI", "ISIC 2018"
DATA = {
    "lidc": (LIDC, "another extraction and split"),
    "lidc_dicom": (LIDC, "another extraction and split"),
    "lidc_pickle": (LIDC, "another extraction and split"),
    "lidc_crops": (LIDC, "its images at full resolution and its split"),
    "isic18": (ISIC, "its images, another split"),
    "isic18_parts": (ISIC, "another split"),
}
"""By dataset of the config: the study's dataset, and how the data differ from it."""

METHODS = ("unet", "ensemble", "mc_dropout", "prob_unet")
HALF = "half of the test images"
LOSS = "loss of one annotator (ensemble: of its members); " + HALF
DRAWN = "as many annotators as samples, drawn with replacement"
SQUARES = "squares in the denominator, mean annotation"
PIXELS = "1,000 random pixels, outcomes of one sampled mask"


class Score(NamedTuple):
    """A published score of one model."""

    source: str
    data: str
    method: str
    quantity: str
    column: str
    """Ours."""
    statistic: str
    """Over the test images: `mean` or `median`."""
    value: float
    same: bool
    """Whether ours is the same quantity in expectation."""
    note: str
    """How it was computed."""


def _of_methods(
    source: str, data: str, statistic: str, *rows: tuple[str, str, tuple[float, ...], bool, str]
) -> list[Score]:
    """rows: quantity, our column, a value per method, whether it is the same, and a note."""
    return [
        Score(source, data, method, quantity, column, statistic, value, same, note)
        for quantity, column, values, same, note in rows
        for method, value in zip(METHODS, values, strict=True)
    ]


SCORES = [
    *_of_methods(
        "metrics.csv",
        LIDC,
        "mean",
        ("test loss", "cross_entropy", (0.00945, 0.01133, 0.01726, 0.01031), False, LOSS),
        ("GED, 1 sample", "ged_1", (1.2110, 1.2667, 1.2442, 1.2940), False, f"{DRAWN}; {HALF}"),
        ("GED, 4 samples", "ged_4", (0.8721, 0.7089, 0.7235, 0.6005), False, f"{DRAWN}; {HALF}"),
        ("GED, 8 samples", "ged_8", (0.8146, 0.5951, 0.6008, 0.4891), False, f"{DRAWN}; {HALF}"),
        ("GED, 16 samples", "ged_study_16", (0.8142, 0.5689, 0.4672, 0.4556), True, HALF),
        ("diversity, 16 samples", "diversity", (0, 0.2653, 0.3956, 0.4318), True, HALF),
        ("soft Dice loss, 16 samples", "soft_dice_loss", (0.3584, 0.3480, 0.4860, 0.3759), False, f"{SQUARES}; {HALF}"),
    ),
    *_of_methods(
        "metrics.csv",
        ISIC,
        "mean",
        ("test loss", "cross_entropy", (0.17324, 0.17526, 0.15696, 0.14690), False, LOSS),
        ("GED, 1 sample", "ged_1", (0.5300, 0.5421, 0.5573, 0.4625), True, HALF),
        ("GED, 4 samples", "ged_4", (0.5300, 0.4679, 0.4062, 0.4118), True, HALF),
        ("GED, 8 samples", "ged_8", (0.5300, 0.4400, 0.3151, 0.4014), True, HALF),
        ("GED, 16 samples", "ged_study_16", (0.5300, 0.4424, 0.3099, 0.3976), True, HALF),
        ("diversity, 16 samples", "diversity", (0, 0.1050, 0.2681, 0.0692), True, HALF),
        ("soft Dice loss, 16 samples", "soft_dice_loss", (0.1575, 0.1576, 0.1175, 0.1244), False, f"{SQUARES}; {HALF}"),
    ),
    *_of_methods(
        "figure 6",
        LIDC,
        "mean",
        ("GED, 1 sample", "ged_1", (1.202, 1.228, 1.257, 1.288), False, DRAWN),
        ("GED, 4 samples", "ged_4", (0.939, 0.693, 0.710, 0.615), False, DRAWN),
        ("GED, 8 samples", "ged_8", (0.848, 0.640, 0.597, 0.514), False, DRAWN),
        ("GED, 16 samples", "ged_study_16", (0.809, 0.579, 0.536, 0.448), True, ""),
    ),
    *_of_methods(
        "figure 6",
        LIDC,
        "median",
        ("GED, 1 sample", "ged_1", (1.333, 1.419, 2.000, 1.511), False, DRAWN),
        ("GED, 4 samples", "ged_4", (0.945, 0.611, 0.583, 0.541), False, DRAWN),
        ("GED, 8 samples", "ged_8", (0.794, 0.556, 0.469, 0.440), False, DRAWN),
        ("GED, 16 samples", "ged_study_16", (0.781, 0.497, 0.418, 0.383), False, DRAWN),
    ),
    *_of_methods(
        "lidc_soft_dice.pdf",
        LIDC,
        "mean",
        ("soft Dice loss, 16 samples", "soft_dice_loss", (0.3694, 0.3564, 0.5170, 0.3826), False, SQUARES),
    ),
    *_of_methods(
        "figure 4",
        LIDC,
        "median",
        ("entropy of true positives", "entropy_tp", (0.801, 0.826, 0.965, 0.924), False, PIXELS),
        ("entropy of false positives", "entropy_fp", (0.975, 0.971, 0.875, 0.981), False, PIXELS),
        ("entropy of false negatives", "entropy_fn", (0.678, 0.759, 0.879, 0.902), False, PIXELS),
        ("entropy of true negatives", "entropy_tn", (0.0008, 0.0007, 0.0027, 0.0003), False, PIXELS),
    ),
    *_of_methods(
        "figure 4",
        ISIC,
        "median",
        ("entropy of true positives", "entropy_tp", (0.087, 0.116, 0.660, 0.115), False, PIXELS),
        ("entropy of false positives", "entropy_fp", (0.871, 0.918, 0.947, 0.925), False, PIXELS),
        ("entropy of false negatives", "entropy_fn", (0.714, 0.794, 0.835, 0.766), False, PIXELS),
        ("entropy of true negatives", "entropy_tn", (0.039, 0.070, 0.284, 0.050), False, PIXELS),
    ),
    *_of_methods(
        "figure 5",
        LIDC,
        "median",
        ("entropy where annotators agree", "entropy_agree", (0.0008, 0.0006, 0.0024, 0.0003), False, PIXELS),
        ("entropy with a minority of one", "entropy_somewhat", (0.712, 0.765, 0.741, 0.772), False, PIXELS),
        ("entropy at a tie", "entropy_disagree", (0.758, 0.806, 0.640, 0.585), False, PIXELS),
    ),
]
"""Scores of models that were trained on all images."""

TESTS = {
    (LIDC, "ensemble", "unet"): 4.5e-53,
    (LIDC, "mc_dropout", "unet"): 3.7e-67,
    (LIDC, "mc_dropout", "ensemble"): 5.8e-4,
    (LIDC, "prob_unet", "unet"): 2.5e-141,
    (LIDC, "prob_unet", "ensemble"): 6.5e-32,
    (LIDC, "prob_unet", "mc_dropout"): 1.5e-13,
    (ISIC, "ensemble", "unet"): 4.4e-4,
    (ISIC, "mc_dropout", "unet"): 8.7e-5,
    (ISIC, "mc_dropout", "ensemble"): 0.43,
    (ISIC, "prob_unet", "unet"): 5.2e-7,
    (ISIC, "prob_unet", "ensemble"): 0.051,
    (ISIC, "prob_unet", "mc_dropout"): 0.050,
}
"""One-sided p of `test_results.txt`: GED of 16 samples of the first method is below that of the second."""

LABELLED = tuple(range(50, 301, 25))
"""Labelled images in the rounds of active learning."""
CURVES = {
    (ISIC, "unet", "random"): (1.460, 1.080, 0.573, 0.644, 0.633, 0.712, 0.646, 0.671, 0.565, 0.558, 0.450),
    (ISIC, "unet", "entropy"): (1.407, 1.067, 0.851, 0.574, 0.637, 0.632, 0.572, 0.507, 0.573, 0.393, 0.569),
    (ISIC, "ensemble", "random"): (1.487, 0.796, 0.566, 0.681, 0.605, 0.639, 0.704, 0.576, 0.515, 0.349, 0.385),
    (ISIC, "ensemble", "entropy"): (1.179, 0.599, 0.595, 0.730, 0.641, 0.499, 0.467, 0.427, 0.334, 0.329, 0.270),
    (ISIC, "mc_dropout", "random"): (0.482, 0.454, 0.369, 0.342, 0.346, 0.331, 0.333, 0.347, 0.317, 0.328, 0.352),
    (ISIC, "mc_dropout", "entropy"): (0.482, 0.462, 0.438, 0.397, 0.391, 0.394, 0.390, 0.412, 0.383, 0.429, 0.450),
    (LIDC, "unet", "random"): (
        *(0.0296, 0.0286, 0.0282, 0.0238, 0.0170, 0.0179),
        *(0.0169, 0.0142, 0.0165, 0.0184, 0.0144),
    ),
    (LIDC, "unet", "entropy"): (
        *(0.0295, 0.0172, 0.0189, 0.0229, 0.0177, 0.0182),
        *(0.0193, 0.0217, 0.0175, 0.0189, 0.0204),
    ),
    (LIDC, "ensemble", "random"): (
        *(0.0935, 0.1121, 0.0797, 0.0531, 0.0673, 0.0527),
        *(0.0534, 0.0485, 0.0609, 0.0539, 0.0332),
    ),
    (LIDC, "ensemble", "entropy"): (
        *(0.1243, 0.2604, 0.1639, 0.0644, 0.0599, 0.1161),
        *(0.1453, 0.0781, 0.0698, 0.0768, 0.0204),
    ),
    (LIDC, "mc_dropout", "random"): (
        *(0.0262, 0.0225, 0.0228, 0.0224, 0.0205, 0.0196),
        *(0.0211, 0.0202, 0.0203, 0.0207, 0.0181),
    ),
    (LIDC, "mc_dropout", "entropy"): (
        *(0.0251, 0.0248, 0.0218, 0.0207, 0.0223, 0.0208),
        *(0.0229, 0.0233, 0.0204, 0.0191, 0.0242),
    ),
    (LIDC, "prob_unet", "random"): (
        *(0.0185, 0.0170, 0.0158, 0.0157, 0.0155, 0.0143),
        *(0.0134, 0.0151, 0.0140, 0.0147, 0.0152),
    ),
    (LIDC, "prob_unet", "entropy"): (
        *(0.0210, 0.0168, 0.0182, 0.0175, 0.0164, 0.0150),
        *(0.0171, 0.0160, 0.0160, 0.0187, 0.0183),
    ),
}
"""Test loss of figure 8 at LABELLED, by data, method and strategy."""
