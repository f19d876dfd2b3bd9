"""What a job finds where it runs: the dependencies of the checkout, and none of the user's files."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from helpers.workflow import ROOT
from packaging.requirements import Requirement

from segunc.data.preparation import prepare
from segunc.runtime.code_digest import closure, source_of
from segunc.workflow.environment import job_environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch"}
SOURCES = ROOT / "src" / "segunc"
BY_NAME = ("models", "strategies", "data/formats", "runtime")
"""Packages whose modules a stage imports by name, and the one that starts it."""
PREPARE = {
    "format": "phantom",
    "options": {"kind": "lung", "patients": 6, "images_per_patient": 1, "size": 32, "seed": 0},
    "size": 32,
    "resize": "crop",
    "split": {"train": 0.6, "val": 0.2, "test": 0.2, "seed": 0},
}


def conda() -> dict[str, str]:
    """Version specifiers by name in the conda environment."""
    words = [line.split() for line in yaml.safe_load((ROOT / "envs/segunc.yaml").read_text())["dependencies"]]
    return dict(words)


def test_the_conda_environment_has_the_dependencies_of_the_package() -> None:
    needed = [Requirement(text) for text in PROJECT["dependencies"]]
    expected = {CONDA_NAMES.get(one.name, one.name): str(one.specifier) for one in needed if one.name != "snakemake"}
    assert conda() == {"python": PROJECT["requires-python"], **expected}


def modules(package: str) -> list[str]:
    found = [path for path in (SOURCES / package).glob("*.py") if path.name != "__init__.py"]
    return [f"segunc.{package}.{path.stem}".replace("/", ".") for path in found]


@cache
def third_party(module: str) -> frozenset[str]:
    """The packages outside the standard library that a module imports, anywhere in it."""
    path = source_of(module)
    assert path is not None
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return frozenset(names - sys.stdlib_module_names - {"segunc"})


@cache
def installed() -> Mapping[str, list[str]]:
    """Distributions by the package that they contain; reading all of them takes a while."""
    return packages_distributions()


@pytest.mark.parametrize("program", modules("stages") + modules("figures"))
def test_programs_import_what_the_environment_has(program: str) -> None:
    entries = [program, *(module for package in BY_NAME for module in modules(package))]
    reached = {module for entry in entries for module in [entry, *closure(entry)]}
    distributions = installed()
    known = set(conda()) | set(CONDA_NAMES)
    for name in {name for module in reached for name in third_party(module)}:
        assert {distribution.lower() for distribution in distributions[name]} & known, name


def test_a_clone_that_was_never_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = importlib.metadata.distribution

    def distribution(name: str) -> importlib.metadata.Distribution:
        if name == "segunc":
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    prepare(PREPARE, {}, tmp_path / "phantom_lung.h5")
    assert (tmp_path / "phantom_lung.h5").exists()


@pytest.mark.parametrize("path", [None, ":/somewhere"])
def test_the_users_files_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    """A stage runs in a folder with files that are called like modules; an empty part of PYTHONPATH stands for it."""
    for name in ("random", "numpy", "csv", "json", "h5py", "segunc", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working directory was imported')")
    if path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", path)
    words = [sys.executable, "-m", "segunc.stages.prepare", "--spec", json.dumps(PREPARE), "--store", "phantom_lung.h5"]
    environment = {**os.environ, **job_environment(str(ROOT))}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "phantom_lung: train" in done.stdout


def test_the_command_does_not_import_the_users_files(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("segunc")
    if not command.exists():
        pytest.skip("segunc is not installed")
    for name in ("random", "numpy", "csv", "json", "h5py", "segunc"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working directory was imported')")
    done = subprocess.run([command, "inspect", "gone.h5"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == "segunc: gone.h5 does not exist; run snakemake, which makes it.\n"
