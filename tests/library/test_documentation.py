"""docs/library.md and docs/library.ipynb, run as users have them: without the test dependencies, on a finished run."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.workflow import ROOT, Study

WITHOUT_TEST_DEPENDENCIES = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""
DOCTEST = """
import doctest, re

blocks = re.findall("^```python\\n(.*?)^```$", open(sys.argv[1]).read(), flags=re.MULTILINE | re.DOTALL)
page = doctest.DocTestParser().get_doctest("\\n".join(blocks), {}, "page", sys.argv[1], 0)
failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(page)
sys.exit(failed or not tried)
"""
CELLS = """
import json

cells = json.load(open(sys.argv[1]))["cells"]
names = {"__name__": "__main__"}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
"""


def run(program: str, document: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program on a document, in a folder."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["test"]
    names = {requirement.partition(">")[0] for requirement in extras if not requirement.startswith("segunc")}
    assert {"pytest", "hypothesis"} <= names
    command = [sys.executable, "-c", WITHOUT_TEST_DEPENDENCIES.format(names=names) + program, str(ROOT / document)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_examples_of_the_page(study: Study) -> None:
    done = run(DOCTEST, "docs/library.md", study.folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_cells_of_the_notebook(study: Study) -> None:
    done = run(CELLS, "docs/library.ipynb", study.folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_test_dependencies_are_absent_there(tmp_path: Path) -> None:
    assert "No module named 'pytest'" in run("import pytest", "docs/library.md", tmp_path).stderr


def test_the_notebook_is_executed() -> None:
    notebook = json.loads((ROOT / "docs/library.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs and not any(output["output_type"] == "error" for output in outputs)
    assert any("image/png" in output["data"] for output in outputs if "data" in output)
    assert notebook["nbformat"] == 4
    assert str(Path.home()) not in json.dumps(notebook) and "/tmp" not in json.dumps(notebook)


@pytest.mark.parametrize("heading", ["Measures", "Results of a run"])
def test_the_page_has_every_name(heading: str) -> None:
    import segunc.library

    text = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = section.partition("|---|")[2].split("\n\n")[0]
    if heading == "Measures":
        names = {*segunc.library.__all__} - {"Results", "UserError", "load"}
    else:
        names = {name for name in vars(segunc.library.Results) if not name.startswith("_")}
    assert all(f"`{name}`" in table or f"`{name}(" in table for name in names), names
