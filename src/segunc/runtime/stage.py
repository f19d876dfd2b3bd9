"""Shared entry point of all stages: the command line, error and signal handling, the record of the job."""

import argparse
import inspect
import io
import json
import signal
import sys
import tokenize
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from segunc.runtime import records
from segunc.runtime.code_digest import code_of
from segunc.runtime.errors import UserError


class Job(NamedTuple):
    """What every stage receives about its job."""

    spec: Any
    """The settings that the results depend on (`segunc.config.specs`)."""
    code: dict[str, str]
    """Digest by module, as the sources were when the program started."""


def stage(main: Callable[..., None]) -> Callable[[], None]:
    """Decorates the `main(job, *, ...)` of a stage: the result parses the command line and calls it.

    The keyword-only arguments of `main` become options (`data: Path` is `--data FILE`), the comments behind them the
    options' help. Types are `Path`, `str`, `int`, `list[Path]` (any number of words) and `dict[str, Path]` (repeated
    `NAME=PATH`, none for an empty dict); a default makes an option optional. Every stage also has `--spec`, `--code`
    and `--record`.

    When `main` has returned, the job's record is written: its settings, and the code as it was at the start of the
    program, which may be newer than `--code` if sources were edited while the job waited.

    A UserError ends the program with exit code 1 and `segunc: <sentence>`. Any other exception keeps its traceback,
    because it is a defect of segunc. SIGTERM, with which schedulers stop a job, unwinds the stack like Ctrl-C, so that
    half-written files are removed.
    """

    @wraps(main)
    def run() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        options = vars(_parser(main).parse_args())
        spec, record = options.pop("spec"), options.pop("record")
        try:
            job = Job(spec, code_of(options.pop("code")))
            main(job, **options)
            if record:
                records.write(record, *job)
        except UserError as error:
            sys.exit(f"segunc: {error}")

    return run


def _parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    module = sys.modules[main.__module__]
    # A module that is run as a program is called __main__ there.
    name = module.__spec__.name if module.__spec__ else module.__name__
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spec", type=_json, default={}, help="JSON: settings that the results depend on")
    parser.add_argument("--code", default="", help="entry modules of this stage and a digest of their sources")
    parser.add_argument("--record", type=Path, help="file to write: what the results were made from")
    comments = _comments(main)
    for name, parameter in inspect.signature(main).parameters.items():
        if parameter.kind == parameter.KEYWORD_ONLY:
            named = get_origin(parameter.annotation) is dict
            required = parameter.default is parameter.empty and not named
            default = {} if named else None if required else parameter.default
            words = _words_of(parameter.annotation)
            parser.add_argument(f"--{name}", required=required, default=default, help=comments.get(name), **words)
    return parser


def _words_of(annotation: Any) -> dict[str, Any]:
    """The arguments of `add_argument` that describe the type of an option."""
    if get_origin(annotation) is dict:
        return {"type": _named_path, "action": _AddToDict, "metavar": "NAME=PATH"}
    if get_origin(annotation) is list:
        return {"type": get_args(annotation)[0], "nargs": "*", "metavar": "FILE"}
    # `Path | None`: an option that may be left out.
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    kind = kinds[0] if kinds else annotation
    return {"type": kind, "metavar": "FILE" if kind is Path else None}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error})") from None


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not name=path")
    return name, Path(path)


class _AddToDict(argparse.Action):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), values[0]: values[1]})


def _comments(function: Callable[..., None]) -> dict[str, str]:
    """The comments behind the lines of a function's source, by the first word of the line."""
    comments: dict[str, str] = {}
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(function)).readline):
        if token.type == tokenize.NAME and token.line[: token.start[1]].isspace():
            name = token.string
        elif token.type == tokenize.COMMENT and not token.line[: token.start[1]].isspace():
            comments[name] = token.string.lstrip("# ").replace("%", "%%")
    return comments
