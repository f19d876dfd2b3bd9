"""Stage `active_tabulate`: the tables of active learning, from the `scores.csv` of all rounds."""

from pathlib import Path

import pandas as pd

from segunc.active.tables import RANDOM, ROUND, ActiveTabulateSpec, learning, penalty, summary
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    scores: list[Path],  # of all rounds
    tables: list[Path],  # CSV files to write, named after their tables
) -> None:
    spec: ActiveTabulateSpec = job.spec
    grid = spec["datasets"], spec["models"], spec["strategies"], spec["seeds"], spec["rounds"]
    missing = pd.DataFrame(spec["missing"], columns=[*ROUND, "why"])
    table = learning(scores, *grid)
    contents = {
        "active_learning": table.dropna(subset="images"),
        "active_summary": summary(table, spec["confidence"]),
        "pairwise_penalty": penalty(table),
        "active_missing": missing,
    }
    for file in tables:
        with write_atomically(file) as path:
            contents[file.stem].to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
    if RANDOM not in spec["strategies"]:
        print("The strategy random is not in the grid, so there are no differences; these fields are empty.")
    if len(spec["seeds"]) < 2:
        print("One seed, so there are no intervals and no tests; these fields are empty.")
    if len(missing):
        print(f"Scores of {len(missing)} rounds are missing (active_missing.csv), so their curves have no area.")


if __name__ == "__main__":
    main()
