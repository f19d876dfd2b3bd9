"""How often do the intervals cover what they are about, and how often do tests of a method against itself err?

    python benchmarks/coverage.py [--runs 2000]

Prints the tables of docs/statistics.md. Scores are simulated: patients have as many images as in LIDC-IDRI, and
trainings differ not at all, by half the standard error of 22 patients, or by one and a half.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from segunc.evaluation.statistics import Scale, Units, two_way  # noqa: E402

# Slices per patient of the 150 patients of LIDC-IDRI-slices.zip, as 2 to 82 slices: patients with so many.
PATIENTS_WITH = {
    **{2: 3, 3: 7, 4: 10, 5: 11, 6: 4, 7: 8, 8: 5, 9: 6, 10: 4, 11: 7, 12: 4, 13: 6, 14: 5, 15: 5, 16: 1, 17: 6},
    **{18: 4, 19: 4, 20: 4, 21: 4, 22: 4, 23: 2, 24: 5, 25: 2, 26: 2, 27: 1, 28: 4, 29: 2, 30: 4, 31: 2, 33: 1},
    **{35: 1, 37: 2, 39: 1, 40: 1, 41: 1, 43: 1, 46: 1, 48: 1, 52: 1, 53: 1, 66: 1, 82: 1},
}
SLICES = np.repeat(list(PATIENTS_WITH), list(PATIENTS_WITH.values()))

PATIENT, IMAGE, NOISE = 0.7, 0.7, 0.3
"""Standard deviations of the latent score between patients, between images of a patient, and between trainings on an
image."""


class Design(NamedTuple):
    patients: int
    seeds: int
    folds: int = 1

    def __str__(self) -> str:
        of_folds = f" in {self.folds} folds" if self.folds > 1 else ""
        return f"{self.patients} patients{of_folds}, {self.seeds} seed{'s' * (self.seeds > 1)}"


class Trainings(NamedTuple):
    """How much trainings of a method differ, on the latent scale: on all patients, and on each patient."""

    everywhere: float
    by_patient: float


class Score(NamedTuple):
    """How a latent score, standard normal over images, becomes a score."""

    name: str
    of_latent: Callable[[NDArray], NDArray]
    scale: Scale = "identity"


DESIGNS = (
    *(Design(patients, seeds) for patients in (22, 100) for seeds in (1, 3, 5)),
    *(Design(patients, seeds, 5) for patients in (50, 150) for seeds in (5, 10)),
)
# The standard error of 22 patients is 0.2 on the latent scale.
TRAININGS = {"none": Trainings(0, 0), "small": Trainings(0.1, 0.2), "large": Trainings(0.3, 0.4)}
SCORES = (
    Score("GED", lambda z: 2 * ndtr(z - 0.3)),
    Score("Dice", lambda z: np.clip(0.5 + 0.45 * z, 0, 1)),
    Score("cross-entropy", lambda z: 0.05 * np.exp(0.8 * z), "log"),
    Score("error AUROC", lambda z: 1 - np.minimum(0.04 * np.exp(0.8 * z), 1), "logit"),
)


def expected(score: Score, mean: float, variance: float) -> float:
    """Mean score of a normal latent score."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    return float(weights @ score.of_latent(mean + variance**0.5 * points) / weights.sum())


class Tested(NamedTuple):
    """The latent scores of methods that are alike but for their trainings, on the same images."""

    latent: list[NDArray]
    """Per method, (N,)."""
    units: Units
    shifts: list[NDArray]
    """Per method, (S,): how good its trainings are."""


def test(generator: np.random.Generator, design: Design, trainings: Trainings, methods: int) -> Tested:
    """Draws patients, and trains and tests the methods."""
    sizes = generator.choice(SLICES, design.patients)
    patient = np.repeat(np.arange(design.patients), sizes)
    of_image = generator.normal(0, PATIENT, design.patients)[patient] + generator.normal(0, IMAGE, len(patient))
    fold = generator.permutation(design.patients) % design.folds
    tested = [np.flatnonzero(fold[patient] == seed % design.folds) for seed in range(design.seeds)]
    latent, shifts = [], []
    for _ in range(methods):
        shift = generator.normal(0, trainings.everywhere, design.seeds)
        of_method = []
        for seed, images in enumerate(tested):
            by_patient = generator.normal(0, trainings.by_patient, design.patients)[patient[images]]
            of_method.append(of_image[images] + shift[seed] + by_patient + generator.normal(0, NOISE, len(images)))
        latent.append(np.concatenate(of_method))
        shifts.append(shift)
    images = np.concatenate(tested)
    seeds = np.repeat(range(design.seeds), [len(of_seed) for of_seed in tested])
    return Tested(latent, Units(images, patient[images], seeds), shifts)


def rates(design: Design, trainings: Trainings, runs: int) -> Iterator[float]:
    """Coverage of the mean of each score, then error rates of the test of a method against itself in each score.

    With one seed, the truth is about these networks: it includes how good they are.
    """
    generator = np.random.default_rng(0)
    covered, rejected = np.zeros((2, len(SCORES)))
    within = PATIENT**2 + IMAGE**2 + NOISE**2 + trainings.by_patient**2
    between = trainings.everywhere**2
    means = [expected(score, 0, within + between) for score in SCORES]
    for _ in range(runs):
        tested = test(generator, design, trainings, methods=2)
        for i, score in enumerate(SCORES):
            values = [score.of_latent(latent) for latent in tested.latent]
            truth, difference = means[i], 0.0
            if design.seeds == 1:
                of_networks = [expected(score, float(shift[0]), within) for shift in tested.shifts]
                truth, difference = of_networks[0], of_networks[0] - of_networks[1]
            mean = two_way(values[0], tested.units, confidence=0.95, scale=score.scale)
            covered[i] += mean.ci_low <= truth <= mean.ci_high
            rejected[i] += two_way(values[0] - values[1], tested.units, confidence=0.95, null=difference).p < 0.05
    yield from covered / runs
    yield from rejected / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="simulated studies per number")
    runs = parser.parse_args().runs
    found = {
        (design, name): list(rates(design, trainings, runs))
        for design in DESIGNS
        for name, trainings in TRAININGS.items()
    }
    for first, what in ((0, "Coverage of the 95 % interval"), (len(SCORES), "Error rate of a method against itself")):
        print(f"\n{what}; trainings differ: {' / '.join(TRAININGS)}\n")
        print("| | " + " | ".join(score.name for score in SCORES) + " |")
        print("|---" * (len(SCORES) + 1) + "|")
        for design in DESIGNS:
            cells = [
                " / ".join(f"{found[design, name][first + i]:.3f}" for name in TRAININGS) for i in range(len(SCORES))
            ]
            print(f"| {design} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
