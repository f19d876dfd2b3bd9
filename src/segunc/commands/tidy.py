"""`segunc tidy`: what is kept of earlier settings and code, and removing it."""

import argparse
import inspect
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from segunc.runtime import kept, records
from segunc.runtime.kept import Entry
from segunc.workflow.changes import changed_code, changed_settings
from segunc.workflow.rule_functions import results_folder
from segunc.workflow.snakemake_internals import kept_folder, parse

SHOWN = 20
"""Most results that are named."""
DAY = 24 * 3600


def main(arguments: Sequence[str]) -> int:
    """Lists the results that are kept of earlier settings and code, for which settings, and how large they are.

    With --older-than or --all, it removes them. The results of the current run stay in any case. Other arguments are
    those of snakemake: --configfile, --directory, ...
    """
    parser = argparse.ArgumentParser("segunc tidy", description=inspect.getdoc(main))
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="remove what was last used before that")
    parser.add_argument("--all", action="store_true", help="remove everything that is in no results folder")
    options, rest = parser.parse_known_args(arguments)
    of = parse(rest)
    folder = of.folder / kept_folder()
    if options.all or options.older_than is not None:
        before = None if options.all else time.time() - options.older_than * DAY
        print(f"{_size(kept.prune(folder, 0, before))} removed from {folder}.")
    sizes = [(kept.extra_bytes(folder, entry.record), entry) for entry in kept.entries(folder)]
    found = [(size, entry) for size, entry in sizes if size]
    print(f"{folder} keeps {len(found)} results that are in no results folder: {_size(sum(s for s, _ in found))}.")
    print(f"The limit is {_size(of.config.keep_gb * 1e9)} (config key keep_gb).")
    by_step: dict[str, list[int]] = {}
    for size, entry in found:
        by_step.setdefault(entry.record.job.partition("/")[0], []).append(size)
    for step, of_step in by_step.items():
        print(f"    {step:28} {len(of_step):6} {_size(sum(of_step)):>10}")
    largest = sorted(found, key=lambda pair: pair[0], reverse=True)[:SHOWN]
    if largest:
        print("The largest: last use, size, result, and how it differs from the result that stands now:")
    records_folder = of.folder / results_folder(of.rules.pattern("prepare", "record")) / "records"
    for size, entry in largest:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        job = entry.record.job.replace("/", " ")
        print(f"    {used} {_size(size):>10}  {job}: {_difference(entry, records_folder)}")
    return 0


def _difference(entry: Entry, folder: Path) -> str:
    now = records.read(folder / f"{entry.record.job}.json")
    if now is None:
        return "there is none now"
    found = changed_settings(entry.record.spec, now.spec) + changed_code(entry.record.code, now.code)
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or "other inputs"


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
