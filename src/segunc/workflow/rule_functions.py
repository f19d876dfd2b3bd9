"""Functions that rules share and that know no config: options of a stage's command line, resources, errors.

Snakemake calls them with the arguments that they name. It does not record a param whose function takes `input`, so such
a param changes without a rerun: right for what changes no result.
"""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from shlex import quote
from typing import Any

from segunc.cells import Cell
from segunc.runtime.errors import UserError


def one_sentence(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which ends Snakemake with the sentence of a UserError instead of a traceback."""

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except UserError as error:
            sys.exit(f"segunc: {error}")

    return call


def name(wildcards: Mapping[str, str], input: Any) -> str:
    """What to call a job in progress lines: `lidc unet seed 0`."""
    return str(Cell.of(wildcards))


def cell_options(wildcards: Mapping[str, str], input: Any) -> str:
    """The cell as options of a stage: `--dataset lidc --model unet --seed 0`."""
    return " ".join(f"--{field} {value}" for field, value in Cell.of(wildcards)._asdict().items() if value != "")


def input_options(wildcards: Mapping[str, str], input: Mapping[str, Any]) -> str:
    """The named inputs as options of a stage; an empty list gives none."""
    named = {key: [paths] if isinstance(paths, str) else paths for key, paths in input.items()}
    return " ".join(f"--{key} {' '.join(map(quote, paths))}" for key, paths in named.items() if paths)


def checkpoints(wildcards: Mapping[str, str], input: Any, output: Any) -> str:
    """The folder of a training's checkpoints. Not an output, because Snakemake deletes the outputs of a failed job."""
    return output.record.replace("/records/", "/checkpoints/").removesuffix(".json")


def doubled(value: int) -> Callable[..., int]:
    """A resource function: `value` at the first attempt, twice as much at each retry."""

    def resource(wildcards: Any, attempt: int) -> int:
        return value * 2 ** (attempt - 1)

    return resource
