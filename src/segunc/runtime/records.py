"""What a result was made from, beside its input files: settings (`spec`) and code, recorded next to it.

Snakemake reruns a job when its params change, and does not see imported modules. So every rule has two params: `spec`,
the settings that its result depends on, and `code`, digests of the modules that its stage imports. Both are written
into the job's record (`results/provenance/`), which says what a result was made from also where `.snakemake/` is gone.
"""

import ast
import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

PACKAGE = Path(__file__).parent
LIBRARIES = ("numpy", "torch", "h5py", "pandas", "matplotlib", "scipy", "PIL", "pydicom")


class Record(NamedTuple):
    """What is recorded about one job."""

    spec: dict[str, Any]
    """The settings that the results depend on."""
    code: dict[str, str]
    """Digest by module: those that the stage imports, as they were when it started."""
    versions: dict[str, str]
    """Of Python and of the libraries that the stage imported."""
    finished: str
    """When, in UTC (ISO 8601)."""
    accepted: list[dict[str, Any]]
    """Edits that somebody said do not change the results (`segunc accept`): `when` and `code`, the digests before of
    the modules that differed."""


def code_param(*entries: str) -> str:
    """The param `code` of a job: its entry modules (`segunc.train segunc.models.unet`) and one digest of all that they
    import. Models, formats and strategies are imported by name, where no reader of imports finds them; so they are
    entries, and each cell depends on its own alone."""
    together = hashlib.sha256(json.dumps(code(*entries)).encode()).hexdigest()[:12]
    return " ".join([*entries, together])


def code_of(param: str) -> dict[str, str]:
    """Today's digests by module of the entries that a param `code` names."""
    return code(*param.split()[:-1])


def code(*entries: str) -> dict[str, str]:
    """Digests by module name, sorted, of modules (`segunc.train`) and of all that they import within segunc."""
    return {module: digest(module) for module in sorted({module for entry in entries for module in closure(entry)})}


@cache
def closure(entry: str) -> frozenset[str]:
    """The module and all modules of segunc that importing it imports, packages included.

    Raises LookupError if segunc has no such module, UserError if one of them is no valid Python.
    """
    if _source(entry) is None:
        raise LookupError(f"segunc has no module {entry}")
    found: set[str] = set()
    left = [entry]
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += _imports(module)
    return frozenset(found)


@cache
def digest(module: str) -> str:
    """12 hex digits of SHA-256 over the module's syntax tree: comments, docstrings and formatting do not change it."""
    path = _source(module)
    assert path is not None
    return hashlib.sha256(_canonical(_tree(path)).encode()).hexdigest()[:12]


def _source(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno} is no valid Python ({error.msg}); mend it.") from None


def _imports(module: str) -> Iterator[str]:
    """Modules of segunc that the module's import statements name, anywhere in it, and the packages that it is in."""
    path = _source(module)
    assert path is not None
    parts = module.split(".")
    yield from (".".join(parts[:n]) for n in range(1, len(parts)))
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = parts if path.name == "__init__.py" else parts[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            # What is imported from a package may be a module.
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "segunc" and _source(name) is not None)


def _canonical(node: Any) -> str:
    """A syntax tree as text, without docstrings and without what newer Pythons add to trees of the same source."""
    if isinstance(node, list):
        parts = [_canonical(part) for part in node if not _is_text(part)]
        return f"[{','.join(parts)}]"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "type_comment"))
        given = [f"{name}={_canonical(value)}" for name, value in fields if value not in (None, [])]
        return f"{type(node).__name__}({','.join(given)})"
    return repr(node)


def _is_text(node: Any) -> bool:
    """Whether the statement is a bare string: a docstring of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def write(path: Path, spec: Mapping[str, Any], code: Mapping[str, str]) -> None:
    """Writes the record of a job that is done."""
    loaded = [name for name in LIBRARIES if name in sys.modules]
    versions = {name: version("pillow" if name == "PIL" else name) for name in loaded}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, Record(dict(spec), dict(code), {"python": platform.python_version(), **versions}, now, []))


def read(path: Path) -> Record | None:
    """The record of a job; None where there is none that can be read."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def made_from(path: Path | str, spec: str, code: str) -> bool:
    """Whether the record at `path` says that its results were made from the params `spec` and `code`."""
    record = read(Path(path))
    return record is not None and same_settings(record, spec) and record.code == code_of(code)


def same_settings(record: Record, spec: str) -> bool:
    """Whether the record has the settings of the param `spec`.

    As text, since the order of settings may matter: models are drawn in the order in which they are named.
    """
    return json.dumps(record.spec) == json.dumps(json.loads(spec))


def accept(path: Path, code: Mapping[str, str]) -> None:
    """Gives the results the digests of today's code, and records that they were not made by it."""
    record = read(path)
    assert record is not None
    before = {module: record.code.get(module, "not used") for module in _different(record.code, code)}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    accepted = [*record.accepted, {"when": now, "code": before}]
    _write(path, record._replace(code=dict(code), accepted=accepted))


def _write(path: Path, record: Record) -> None:
    with write_atomically(path) as beside:
        beside.write_text(json.dumps(record._asdict(), indent=1) + "\n", encoding="utf-8")


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One phrase per setting that differs: `training.learning_rate changed from 0.003 to 0.001`."""
    old, new = _flat(before), _flat(now)
    phrases = []
    for key in sorted(_different(old, new)):
        if key not in old:
            phrases.append(f"setting {key} = {_short(new[key])} is new")
        elif key not in new:
            phrases.append(f"setting {key} = {_short(old[key])} is gone")
        else:
            phrases.append(f"setting {key} changed from {_short(old[key])} to {_short(new[key])}")
    return phrases


def changed_code(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One phrase per source file that differs: `src/segunc/metrics/ged.py changed`."""
    phrases = []
    for module in sorted(_different(before, now)):
        path = _source(module)
        file = f"src/segunc/{path.relative_to(PACKAGE).as_posix()}" if path else f"module {module}"
        if module not in before:
            phrases.append(f"{file} is used now")
        elif module not in now:
            phrases.append(f"{file} is not used any more")
        else:
            phrases.append(f"{file} changed")
    return phrases


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    return {key for key in {*before, *now} if key not in before or key not in now or before[key] != now[key]}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; an empty group stands for itself."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
