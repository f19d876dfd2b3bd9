"""Is each metric complete? An incomplete one is found before any job starts, not when the first scores are computed.

The records of metrics are imported for that: a syntax tree (`segunc.workflow.broken_code`) does not show whether they
are consistent.
"""

import ast
import traceback
from collections.abc import Iterable
from importlib import import_module

from segunc.runtime.code_digest import closure, source_of, tree
from segunc.runtime.errors import UserError

REGISTRY = "segunc.metrics.registry"
SCORES = "segunc.evaluation.scores"
"""Imports the registry, and compares the names of metrics with those of other columns."""


def check_metrics(entries: Iterable[str]) -> None:
    """Raises UserError if one of the modules, or what it imports, computes scores and a metric's record is at fault."""
    if not any(SCORES in closure(entry) for entry in entries):
        return
    try:
        import_module(SCORES)
    except Exception as error:
        raise UserError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """Which record is at fault, and why: that at whose line the registry was when the error occurred."""
    path = source_of(REGISTRY)
    assert path is not None
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path) and frame.name == "<module>"]
    if not lines:
        return f"the metrics cannot be used ({error}); correct {path}."
    names = [
        ast.unparse(keyword.value).strip("'")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and node.lineno == lines[-1]
        for keyword in node.keywords
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
    ]
    record = f"the record of the metric {names[0]}" if names else "the record of a metric"
    return f"{path}, line {lines[-1]}: {record} is not complete or not consistent ({error}); correct it."
