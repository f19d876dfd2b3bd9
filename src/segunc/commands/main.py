"""The command `segunc`: commands that complement Snakemake.

`plan`, `why` and `accept` take the arguments of `snakemake`: targets, --configfile, --directory, ...
"""

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence

from segunc.commands import fetch, inspect_store, reruns
from segunc.plan.report import report
from segunc.runtime.errors import UserError


def plan(arguments: Sequence[str]) -> int:
    """Estimates what `snakemake <arguments>` takes: jobs, hours, disk usage and minimum wall time."""
    print(report(arguments))
    return 0


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "plan": (plan, "estimate jobs, hours, disk usage and minimum wall time, before anything runs"),
    "why": (reruns.why, "explain why each pending job would run"),
    "accept": (reruns.accept, "mark results as up to date although their code was edited"),
    "fetch": (fetch.main, "download a public dataset"),
    "inspect": (inspect_store.main, "describe a prepared dataset"),
}

WITH_SNAKEMAKE = ("plan", "why", "accept")
"""Commands that take Snakemake's arguments, and therefore have no parser of their own."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="segunc", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, words) in COMMANDS.items():
        commands.add_parser(name, help=words, add_help=False)
    args, rest = parser.parse_known_args()
    function = COMMANDS[args.command][0]
    if args.command in WITH_SNAKEMAKE and {"-h", "--help"} & set(rest):
        print(f"usage: segunc {args.command} [arguments of snakemake]\n\n{inspect.getdoc(function)}")
        sys.exit()
    try:
        sys.exit(function(rest))
    except UserError as error:
        sys.exit(f"segunc: {error}")


if __name__ == "__main__":
    main()
