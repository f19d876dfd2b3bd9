"""Copies what docs/results.md rests on from a results folder: tables, and what each step cost.

python docs/results/collect.py RESULTS RUN   # RESULTS/runs/RUN/tables and RESULTS/records to docs/results/RUN
"""

import argparse
import json
import shutil
from collections import defaultdict
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
TABLES = ("summary", "comparisons", "claims", "empty_masks", "active_summary", "active_picks")


def costs(records: Path) -> pd.DataFrame:
    """CPU time of each step, dataset and model; of an interrupted training, from where it resumed."""
    rows: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for path in sorted(records.rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        step, dataset, model = [*record["job"].split("/"), "", ""][:3]
        rows[step, dataset, model].append(record["cost"]["cpu_seconds"])
    numbers = [(*cell, len(seconds), sum(seconds)) for cell, seconds in rows.items()]
    return pd.DataFrame(numbers, columns=["step", "dataset", "model", "jobs", "cpu_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("run")
    options = parser.parse_args()
    folder = HERE / options.run
    folder.mkdir(exist_ok=True)
    for table in TABLES:
        path = options.results / "runs" / options.run / "tables" / f"{table}.csv"
        if path.exists():
            shutil.copy(path, folder)
    costs(options.results / "records").to_csv(folder / "costs.csv", index=False, float_format="%.1f")


if __name__ == "__main__":
    main()
