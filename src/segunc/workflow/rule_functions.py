"""Functions for rules that do not depend on the config: options of a stage's command line, resources, errors.

Snakemake calls them with the arguments that they name.
"""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from segunc.cells import Cell
from segunc.runtime.errors import UserError, printable
from segunc.workflow.argument_files import option


def exit_on_user_error(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function so that a UserError ends Snakemake with its message, without a traceback."""

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except UserError as error:
            sys.exit(f"segunc: {printable(str(error))}")

    return call


def job_name(wildcards: Mapping[str, str]) -> str:
    """What to call a job in progress lines: `lidc unet seed 0`."""
    return str(Cell.of(wildcards))


def cell_options(wildcards: Mapping[str, str]) -> str:
    """The cell as options of a stage: `--dataset lidc --model unet --seed 0`."""
    return " ".join(f"--{field} {value}" for field, value in Cell.of(wildcards)._asdict().items() if value != "")


def input_options(wildcards: Mapping[str, str], input: Mapping[str, Any]) -> str:
    """The named inputs as options of a stage; an empty list gives none."""
    named = {key: [paths] if isinstance(paths, str) else list(paths) for key, paths in input.items()}
    return " ".join(option(key, paths) for key, paths in named.items() if paths)


def checkpoints(wildcards: Mapping[str, str], output: Any) -> str:
    """The folder of a training's checkpoints. Not an output, because Snakemake deletes the outputs of a failed job."""
    results = results_folder(output.record)
    return f"{results}/checkpoints/{output.record.removeprefix(results + '/records/').removesuffix('.json')}"


def records_folder(wildcards: Mapping[str, str], output: Any) -> str:
    """The folder of all records."""
    return f"{results_folder(output.record)}/records"


def results_folder(record: str) -> str:
    """The folder of all results, from the path of a record or its pattern."""
    results, folder, _ = record.rpartition("/records/")
    assert folder, "the pathvar `record` must have a folder /records/"
    return results


def doubled(value: int) -> Callable[..., int]:
    """A resource function: `value` at the first attempt, twice as much at each retry."""

    def resource(wildcards: Any, attempt: int) -> int:
        return value * 2 ** (attempt - 1)

    return resource
