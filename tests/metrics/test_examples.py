"""The examples in the docstrings of metrics and statistics run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import segunc.metrics

MODULES = ["segunc.masks", *(f"segunc.metrics.{m.name}" for m in pkgutil.iter_modules(segunc.metrics.__path__))]
MODULES += ["segunc.evaluation.statistics", "segunc.active.picks"]
MODULES += [f"segunc.claims.{name}" for name in ("active_learning", "study", "verdicts")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    report = []
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        if inspect.isfunction(getattr(module, public)):
            assert ">>>" in getattr(module, public).__doc__, public
