"""The few rules of the layout: which package may import which, and where names and paths stand."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


def module_of(path: Path) -> str:
    """`src/segunc/data/__init__.py` is `segunc.data`."""
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted((SOURCES / "segunc").rglob("*.py"))}
PACKAGES = {module for module, path in MODULES.items() if path.name == "__init__.py"}


@cache
def imports_of(module: str) -> frozenset[str]:
    """What a module imports when it runs, anywhere in it; of segunc, also modules imported from their package."""
    found = set()
    for node in running_nodes(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {str(node.module)} | (named & set(MODULES))
    return frozenset(found)


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from running_nodes(child)


def in_package(module: str, *packages: str) -> bool:
    return any(f"{module}.".startswith(f"segunc.{package}.") for package in packages)


@cache
def reached_from(module: str) -> frozenset[str]:
    """The module and all modules of segunc that it imports, directly or not."""
    found, left = set(), [module]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += imports_of(one) & set(MODULES)
    return frozenset(found)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("runtime", [package.removeprefix("segunc.") for package in PACKAGES - {"segunc", "segunc.runtime"}]),
        ("metrics", ["models", "networks", "learning", "active"]),
        ("figures", ["commands", "plan", "workflow", "stages", "models", "networks"]),
        ("cells", ["config", "workflow", "plan", "commands", "stages"]),
        ("catalogue", ["models", "strategies", "data"]),
    ],
)  # fmt: skip
def test_packages_that_must_not_know_others(package: str, forbidden: list[str]) -> None:
    modules = [module for module in MODULES if in_package(module, package)]
    assert modules
    for module in modules:
        assert not [name for name in reached_from(module) if in_package(name, *forbidden)], module


def test_runtime_imports_the_standard_library_alone() -> None:
    """It is left out of code digests, so it must not compute results."""
    for module in (name for name in MODULES if in_package(name, "runtime")):
        others = {name for name in imports_of(module) if name.split(".")[0] in ("numpy", "torch", "pandas", "h5py")}
        assert not others, module


def test_no_module_imports_a_stage() -> None:
    """A stage is a program; what others need belongs in a library package."""
    for module in MODULES:
        assert not [name for name in imports_of(module) if in_package(name, "stages") and name not in PACKAGES], module


def test_packages_import_each_other_one_way() -> None:
    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        parts = module.split(".")
        others = {name.split(".")[1] for name in imports_of(module) & set(MODULES) if "." in name}
        arrows.setdefault(parts[1] if len(parts) > 1 else "", set()).update(others)
    arrows = {package: others - {package} for package, others in arrows.items()}
    while leaves := [package for package, others in arrows.items() if not others & set(arrows)]:
        arrows = {package: others for package, others in arrows.items() if package not in leaves}
    assert not arrows, "these packages import each other in a circle"


def test_no_module_is_named_like_a_package_and_none_like_a_test() -> None:
    packages = {package.split(".")[-1] for package in PACKAGES}
    for module in set(MODULES) - PACKAGES:
        name = module.split(".")[-1]
        assert name not in packages, module
        assert not re.fullmatch(r"test_.*|.*_test|conftest", name), module


def test_every_package_states_what_belongs_there() -> None:
    for package in PACKAGES:
        assert ast.get_docstring(ast.parse(MODULES[package].read_text())), package


def rules() -> dict[str, str]:
    """The text of each rule that runs a program, by its name."""
    text = "\n\n".join(path.read_text() for path in RULES)
    parts = re.split(r"^(?:rule|use rule \w+ as) (\w+)(?: with)?:$", text, flags=re.MULTILINE)
    # A rule ends at the next line that begins at the margin.
    bodies = {
        name: re.split(r"^\S", body, flags=re.MULTILINE)[0] for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {name: body for name, body in bodies.items() if "code=code(" in body}


def test_rule_module_and_record_have_one_name() -> None:
    """Records and logs lie in folders named by the pathvar `step`."""
    found = rules()
    programs = [module for module, path in MODULES.items() if "__main__" in path.read_text()]
    stages = [module.removeprefix("segunc.stages.") for module in programs if in_package(module, "stages")]
    figures = [f"plot_{module.split('.')[-1]}" for module in programs if in_package(module, "figures")]
    assert sorted([*stages, *figures]) == sorted(found)
    for name, body in found.items():
        assert re.findall(r'step="(\w+)"', body) == [name]
        folder, module = ("figures", name.removeprefix("plot_")) if name.startswith("plot_") else ("stages", name)
        assert f'code=code("{folder}.{module}"' in body, name
        assert set(re.findall(r"(?:stage|figure)=\"(\w+)\"", body)) <= {module}, name
        # The param `job` names the program by the param `code`.
        assert set(re.findall(r"python -m (\S+ [^ \"]+)", body)) <= {"segunc.runtime.start {params.job}"}, name


def test_the_results_folder_is_spelled_once() -> None:
    """In the pathvars of the rules; docstrings and comments may name it."""
    lines = [line for path in RULES for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    spelled = [line.strip() for line in lines if re.search(r"(?<!<)\bresults\b[/\"]", line)]
    assert spelled == ['results="results",']
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not [text.value for text in texts if "results/" in text.value and id(text) not in prose], module
