"""Stage `active_tabulate`: the tables of active learning, from the scores and the labelled sets of all rounds."""

from pathlib import Path

import pandas as pd

from segunc.active.penalty import SEEDS, penalty
from segunc.active.picks import picks
from segunc.active.round_scores import ROUND
from segunc.active.tables import RANDOM, ActiveTabulateSpec, curves, learning, of_seeds, read_rounds, summary
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    data: list[Path],  # store of each dataset that has scores, in the order of the scores
    labelled: list[Path],  # labelled.csv of each round that has scores, in the order of the scores
    images: list[Path],  # images.csv of each round
    tables: list[Path],  # CSV files to write, named after their tables
) -> None:
    spec: ActiveTabulateSpec = job.spec
    missing = pd.DataFrame(spec["missing"], columns=[*ROUND, "why"])
    rows = read_rounds(images)
    cells = curves(rows, spec)
    contents = {
        "active_learning": learning(cells, spec["confidence"]),
        "active_seeds": of_seeds(cells),
        "active_summary": summary(cells, spec["confidence"]),
        "active_picks": picks(rows[ROUND].drop_duplicates(), data, labelled),
        "pairwise_penalty": penalty(cells),
        "active_missing": missing,
    }
    for file in tables:
        with write_atomically(file) as path:
            contents[file.stem].to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
    if RANDOM not in spec["strategies"]:
        print("The strategy random is not in the grid, so there are no differences; these fields are empty.")
    if len(spec["seeds"]) == 1:
        print("One seed, so intervals are about these networks, not about the strategies.")
    if len(spec["seeds"]) < SEEDS:
        print(f"Fewer than {SEEDS} seeds, so pairwise_penalty.csv is empty.")
    if len(missing):
        print(f"Scores of {len(missing)} rounds are missing (active_missing.csv), so their curves have no area.")


if __name__ == "__main__":
    main()
