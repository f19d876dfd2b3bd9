"""How often are verdicts on the study's claims wrong, and how often are true claims found?

    python benchmarks/claims.py [--runs 200]

Prints the tables of docs/claims.md: the share of runs with each verdict, for effects that are planted in simulated
scores (tests/helpers/claims.py). At effect 0 the truth lies at the margin of every part.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from helpers.claims import PLANTED, learning, picking, planted  # noqa: E402

from segunc.claims.study import Study  # noqa: E402
from segunc.claims.table import CLAIMS  # noqa: E402
from segunc.claims.verdicts import CONTRADICTED, SUPPORTED, UNINFORMATIVE, of_claim  # noqa: E402

SEEDS = 5
PATIENTS = (22, 100)
EFFECTS = {"-1.5": (-1.5, -1.5), "0": (0.0, 0.0), "0 in one model": (1.5, 0.0), "0.5": (0.5, 0.5), "1.5": (1.5, 1.5)}
"""The effect in all models, and that in one of them."""
SLOW = ("4", "10_foreground")
"""Claims with a jackknife of ranked images, which get a quarter of the runs."""
SHOWN = (SUPPORTED, CONTRADICTED, UNINFORMATIVE)

Simulation = Callable[[int, np.random.Generator], Study]
"""A study with so many patients."""


def simulations() -> Iterator[tuple[str, str, Simulation]]:
    """Claim, planted truth, and how to simulate it."""
    for claim in PLANTED:
        for name, (effect, weakest) in EFFECTS.items():
            yield claim, name, lambda p, rng, c=claim, e=effect, w=weakest: planted(c, e, w, p, SEEDS, rng)
    for claim in ("6", "6_dice"):
        for advantage in (-0.05, 0.0, 0.05, 0.1):
            yield claim, f"advantage {advantage:g}", lambda p, rng, a=advantage: learning(a, 0.3, p, SEEDS, rng)
        yield claim, "labels do not help", lambda p, rng: learning(0.0, 0.0, p, SEEDS, rng)
    for claim in ("7_disputed", "7_large"):
        for excess in (-1.0, 0.0, 1.0):
            yield claim, f"{excess:g}", lambda p, rng, e=excess: picking(e, SEEDS, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="simulated studies of each kind")
    runs = parser.parse_args().runs
    print(f"| claim | truth | {' | '.join(f'{patients} patients' for patients in PATIENTS)} |\n|---|---|---|---|")
    for claim, truth, simulate in simulations():
        shares = []
        n = runs // 4 if claim in SLOW else runs
        for patients in PATIENTS:
            rng = np.random.default_rng(0)
            found = Counter(of_claim(CLAIMS[claim].parts(simulate(patients, rng))) for _ in range(n))
            shares.append(" / ".join(f"{found[verdict] / n:.3f}" for verdict in SHOWN))
        print(f"| {claim} | {truth} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
