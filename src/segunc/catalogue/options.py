"""Options of a catalogue entry: the keyword-only arguments of its entry function.

A raw format, a model or a strategy is one file, and its options are the keyword-only arguments of its entry
function (`read`, `build`, ...). They are read from the source text, not by importing it: on a cluster the
Snakefile is parsed once per job, and importing torch would take longer than many jobs.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, create_model

from segunc.catalogue.option_types import Intensity, Paths, Probability
from segunc.runtime.code_digest import tree
from segunc.runtime.errors import UserError

PACKAGE = Path(__file__).parents[1]
TYPES = {
    **{"int": int, "float": float, "bool": bool, "str": str, "list": list, "Path": Path, "Literal": Literal},
    **{"PositiveInt": PositiveInt, "PositiveFloat": PositiveFloat, "Probability": Probability, "Intensity": Intensity},
    "Paths": Paths,
}
"""Annotations that an option may have; `<type> | None` allows null as well."""
MODELS, BUILD, WRAP, READ = "models", "build", "wrap", "read"
"""The family of models, and the entry functions of its kinds: trained models, wrappers of trained models, and models
whose predictions are files."""


def available(family: str) -> list[str]:
    """Names of the entries of a family: the modules of the sub-package `family` (such as `data/formats`)."""
    return sorted(file.stem for file in (PACKAGE / family).glob("[a-z]*.py"))


@cache
def options_of(family: str, name: str, function: str) -> type[BaseModel]:
    """The options of `segunc/<family>/<name>.py` as a pydantic model that forbids unknown keys.

    An argument without a default is required; one annotated `Path` or `Path | None` names raw data, a file or a folder,
    and one annotated `Paths` one or several of them. The comment behind an argument's line becomes the option's
    description. A wrapper of a trained model has the function `wrap` instead of `build`, and one option more: `of`, the
    id of that model.

    Raises UserError if the module is not valid Python or has no such function, TypeError if an argument has no usable
    annotation.
    """
    path = PACKAGE / family / f"{name}.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    wrapper = family == MODELS and wraps(name)
    if family == MODELS:
        function = WRAP if wrapper else READ if imports(name) else function
    entry = _functions(path).get(function)
    if entry is None:
        raise UserError(f"{path} has no function {function}(), with which a module of {family} begins; define it.")
    fields: dict[str, Any] = {}
    if wrapper:
        fields["of"] = (str, Field(description="id of the model whose trained network it uses"))
    for argument, default in zip(entry.args.kwonlyargs, entry.args.kw_defaults, strict=True):
        if argument.annotation is None:
            raise TypeError(f"{family}/{name}.py: {function}() needs an annotation for {argument.arg}")
        annotation = eval(ast.unparse(argument.annotation), {"__builtins__": {}}, TYPES)  # noqa: S307
        comment = lines[argument.lineno - 1].partition("#")[2].strip()
        value = ... if default is None else ast.literal_eval(default)
        fields[argument.arg] = (annotation, Field(value, description=comment or None))
    title = "".join(word.capitalize() for word in name.split("_")) + "Options"
    return create_model(title, __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False), **fields)


@cache
def wraps(method: str) -> bool:
    """Whether a method of models has no training of its own, but wraps a trained model. False if there is none."""
    return _has_entry(method, WRAP)


@cache
def imports(method: str) -> bool:
    """Whether the predictions of a method of models are files, which no network makes. False if there is none."""
    return _has_entry(method, READ)


def _has_entry(method: str, function: str) -> bool:
    path = PACKAGE / MODELS / f"{method}.py"
    return path.exists() and function in (functions := _functions(path)) and BUILD not in functions


def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions that a file defines, by name."""
    return {node.name: node for node in tree(path).body if isinstance(node, ast.FunctionDef)}


def raw_options(options: type[BaseModel]) -> list[str]:
    """Names of the options that are raw data: annotated `Path`, `Paths`, or `Path | None` where it may be left out."""
    return [name for name, field in options.model_fields.items() if field.annotation in (Path, Paths, Path | None)]


@cache
def constant_of(family: str, name: str, constant: str) -> Any:
    """The value of a literal constant of `segunc/<family>/<name>.py`; UserError if there is none."""
    path = PACKAGE / family / f"{name}.py"
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [constant]:
            return ast.literal_eval(node.value)
    raise UserError(f"{path} has no constant {constant}, which a module of {family} has; define it.")


@cache
def has_method(family: str, name: str, method: str) -> bool:
    """Whether a class in `segunc/<family>/<name>.py`, or in an entry that the file imports from, defines a method."""
    body = tree(PACKAGE / family / f"{name}.py").body
    classes = (node for node in body if isinstance(node, ast.ClassDef))
    if any(isinstance(node, ast.FunctionDef) and node.name == method for owner in classes for node in owner.body):
        return True
    imported = (str(node.module) for node in body if isinstance(node, ast.ImportFrom))
    others = (one.removeprefix(f"segunc.{family}.") for one in imported if one.startswith(f"segunc.{family}."))
    return any(has_method(family, other, method) for other in others)
