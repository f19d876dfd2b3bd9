"""`segunc tidy`: what is kept of earlier settings and code, and removing it."""

import argparse
import inspect
import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from segunc.runtime import kept, records
from segunc.runtime.errors import printable
from segunc.runtime.kept import Entry
from segunc.runtime.records import Record
from segunc.workflow.changes import earlier_code, earlier_settings
from segunc.workflow.rule_functions import results_folder
from segunc.workflow.snakemake_internals import kept_folder, parse

SHOWN = 20
"""Most results that are named."""
DAY = 24 * 3600


def main(arguments: Sequence[str]) -> int:
    """Lists the kept results that take space of their own, how they differ from those that stand, and their sizes.

    These are results of earlier settings and code, and copies of any result if the folder `keep` is on another file
    system. With --older-than or --all, it removes them. The results themselves stay in any case. Other arguments are
    those of snakemake: --configfile, --directory, ...
    """
    parser = argparse.ArgumentParser("segunc tidy", description=inspect.getdoc(main), allow_abbrev=False)
    parser.add_argument("--older-than", type=_days, metavar="DAYS", help="remove what was last used before that")
    parser.add_argument("--all", action="store_true", help="remove everything that takes space of its own")
    options, rest = parser.parse_known_args(arguments)
    of = parse(rest)
    folder = of.folder / kept_folder()
    if options.all or options.older_than is not None:
        before = None if options.all else time.time() - options.older_than * DAY
        print(f"{_size(kept.prune(folder, 0, before))} removed from {folder}.")
    sizes = [(kept.extra_bytes(folder, entry.record), entry) for entry in kept.entries(folder)]
    found = [(size, entry) for size, entry in sizes if size]
    # Results may share objects, so that sums of their sizes would be too large.
    total = _size(kept.extra_bytes(folder, *(entry.record for _, entry in found)))
    print(
        f"{folder} holds 1 result that takes space of its own: {total}."
        if len(found) == 1
        else f"{folder} holds {len(found)} results that take space of their own: {total}."
    )
    print(f"The limit is {_size(of.config.keep_gb * 1e9)} (config key keep_gb).")
    by_step: dict[str, list[Record]] = {}
    for _, entry in found:
        by_step.setdefault(entry.record.job.partition("/")[0], []).append(entry.record)
    for step, of_step in by_step.items():
        print(printable(f"    {step:28} {len(of_step):6} {_size(kept.extra_bytes(folder, *of_step)):>10}"))
    largest = sorted(found, key=lambda pair: pair[0], reverse=True)[:SHOWN]
    if largest:
        print("The largest: last use, size, result, and how it differs from the result that stands now:")
    records_folder = of.folder / results_folder(of.rules.pattern("prepare", "record")) / "records"
    for size, entry in largest:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        job = entry.record.job.replace("/", " ")
        print(printable(f"    {used} {_size(size):>10}  {job}: {_difference(entry, records_folder)}"))
    return 0


def _difference(entry: Entry, folder: Path) -> str:
    now = records.read(folder / f"{entry.record.job}.json")
    if now is None:
        return "there is none now"
    if now.key == entry.record.key:
        return "a copy of it"
    found = earlier_settings(entry.record.spec, now.spec) + earlier_code(entry.record.code, now.code)
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or "other inputs"


def _size(number: float) -> str:
    unit, name = next((pair for pair in ((1e9, "GB"), (1e6, "MB")) if number >= pair[0]), (1e3, "kB"))
    return f"{number / unit:.1f} {name}"


def _days(text: str) -> float:
    """A finite number of at least 0. Raises ArgumentTypeError otherwise."""
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of days; give one of at least 0.")
    return days
