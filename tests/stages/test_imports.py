"""What the start of a job imports: of other libraries, the fewest that its stage needs."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
MODULES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCES / "segunc").rglob("*.py"))
}
OURS_AND_STANDARD = {"segunc", *sys.stdlib_module_names}

ARRAYS = {"numpy", "h5py"}
NETWORK = ARRAYS | {"torch"}
TABLES = ARRAYS | {"pandas", "scipy.special"}
FIGURE = ARRAYS | {"pandas", "matplotlib"}
PAGE = FIGURE | {"PIL", "itables", "jinja2", "markdown_it", "pygments", "yaml"}
ALLOWED = {
    "prepare": ARRAYS,
    "import_predictions": ARRAYS | {"PIL", "nibabel", "pydantic"},
    "train": NETWORK,
    "sample": NETWORK,
    "evaluate": ARRAYS,
    "baselines": ARRAYS,
    "tabulate": TABLES,
    "claims_tabulate": TABLES,
    "answer": TABLES,
    "active_start": ARRAYS,
    "active_acquire": ARRAYS,
    "active_acquire_with_model": NETWORK,
    "active_train": NETWORK,
    "active_sample": NETWORK,
    "active_evaluate": ARRAYS,
    "active_tabulate": TABLES,
    "assemble": PAGE,
}


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module that run when it is imported: not those of functions, nor those for type checkers."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from at_import(child)


@cache
def imports_of(module: str) -> frozenset[str]:
    """What is imported when a module of segunc is, with the names imported from modules, which may be modules."""
    found = set()
    for node in at_import(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def loaded_by(module: str) -> set[str]:
    """The libraries that a module of segunc and those that it imports import; of SciPy and pyplot, the part."""
    reached, left, libraries = set(), [module], set()
    while left:
        if (one := left.pop()) not in reached:
            reached.add(one)
            left += imports_of(one) & set(MODULES)
            libraries |= {name for name in imports_of(one) if name.split(".")[0] not in OURS_AND_STANDARD}
    return {shortened(name) for name in libraries} - {"scipy"}


def shortened(name: str) -> str:
    """SciPy's packages take very different times, and pyplot is more than its figures need."""
    top, _, rest = name.partition(".")
    part = rest.partition(".")[0]
    return f"{top}.{part}" if part and (top == "scipy" or part == "pyplot") else top


def stages() -> list[str]:
    return [name for name in MODULES if name.startswith("segunc.stages.")]


def test_each_stage_has_a_bound() -> None:
    assert sorted(ALLOWED) == sorted(name.removeprefix("segunc.stages.") for name in stages())


@pytest.mark.parametrize("stage", ALLOWED)
def test_a_stage_imports_what_it_needs_and_nothing_else(stage: str) -> None:
    assert loaded_by(f"segunc.stages.{stage}") == ALLOWED[stage]


@pytest.mark.parametrize("figure", [name for name in MODULES if name.startswith("segunc.figures.")])
def test_figures_import_matplotlib_without_pyplot_and_no_scipy(figure: str) -> None:
    assert loaded_by(figure) <= FIGURE


def test_models_and_strategies_import_what_their_stages_need() -> None:
    """They are imported by name. Their options are annotated with pydantic's types."""
    for name in MODULES:
        if name.startswith("segunc.models."):
            assert loaded_by(name) <= NETWORK | {"pydantic"}, name
        if name.startswith("segunc.strategies."):
            assert loaded_by(name) <= ARRAYS | {"pydantic"}, name
