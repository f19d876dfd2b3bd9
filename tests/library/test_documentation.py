"""docs/library.md names all of the library; docs/library.ipynb runs on a finished run, without the tests' dependencies.

tests/docs/test_commands.py runs the examples of the page.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.without_extras import environment
from helpers.workflow import ROOT, Study

CELLS = """
import json, sys

cells = json.load(open(sys.argv[1]))["cells"]
names = {"__name__": "__main__"}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
"""


def test_the_cells_of_the_notebook(study: Study) -> None:
    command = [sys.executable, "-c", CELLS, str(ROOT / "docs/library.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=study.folder, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


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
