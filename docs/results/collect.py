"""Copies what docs/results.md rests on from a results folder: tables, what each step cost, and with what it was made.

python docs/results/collect.py RESULTS NAME [--run RUN]   # from RESULTS/tables or RESULTS/runs/RUN/tables
"""

import argparse
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).parent
TABLES = (
    "summary",
    "comparisons",
    "claims",
    "empty_masks",
    "ged_by_votes",
    "paper_comparison",
    "active_summary",
    "active_learning",
    "active_picks",
)
SHOWN = re.compile("(plot_|answer/|assemble/|(active_|claims_)?tabulate/)")
"""Steps whose records a named run has in a folder of its own."""


def costs(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """What the jobs of each step, dataset and model took; of an interrupted training, from where it resumed.

    By version of Python, which tells the machines apart.
    """
    rows: dict[tuple[str, ...], list[dict[str, float]]] = defaultdict(list)
    for record in records:
        cell = [*record["job"].split("/"), "", ""][:3]
        rows[*cell, record["versions"]["python"]].append(record["cost"])
    numbers = [
        (*cell, len(found), sum(cost["cpu_seconds"] for cost in found), sum(cost["seconds"] for cost in found))
        for cell, found in rows.items()
    ]
    return pd.DataFrame(numbers, columns=["step", "dataset", "model", "python", "jobs", "cpu_seconds", "seconds"])


def versions(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """By version of Python: the versions of libraries, the number of jobs, and when the first and the last finished."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        rows[record["versions"]["python"]].append(record)
    numbers = []
    for python, found in rows.items():
        libraries = {name: version for record in found for name, version in record["versions"].items()}
        listed = " ".join(f"{name}={libraries[name]}" for name in sorted(libraries) if name != "python")
        times = [record["finished"] for record in found]
        numbers.append((python, listed, len(found), min(times), max(times)))
    return pd.DataFrame(numbers, columns=["python", "libraries", "jobs", "first", "last"])


def datasets_and_models(table: Path) -> set[str]:
    """Names of the datasets and models of a table; none if the run does not have it."""
    if not table.exists():
        return set()
    rows = pd.read_csv(table)
    return {*rows["dataset"], *rows["model"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("name")
    parser.add_argument("--run")
    options = parser.parse_args()
    folder = HERE / options.name
    folder.mkdir(exist_ok=True)
    of_run = options.results / "runs" / options.run if options.run else options.results
    for table in TABLES:
        path = of_run / "tables" / f"{table}.csv"
        if path.exists():
            shutil.copy(path, folder)
    found = sorted((options.results / "records").rglob("*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in found]
    others = {path.name for path in (options.results / "runs").glob("*")} - {options.run}
    shared = {path.name for path in (options.results / "models").glob("*/*")}
    shared |= {path.stem for path in (options.results / "data").glob("*.h5")}
    main_grid, rounds = (datasets_and_models(folder / f"{name}.csv") for name in ("summary", "active_summary"))
    records = [
        record
        for record in records
        # What only other runs in the folder have is no cost of this one.
        if not {*record["job"].split("/")} & (others | shared - (rounds if "active_" in record["job"] else main_grid))
        and (options.run is None or f"/{options.run}/" in record["job"] or not SHOWN.match(record["job"]))
    ]
    costs(records).to_csv(folder / "costs.csv", index=False, float_format="%.1f")
    versions(records).sort_values("first").to_csv(folder / "versions.csv", index=False)


if __name__ == "__main__":
    main()
