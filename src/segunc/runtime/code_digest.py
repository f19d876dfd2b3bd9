"""Digests of source code: which modules a stage imports, and whether one of them changed.

A digest of sources is a part of the identity of each result. So every rule has a param `code`: the modules that its
stage starts from, and a digest of everything they import within segunc.

The digest covers what computes results. These do not count: comments, docstrings, formatting; statements that only
report (REPORTING); constants for estimates (ESTIMATES); imports for type checkers; and the package `segunc.runtime`,
which runs stages and computes nothing.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from segunc.runtime.errors import UserError

PACKAGE = Path(__file__).parents[1]
OUTSIDE = "segunc.runtime"
"""Modules of this package belong to no digest."""
REPORTING = ("print", "progress.update")
"""Calls that only report something to a person, if they are a whole statement."""
ESTIMATES = ("WORK",)
"""Constants of a model's module that only tell `segunc plan` and schedulers what to expect."""
MODELS = "segunc.models."


def code_param(*entries: str) -> str:
    """The param `code` of a job: its entry modules (`segunc.stages.train segunc.models.unet`) and one digest.

    The digest covers the entries and everything they import. Models, formats and strategies are imported by name, which
    static import analysis cannot follow; so they are entries, and each cell depends on its own alone.
    """
    together = hashlib.sha256(json.dumps(code(*entries)).encode()).hexdigest()[:12]
    return " ".join([*entries, together])


def code_of(param: str) -> dict[str, str]:
    """Today's digests by module for the entry modules in a param `code`."""
    return code(*param.split()[:-1])


def code(*entries: str) -> dict[str, str]:
    """Digests by module name, sorted: of the entry modules and of everything they import within segunc."""
    return {module: digest(module) for module in sorted({module for entry in entries for module in closure(entry)})}


@cache
def closure(entry: str) -> frozenset[str]:
    """The module and all modules of segunc that it imports, packages included, OUTSIDE left out.

    Raises UserError if segunc has no such module, or if one of them is not valid Python.
    """
    if source_of(entry) is None:
        raise UserError(f"a rule runs {entry}, which does not exist; finish or undo the edit.")
    found: set[str] = set()
    left = [entry]
    while left:
        module = left.pop()
        if module not in found and module != OUTSIDE and not module.startswith(f"{OUTSIDE}."):
            found.add(module)
            left += imported_modules(module)
    return frozenset(found)


@cache
def digest(module: str) -> str:
    """12 hex digits of SHA-256 over those parts of the module's syntax tree that compute."""
    path = source_of(module)
    assert path is not None
    body = tree(path).body
    if module.startswith(MODELS):
        body = [statement for statement in body if not _is_estimate(statement)]
    return hashlib.sha256(_canonical(body).encode()).hexdigest()[:12]


def source_of(module: str) -> Path | None:
    """The file of a module; None if segunc has no such module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def source_states(entries: Iterable[str]) -> dict[str, object]:
    """What changes when a source file is touched, by module, for the entries and everything they import in segunc."""
    states: dict[str, object] = {}
    for module in sorted({module for entry in entries for module in closure(entry)}):
        path = source_of(module)
        status = path.stat() if path else None
        states[module] = status and (status.st_size, status.st_mtime_ns, status.st_ino)
    return states


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file; UserError if it is not valid Python."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise invalid(path, error) from None
    except (ValueError, RecursionError) as error:  # Not UTF-8, a null byte, or nested too deeply.
        raise UserError(f"{path} is not valid Python ({error}); correct it.") from None


def invalid(path: Path, error: SyntaxError) -> UserError:
    """The sentence on a file that is not valid Python."""
    return UserError(f"{path}, line {error.lineno} is not valid Python ({error.msg}); fix the syntax error.")


@cache
def imported_modules(module: str) -> frozenset[str]:
    """Modules of segunc named by the module's import statements, anywhere in it, and the packages that contain it."""
    parts = module.split(".")
    found = {".".join(parts[:n]) for n in range(1, len(parts))}
    for _, origin, names in import_statements(module):
        # What is imported from a package may be a module.
        named = (origin, *(f"{origin}.{name}" for name in names))
        found.update(name for name in named if name.split(".")[0] == "segunc" and source_of(name) is not None)
    return frozenset(found)


@cache
def import_statements(module: str) -> list[tuple[ast.Import | ast.ImportFrom, str, list[str]]]:
    """The import statements anywhere in a module: each with the full name of a module, and the names taken from it.

    Left out are those for type checkers.
    """
    path = source_of(module)
    assert path is not None
    parts = module.split(".")
    found: list[tuple[ast.Import | ast.ImportFrom, str, list[str]]] = []
    for node in _running(tree(path)):
        if isinstance(node, ast.Import):
            found += [(node, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = parts if path.name == "__init__.py" else parts[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found.append((node, origin, [alias.name for alias in node.names]))
    return found


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a syntax tree, without what stands under `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.orelse if _is_for_type_checkers(node) else ast.iter_child_nodes(node)  # type: ignore[attr-defined]


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _canonical(node: Any) -> str:
    """A syntax tree as text, without what computes nothing and without what newer Pythons add for the same source."""
    if node is None:
        return "-"
    if isinstance(node, list):
        parts = [_canonical(part) for part in node if not _computes_nothing(part)]
        return f"[{','.join(parts)}]"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "type_comment"))
        texts = ((name, _canonical(value)) for name, value in fields if value is not None)
        return f"{type(node).__name__}({','.join(f'{name}={text}' for name, text in texts if text != '[]')})"
    return repr(node)


def _computes_nothing(node: Any) -> bool:
    """Whether a statement is a docstring, a call that only reports, or for type checkers."""
    if not isinstance(node, ast.Expr):
        return isinstance(node, ast.If) and _is_for_type_checkers(node) and not node.orelse
    is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return is_text or (isinstance(node.value, ast.Call) and _only_reports(node.value))


def _only_reports(call: ast.Call) -> bool:
    """Whether a call is one of REPORTING, writes to the terminal, and assigns nothing in its arguments.

    What it calls in its arguments must have no side effects; the syntax does not show it.
    """
    files = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg in ("file", None)]
    assigns = any(isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) for node in ast.walk(call))
    return ast.unparse(call.func) in REPORTING and set(files) <= {"sys.stderr", "sys.stdout"} and not assigns


def _is_estimate(statement: ast.stmt) -> bool:
    """Whether a statement of a model's module assigns one of ESTIMATES."""
    return isinstance(statement, ast.Assign) and [ast.unparse(t) for t in statement.targets] in [[n] for n in ESTIMATES]
