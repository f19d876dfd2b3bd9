"""docs/architecture.md and the code: layout, order of imports, files, dependencies."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.workflow import ROOT

from segunc.metrics.registry import METRICS

PACKAGE = ROOT / "src/segunc"
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def first_cells(header: str) -> list[str]:
    """The first column of the table with this header."""
    rows = TEXT.split(f"{header}\n", 1)[1].split("\n\n")[0].splitlines()[1:]
    return [row.split("|")[1].strip(" `") for row in rows]


MODULES = {"cells", "masks", "level_rows"}
LAYOUT = first_cells("| package | contents |")


def test_the_layout_has_every_package() -> None:
    assert sorted(LAYOUT) == sorted({path.parent.name for path in PACKAGE.glob("*/__init__.py")} | MODULES)


@pytest.mark.parametrize("package", LAYOUT)
def test_imports_go_one_way(package: str) -> None:
    above = LAYOUT[: LAYOUT.index(package)]
    for path in [*(PACKAGE / package).rglob("*.py"), *PACKAGE.glob(f"{package}.py")]:
        imported = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        assert imported - {package} <= set(above), path


def imports(node: ast.AST) -> Iterator[str]:
    """Packages of segunc that are imported while the program runs."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.ImportFrom) and node.module == "segunc":
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segunc."):
        yield (node.module or "").split(".")[1]
    elif isinstance(node, ast.Import):
        yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("segunc."))
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def test_files_are_written_by_stages_that_exist() -> None:
    steps = re.findall(r"written by `(\w+)`", TEXT)
    steps += re.findall(r"^\| `\{dataset\}\S*(?: or strategy\}\S*)?` \| `(\w+)` \|", TEXT, flags=re.MULTILINE)
    stages = {path.stem for path in (PACKAGE / "stages").glob("[a-z]*.py")}
    # The baselines write the same files as `evaluate`.
    assert set(steps) == stages - {"baselines"}


def test_columns_of_scores_are_the_metrics() -> None:
    assert f"`{' '.join(METRICS)}`" in re.sub(r"\s+", " ", TEXT)


def test_every_dependency_has_its_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["slurm"], *extras["test"]]
    names = {re.split(r"[><=\[]", requirement)[0] for requirement in required} - {"segunc"}
    rows = first_cells("| library | used for |")
    assert {name for row in rows for name in re.sub(r"\(.*\)", "", row).replace(",", " ").split()} == names


def test_every_dependency_is_imported() -> None:
    modules = {"pyyaml": "yaml", "pillow": "PIL", "markdown-it-py": "markdown_it"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sources = [path.read_text() for folder in ("src", "benchmarks") for path in Path(ROOT / folder).rglob("*.py")]
    for requirement in project["dependencies"]:
        name = re.split(r"[><=\[]", requirement)[0]
        pattern = rf"^\s*(import|from) {modules.get(name, name)}\b"
        assert any(re.search(pattern, source, flags=re.MULTILINE) for source in sources), name
