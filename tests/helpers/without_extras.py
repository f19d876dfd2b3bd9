"""Programs as users have them: what `pip install -e '.[test]'` adds for the tests cannot be imported."""

import os
import tempfile
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.workflow import ROOT

SITECUSTOMIZE = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""


def installed_with(requirements: list[str]) -> set[str]:
    """The distributions that these requirements bring, with all that they require in turn."""
    found: set[str] = set()
    left = [Requirement(text) for text in requirements]
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        if name in found:
            continue
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        found.add(name)
        extras = one.extras or {""}
        left += [each for each in needed if not each.marker or any(each.marker.evaluate({"extra": e}) for e in extras)]
    return found


@cache
def of_tests_alone() -> frozenset[str]:
    """Names of the modules that only the tests' dependencies bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_users = installed_with([*project["dependencies"], *extras["slurm"]])
    of_tests = installed_with([text for text in extras["test"] if not text.startswith("segunc")]) - of_users
    return frozenset(
        module
        for module, distributions in packages_distributions().items()
        if {canonicalize_name(name) for name in distributions} <= of_tests
    )


@cache
def environment() -> dict[str, str]:
    """Environment variables with which this Python, and each that it starts, lacks these modules."""
    folder = tempfile.TemporaryDirectory()
    KEPT.append(folder)
    Path(folder.name, "sitecustomize.py").write_text(SITECUSTOMIZE.format(names=set(of_tests_alone())))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([folder.name, str(ROOT / "src")])}


KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the tests end."""
