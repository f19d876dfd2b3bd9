"""Do the sources fit together? What a job would fail on when it starts is found before any job starts.

Snakemake removes the outputs of a job before it starts. Half a refactoring would remove every result and then fail. So
imports, entry functions and the options that rules pass are resolved in the syntax trees first, without importing.
"""

import ast
import builtins
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from segunc.runtime.code_digest import import_statements, imported_modules, invalid, source_of, tree
from segunc.runtime.errors import UserError

STARTER = "segunc.runtime.start"
"""The module that every rule runs; it starts the program of the stage."""


def check_imports(module: str) -> None:
    """Raises UserError if the module, or one that it imports within segunc, imports what does not exist."""
    waiting, seen = {module, STARTER}, set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= _checked(module) - seen


@cache
def _checked(module: str) -> frozenset[str]:
    """The modules of segunc that a module imports. Raises UserError if one does not exist, or if it cannot run."""
    path = source_of(module)
    assert path is not None
    try:
        compile(tree(path), path, "exec", dont_inherit=True)  # It finds a `return` outside a function, and the like.
    except SyntaxError as error:
        raise invalid(path, error) from None
    optional = _optional_imports(module)
    for node, origin, names in import_statements(module):
        problem = _problem(origin, names)
        if problem and node not in optional:
            raise _broken(module, node, problem)
    _check_attributes(module)
    _check_names(module)
    return imported_modules(module)


def _problem(origin: str, names: Sequence[str]) -> str | None:
    """Why an import of names from a module fails, in words; None if it does not."""
    if origin.split(".")[0] != "segunc":
        return None if _is_installed(origin.split(".")[0]) else f"imports {origin}, which is not installed; install it"
    if source_of(origin) is None:
        return f"imports {origin}, which does not exist; finish or undo the edit"
    missing = [name for name in names if name != "*" and not _has(origin, name)]
    return f"imports {missing[0]} from {origin}, which does not define it; finish or undo the edit" if missing else None


def check_command(rule: str, words: Sequence[str]) -> None:
    """Raises UserError if the program of a rule has no `main`, or has other options than those on its command line.

    words: the command line from the name of the program's module on.
    """
    module, *rest = words
    if "main" not in _names_in(module):
        raise UserError(f"{source_of(module)} has no function main(), which the rule {rule} runs; define it.")
    module, main = _main_of(module)
    passed = {word.removeprefix("--") for word in rest if word.startswith("--")}
    options = {argument.arg for argument in main.args.kwonlyargs}
    if unknown := sorted(passed - options):
        raise _broken(module, main, f"defines main() without the argument {unknown[0]} of the rule {rule}; add it")
    for argument, default in zip(main.args.kwonlyargs, main.args.kw_defaults, strict=True):
        if default is None and argument.arg not in passed and not _may_be_empty(argument):
            problem = f"needs the argument {argument.arg} of main(), which the rule {rule} does not pass; add it there"
            raise _broken(module, argument, problem)


def _main_of(module: str) -> tuple[str, ast.FunctionDef]:
    """The function `main` of a program and its module.

    A figure may get it from a function of a module that it imports (`segunc.figures.distributions.program`).
    """
    imported = [(origin, names) for _, origin, names in import_statements(module) if origin.startswith("segunc.")]
    others = [origin for origin, _ in imported] + [f"{origin}.{name}" for origin, names in imported for name in names]
    for other in filter(source_of, [module, *others]):
        for node in _nodes_of(other):
            if isinstance(node, ast.FunctionDef) and node.name == "main":
                return other, node
    raise UserError(f"{source_of(module)} has no function main() whose arguments can be read; define it.")


def _may_be_empty(argument: ast.arg) -> bool:
    return argument.annotation is not None and ast.unparse(argument.annotation).startswith(("dict", "list"))


def _broken(module: str, node: ast.AST, problem: str) -> UserError:
    return UserError(f"{source_of(module)}, line {node.lineno} {problem}.")  # type: ignore[attr-defined]


@cache
def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # A module without a spec, such as __main__.
        return True


def _optional_imports(module: str) -> set[ast.AST]:
    """Imports whose failure is handled."""
    handled = [
        node.body
        for node in _nodes_of(module)
        if (isinstance(node, ast.Try) and node.handlers)
        or (isinstance(node, ast.With) and "suppress(" in ast.unparse(node.items[0]))
    ]
    return {part for body in handled for statement in body for part in ast.walk(statement)}


def _has(module: str, name: str) -> bool:
    """Whether a module of segunc has an attribute, as far as that can be told without running it."""
    # What `segunc` itself imports when it is asked for a name is for other programs: jobs import modules from it.
    unknown = set() if module == "segunc" else {"*", "__getattr__"}
    return bool(source_of(f"{module}.{name}")) or not _names_in(module).isdisjoint({name, *unknown})


@cache
def _names_in(module: str) -> frozenset[str]:
    """Names that a module defines outside functions and classes."""
    names = {"__name__", "__file__", "__doc__", "__path__", *dir(builtins.object)}
    waiting: list[ast.AST] = [*_tree_of(module).body]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
                continue
            case ast.Import() | ast.ImportFrom():
                names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return frozenset(names)


def _check_names(module: str) -> None:
    """Raises UserError if a module uses a name that it defines nowhere, as after half a renaming."""
    nodes = _nodes_of(module)
    defined = set(dir(builtins)) | _names_in(module) | {"__class__", "__spec__", "__annotations__"}
    for node in nodes:
        match node:
            case ast.Name(ctx=ast.Store() | ast.Del()):
                defined.add(node.id)
            case ast.arg():
                defined.add(node.arg)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                defined.add(node.name)
            case ast.Import() | ast.ImportFrom():
                defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
                defined.add(node.name or "")
            case ast.MatchMapping():
                defined.add(node.rest or "")
    if "*" in defined:
        return
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in defined:
            raise _broken(module, node, f"uses {node.id}, which is not defined; finish or undo the edit")


def _check_attributes(module: str) -> None:
    """Raises UserError for `name.attribute` if `name` is an imported module of segunc without that attribute."""
    modules: dict[str, str] = {}
    for statement, origin, names in import_statements(module):
        for alias in statement.names:
            full = f"{origin}.{alias.name}" if names else alias.name
            if full.startswith("segunc.") and source_of(full):
                modules[alias.asname or alias.name] = full
    if not modules:
        return
    nodes = _nodes_of(module)
    # A local variable may have the name of a module.
    hidden = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    hidden |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in hidden:
            origin = modules.get(node.value.id, "")
            if origin and not _has(origin, node.attr):
                problem = f"uses {node.attr} of {origin}, which does not define it; finish or undo the edit"
                raise _broken(module, node, problem)


@cache
def _nodes_of(module: str) -> list[ast.AST]:
    """All nodes of a module's syntax tree. Cached, because a walk costs as much as parsing."""
    return list(ast.walk(_tree_of(module)))


def _tree_of(module: str) -> ast.Module:
    path = source_of(module)
    assert path is not None
    return tree(path)
