"""The command `segunc`: what Snakemake itself does not tell or do.

`plan`, `why` and `accept` take the arguments of `snakemake`: targets, --configfile, --directory, ...
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from segunc.commands import fetch, inspect_store, reruns
from segunc.plan.report import report
from segunc.runtime.errors import UserError


def plan(arguments: Sequence[str]) -> int:
    """Estimates what `snakemake <arguments>` takes: jobs, hours, disk, the shortest time."""
    print(report(arguments))
    return 0


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "plan": (plan, "estimate jobs, hours, disk and the shortest wall time, before anything runs"),
    "why": (reruns.why, "explain why each pending job would run"),
    "accept": (reruns.accept, "keep results that only edited code would rerun: the edit changes no result"),
    "fetch": (fetch.main, "download a public dataset"),
    "inspect": (inspect_store.main, "describe a prepared dataset"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="segunc", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, words) in COMMANDS.items():
        commands.add_parser(name, help=words, add_help=False)
    args, rest = parser.parse_known_args()
    try:
        sys.exit(COMMANDS[args.command][0](rest))
    except UserError as error:
        sys.exit(f"segunc: {error}")


if __name__ == "__main__":
    main()
