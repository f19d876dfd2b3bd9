"""Shared entry point of all stages: the command line, errors and signals."""

import argparse
import inspect
import io
import json
import signal
import sys
import tokenize
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from segunc.runtime.errors import UserError, printable


@dataclass(frozen=True)
class Job:
    """What every stage receives about its job."""

    spec: Any
    """The settings that the results depend on (`segunc.config.specs`)."""
    code: dict[str, str]
    """Digest by module, as the sources were when the program started."""
    identities: tuple[str, ...] = ()
    """Of the results that it reads (`segunc.runtime.records`); empty if it is run by hand."""
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """What to do when the results are recorded: until then, a kill must lose nothing."""

    def run_afterwards(self) -> None:
        for call in self.afterwards:
            call()


def stage(main: Callable[..., None]) -> Callable[..., None]:
    """Decorates the `main(job, *, ...)` of a stage: the result parses the command line and calls it.

    The keyword-only arguments of `main` become options (`data: Path` is `--data FILE`), the comments behind them the
    options' help. Types are `Path`, `str`, `int`, `list[Path]` (any number of words) and `dict[str, Path]` (repeated
    `NAME=PATH`, none for an empty dict); a default makes an option optional. A word `@FILE` stands for the lines of
    a file, because thousands of paths do not fit on a command line.

    The workflow calls it with its words and the job (`segunc.runtime.start`). Run by hand, it reads the words of the
    program and the option `--spec`, and writes no record.
    """

    @wraps(main)
    def run(words: Sequence[str] | None = None, job: Job | None = None) -> None:
        with ends_in_words():
            options = vars(_parser(main).parse_args(words))
            spec = options.pop("spec")
            of_stage = job or Job(spec, {})
            main(of_stage, **options)
            if job is None:
                of_stage.run_afterwards()

    return run


@contextmanager
def ends_in_words() -> Iterator[None]:
    """How a program of a job ends.

    A UserError ends it with exit code 1 and `segunc: <sentence>`. Any other exception keeps its traceback, because it
    is a defect of segunc. SIGTERM, with which schedulers stop a job, and SIGHUP, which a closed terminal sends, unwind
    the stack like Ctrl-C, so that half-written files are removed.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    except UserError as error:
        sys.exit(f"segunc: {printable(str(error))}")


def _parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    module = sys.modules[main.__module__]
    # A module that is run as a program is called __main__ there.
    name = module.__spec__.name if module.__spec__ else module.__name__
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",
    )
    parser.add_argument("--spec", type=_json, default={}, help="JSON: settings that the results depend on")
    comments = _comments(main)
    for name, parameter in inspect.signature(main).parameters.items():
        if parameter.kind == parameter.KEYWORD_ONLY:
            empty: Any = {dict: {}, list: []}.get(get_origin(parameter.annotation))
            required = parameter.default is parameter.empty and empty is None
            default = parameter.default if parameter.default is not parameter.empty else empty
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
