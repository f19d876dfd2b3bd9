"""The command `segunc`: what Snakemake itself does not tell or do.

`plan`, `why` and `accept` take what `snakemake` takes: targets, --configfile, --directory, ...
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

from segunc.commands import fetch, inspect_store
from segunc.config.schema import ConfigError
from segunc.plan.report import report
from segunc.runtime import records as provenance
from segunc.runtime.errors import UserError
from segunc.workflow.pending_jobs import Job, cause, jobs_to_run

SHOWN = 6
"""Most jobs of a rule that are named."""
CHUNK = 500
"""Files per call of Snakemake; a command line does not hold any number of them."""


def plan(arguments: Sequence[str]) -> int:
    """Says what `snakemake <arguments>` comes to: jobs, hours, disk, the shortest time."""
    print(report(arguments))
    return 0


def why(arguments: Sequence[str]) -> int:
    """Says in words why each job of `snakemake <arguments>` would run."""
    groups: dict[str, list[Job]] = {}
    for job in jobs_to_run(arguments):
        groups.setdefault("; ".join(cause(job).phrases), []).append(job)
    if not groups:
        print("Nothing would run: all results are there, made from today's settings, code and data.")
    following = groups.pop("", [])
    for phrases, group in groups.items():
        print(f"{phrases}:")
        _print_jobs(group)
    if following:
        print("input made anew by these:")
        _print_jobs(following)
    return 0


def accept(arguments: Sequence[str]) -> int:
    """Lets results that would be made anew for edited code alone stand, as if today's code had made them.

    Their records take today's digests and say that they did.
    """
    accepted, others, files = [], [], set()
    for job in jobs_to_run(arguments):
        reasons = cause(job)
        if reasons.code and not reasons.settings and not reasons.files:
            accepted.append(job)
            files |= set(reasons.code)
        elif reasons.phrases:
            others.append(job)
    _forget([path for job in accepted for path in job.outputs], arguments)
    # Last: if this is cut off before, the records still say what differs, and the same command accepts it.
    for job in accepted:
        provenance.accept(job.record, provenance.code_of(job.code))
    if accepted:
        print(f"accepted although {', '.join(sorted(files))}:")
        _print_jobs(accepted)
    else:
        print("Nothing to accept: no result would be made anew for edited code alone.")
    if others:
        print("not accepted, as more than code differs (see segunc why):")
        _print_jobs(others)
    return 0 if accepted else 1


def _forget(outputs: Sequence[str], arguments: Sequence[str]) -> None:
    """Makes Snakemake forget from what code it made these files, so that their records decide."""
    for start in range(0, len(outputs), CHUNK):
        command = [sys.executable, "-m", "snakemake", *arguments, "--cleanup-metadata", *outputs[start : start + CHUNK]]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        # It fails if there was nothing to forget, as after .snakemake/ was deleted.
        if done.returncode and "metadata was not present" not in done.stderr:
            sys.exit(f"segunc: snakemake --cleanup-metadata failed; run segunc accept again.\n{done.stderr}")


def _print_jobs(jobs: Iterable[Job]) -> None:
    by_rule: dict[str, list[str]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job.cell)
    for rule, cells in by_rule.items():
        count = f" ({len(cells)})" if len(cells) > 1 else ""
        shown = ", ".join(sorted(cells)[:SHOWN])
        more = f" and {len(cells) - SHOWN} more" if len(cells) > SHOWN else ""
        print(f"    {rule}{count}{': ' if shown else ''}{shown}{more}")


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "plan": (plan, "jobs, hours, disk and the shortest possible time, before anything runs"),
    "why": (why, "say in words why what would run would run"),
    "accept": (accept, "this edit changes no result: let results stand that edited code would rerun"),
    "fetch": (fetch.main, "download a public dataset"),
    "inspect": (inspect_store.main, "what is in a dataset's store"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="segunc", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, words) in COMMANDS.items():
        commands.add_parser(name, help=words, add_help=False)
    args, rest = parser.parse_known_args()
    try:
        sys.exit(COMMANDS[args.command][0](rest))
    except (UserError, ConfigError) as error:
        sys.exit(f"segunc: {error}")


if __name__ == "__main__":
    main()
