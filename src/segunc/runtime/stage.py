"""What all stages have in common: their settings on the command line, how they end, and the record of what they did."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from segunc.runtime import records as provenance
from segunc.runtime.errors import UserError


def stage_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every stage; each adds the files that it reads and writes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_options(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", type=json.loads, default={}, help="JSON: settings that the results depend on")
    parser.add_argument("--code", default="", help="entry modules of this stage and a digest (segunc.provenance)")
    parser.add_argument("--provenance", type=Path, help="file to write: what the results were made from")


def stage(main: Callable[[], None]) -> Callable[[], None]:
    """Decorates the `main` of a stage, which parses its command line with a `stage_parser`.

    After it, what the results were made from is recorded: the settings, and the code as it was at the start of the
    program, which need not be that of `--code`, since somebody may edit while jobs wait.

    A UserError ends the program with exit code 1 and `segunc: <sentence>`. Any other exception keeps its traceback,
    because it is a defect of segunc and not of the user's files. SIGTERM, with which schedulers stop a job, unwinds as
    Ctrl-C does, so that half-written files are removed.
    """

    @wraps(main)
    def run() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        _add_options(parser)
        options, _ = parser.parse_known_args()
        try:
            code = provenance.code_of(options.code)
            main()
            if options.provenance:
                provenance.write(options.provenance, options.spec, code)
        except UserError as error:
            sys.exit(f"segunc: {error}")

    return run
