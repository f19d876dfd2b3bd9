"""Each row of the documentation's table of bad inputs names a test that exists."""

import ast
import re

from helpers.workflow import ROOT

TESTS = ROOT / "tests"
TABLE = ROOT / "docs" / "bad_inputs.md"


def names(body: list[ast.stmt], prefix: str = "") -> set[str]:
    """Functions of a module by name, those of classes as `Class::function`."""
    found = {prefix + node.name for node in body if isinstance(node, ast.FunctionDef)}
    return found.union(*(names(node.body, f"{node.name}::") for node in body if isinstance(node, ast.ClassDef)))


def test_each_row_names_a_test_that_exists():
    text = TABLE.read_text()
    rows = re.findall(r"^\| (?!input )(.+) \| (.+) \| (.+) \| `(\S+\.py)::(\S+)` \|$", text, re.MULTILINE)
    assert len(rows) == sum(line.startswith("| ") and "| input " not in line for line in text.splitlines())
    assert len(rows) > 100
    for *_, file, test in rows:
        assert test in names(ast.parse((TESTS / file).read_text()).body), f"{file}::{test}"
