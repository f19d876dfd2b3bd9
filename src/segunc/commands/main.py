"""The command `segunc`: commands that complement Snakemake.

`plan`, `why`, `check`, `accept` and `tidy` take the arguments of `snakemake`: targets, --configfile, --directory, ...
"""

import argparse
import inspect
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name

from segunc.runtime.errors import UserError, printable

COMMANDS = {
    "plan": ("segunc.commands.estimate:plan", "estimate jobs, hours, disk usage and wall time, before anything runs"),
    "why": ("segunc.commands.reruns:why", "explain why each pending job would run"),
    "check": ("segunc.commands.reruns:check", "read all results, and name those that are damaged"),
    "accept": ("segunc.commands.reruns:accept", "mark results as up to date although their code was edited"),
    "tidy": ("segunc.commands.tidy:main", "list or remove what is kept of earlier settings and code"),
    "fetch": ("segunc.commands.fetch:main", "download a public dataset"),
    "export": ("segunc.commands.export_store:main", "write a prepared dataset as files, for training elsewhere"),
    "inspect": ("segunc.commands.inspect_store:main", "describe a prepared dataset"),
}
"""By name: its function `(arguments) -> exit code`, of which only the one that is used is imported; what it does."""

WITH_SNAKEMAKE = ("plan", "why", "check", "accept")
"""Commands that take Snakemake's arguments alone, and therefore have no parser of their own."""


def main() -> None:
    code: int | str
    try:
        code = run()
        print(end="", flush=True)
    except UserError as error:
        code = f"segunc: {printable(str(error))}"
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # What reads the output has ended, as `head` does. Python would complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    except OSError as error:
        code = f"segunc: {printable(str(error))}; correct that and run again."
    sys.exit(code)


def run() -> int:
    """Runs the command that the words of the program name, and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for characters that the terminal cannot show
    parser = argparse.ArgumentParser(prog="segunc", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, words) in COMMANDS.items():
        commands.add_parser(name, help=words, add_help=False)
    args, rest = parser.parse_known_args()
    function = resolve_name(COMMANDS[args.command][0])
    if args.command in WITH_SNAKEMAKE and {"-h", "--help"} & set(rest):
        print(f"usage: segunc {args.command} [arguments of snakemake]\n\n{inspect.getdoc(function)}")
        return 0
    if args.command in WITH_SNAKEMAKE:
        _continue_beside_the_snakefile(rest)
    return function(rest)


def _continue_beside_the_snakefile(arguments: Sequence[str]) -> None:
    """Starts the command anew from the sources beside the Snakefile, if they are others: those are what Snakemake runs.

    Several checkouts may share an environment, in which one of them is installed.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--snakefile", "-s", default="Snakefile")
    snakefile = parser.parse_known_args(arguments)[0].snakefile
    sources, ours = Path(snakefile).absolute().parent / "src", Path(__file__).parents[2]
    if not (sources / "segunc/commands/main.py").is_file() or sources.samefile(ours):
        return
    path = os.pathsep.join(filter(None, [str(sources), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-P", "-m", "segunc.commands.main", *sys.argv[1:]]
    os.execve(sys.executable, words, {**os.environ, "PYTHONPATH": path})  # noqa: S606 (this Python)


if __name__ == "__main__":
    main()
