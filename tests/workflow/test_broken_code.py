"""Sources that do not fit together are found before any job starts; sources that do are not refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.sources import edit, forget, write_package

from segunc.runtime.code_digest import PACKAGE, code_param
from segunc.runtime.errors import UserError
from segunc.workflow.broken_code import check_command, check_imports

STAGE = '''"""Trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segunc import cells
from segunc.metrics.ged import distance
from segunc.runtime.stage import stage

if TYPE_CHECKING:
    from segunc.config.nowhere import Config
    import not_installed_anywhere


@stage
def main(
    job,
    *,
    data: Path,  # a store
    tables: list[Path],
    images: dict[str, Path],
    weights: Path | None = None,
):
    from segunc.models import unet
    return unet.build(), distance, cells.START, np.zeros(3)
'''
FIGURE = '''"""A figure whose main another module makes."""

from segunc.figures.distributions import program

main = program("agreement")
'''
FILES = {
    "__init__.py": "",
    "cells.py": 'START: str = "start"\n',
    "stages/__init__.py": "",
    "stages/train.py": STAGE,
    "metrics/__init__.py": "",
    "metrics/ged.py": "from . import overlap\nfrom .overlap import dice as of_masks\n\ndef distance():\n"
    "    return of_masks, overlap.dice\n",
    "metrics/overlap.py": "def dice():\n    pass\n",
    "models/__init__.py": "",
    "models/unet.py": "from ..metrics import ged\n\ndef build():\n    return ged.distance()\n",
    "figures/__init__.py": "",
    "figures/agreement.py": FIGURE,
    "figures/distributions.py": "def program(kind):\n    def main(job, *, means, png): ...\n    return main\n",
    "runtime/__init__.py": "",
    "runtime/start.py": "from segunc.runtime.stage import stage\n",
    "runtime/stage.py": "def stage(main):\n    return main\n",
}
TRAIN = "segunc.stages.train"
PASSED = (TRAIN, "--data", "lidc.h5", "--images", "a=b", "--tables", "a.csv", "b.csv")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_package(tmp_path, FILES, monkeypatch)
    yield tmp_path
    forget()


def refusal(module: str = TRAIN) -> str:
    with pytest.raises(UserError) as error:
        check_imports(module)
    return str(error.value)


def test_sources_that_fit_pass(package: Path) -> None:
    for module in (TRAIN, "segunc.models.unet", "segunc.figures.agreement"):
        check_imports(module)
    check_command("train", PASSED)
    check_command("train", [*PASSED, "--weights", "weights.pt"])
    check_command("plot_agreement", ["segunc.figures.agreement", "--means", "a.csv", "--png", "a.png"])


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        # A module that is gone or renamed, imported in each way, at the top or when it is needed.
        ("stages/train.py", "metrics.ged", "metrics.gde", "stages/train.py, line 11 imports segunc.metrics.gde, which"),
        ("stages/train.py", "import cells", "import cell", "stages/train.py, line 10 imports cell from segunc, which"),
        ("stages/train.py", "import unet", "import vnet", "stages/train.py, line 28 imports vnet from segunc.models"),
        (
            "stages/train.py",
            "numpy as np",
            "segunc.metric",
            "stages/train.py, line 8 imports segunc.metric, which does",
        ),
        (
            "metrics/ged.py",
            ". import overlap",
            ". import iou",
            "metrics/ged.py, line 1 imports iou from segunc.metrics",
        ),
        ("metrics/ged.py", "from .overlap", "from .iou", "metrics/ged.py, line 2 imports segunc.metrics.iou, which"),
        ("models/unet.py", "..metrics import", "..iou import", "models/unet.py, line 1 imports segunc.iou, which does"),
        # What the launcher needs, which no stage imports.
        (
            "runtime/start.py",
            "runtime.stage",
            "runtime.iou",
            "runtime/start.py, line 1 imports segunc.runtime.iou, which",
        ),
        # Packages that are imported on the way.
        (
            "stages/__init__.py",
            "",
            "import segunc.iou\n",
            "stages/__init__.py, line 1 imports segunc.iou, which does not",
        ),
        (
            "models/__init__.py",
            "",
            "import segunc.iou\n",
            "models/__init__.py, line 1 imports segunc.iou, which does not",
        ),
        # A name that is gone or renamed.
        ("metrics/overlap.py", "dice", "iou", "metrics/ged.py, line 2 imports dice from segunc.metrics.overlap, which"),
        ("cells.py", "START: str", "BEGIN", "stages/train.py, line 29 uses START of segunc.cells, which does not"),
        ("models/unet.py", "def build", "def make", "stages/train.py, line 29 uses build of segunc.models.unet, which"),
        (
            "models/unet.py",
            "ged\n",
            "ged as g\ng.iou, g.distance\n",
            "models/unet.py, line 2 uses iou of segunc.metrics.ged",
        ),
        (
            "models/unet.py",
            "from",
            "import os, segunc.cells as c\nc.END\nfrom",
            "models/unet.py, line 2 uses END of segunc.",
        ),
        # A name within a function is none of its module.
        (
            "cells.py",
            "START",
            "def f():\n    START",
            "stages/train.py, line 29 uses START of segunc.cells, which does not",
        ),
        # What is not installed.
        (
            "stages/train.py",
            "numpy",
            "numpyy",
            "stages/train.py, line 8 imports numpyy, which is not installed; install",
        ),
        (
            "models/unet.py",
            "def",
            "import fast.x\ndef",
            "models/unet.py, line 3 imports fast.x, which is not installed;",
        ),
        # Invalid Python.
        ("models/unet.py", "def build()", "def build(", "models/unet.py, line 3 is not valid Python ("),
        # Python that has a syntax tree and does not compile.
        ("models/unet.py", "", "return 1\n", "models/unet.py, line 1 is not valid Python ('return' outside function"),
        ("models/unet.py", "", "x = 1\nbreak\n", "models/unet.py, line 2 is not valid Python ('break' outside loop"),
        ("models/unet.py", "def build()", "def build(a, a)", "models/unet.py, line 3 is not valid Python (duplicate"),
        ("cells.py", "", "def f():\n    nonlocal x\n", "cells.py, line 2 is not valid Python (no binding for"),
        # A name that is defined nowhere.
        ("models/unet.py", "return ged", "return gde", "models/unet.py, line 4 uses gde, which is not defined; finish"),
        ("cells.py", '"start"', "BEGIN", "cells.py, line 1 uses BEGIN, which is not defined; finish or undo the edit"),
        ("cells.py", "", "def f(a, b=c):\n    return a\n", "cells.py, line 1 uses c, which is not defined; finish"),
        ("cells.py", "", "@cache\ndef f():\n    return 1\n", "cells.py, line 1 uses cache, which is not defined; fin"),
        ("cells.py", "", "class A(B):\n    pass\n", "cells.py, line 1 uses B, which is not defined; finish or undo"),
        ("cells.py", "", "[n for m in ()]\n", "cells.py, line 1 uses n, which is not defined; finish or undo the"),
        ("cells.py", "", "f'{word}'\n", "cells.py, line 1 uses word, which is not defined; finish or undo the edit"),
    ],
)
def test_sources_that_do_not_fit_are_refused(package: Path, file: str, old: str, new: str, said: str) -> None:
    edit(package, file, lambda text: text.replace(old, new, 1) if old else new + text)
    sentence = refusal()
    assert sentence.startswith(f"{package}/{said}") and sentence.endswith(".") and "\n" not in sentence


def test_a_function_that_two_modules_use_is_renamed(package: Path) -> None:
    edit(package, "metrics/ged.py", lambda text: text.replace("def distance", "def distances"))
    assert "segunc.metrics.ged, which does not define it; finish or undo the edit." in refusal()


@pytest.mark.parametrize("module", ["segunc.stages.evaluate", "segunc.models"])
def test_a_program_that_is_gone(package: Path, module: str) -> None:
    if module == "segunc.models":
        check_imports(module)
        (package / "models/__init__.py").unlink()
        (package / "models/unet.py").unlink()
        forget()
    with pytest.raises(UserError) as error:
        code_param(module)
    assert str(error.value) == f"a rule runs {module}, which does not exist; finish or undo the edit."


@pytest.mark.parametrize(
    ("file", "text"),
    [
        # Imports whose failure is handled.
        ("stages/train.py", "try:\n    import cupy\nexcept ImportError:\n    cupy = None\n"),
        ("stages/train.py", "try:\n    from segunc.fast import dice\nexcept ImportError:\n    pass\n"),
        ("stages/train.py", "try:\n    from segunc.cells import FAST\nexcept ImportError:\n    pass\n"),
        ("stages/train.py", "from contextlib import suppress\nwith suppress(ImportError):\n    import cupy\n"),
        # For type checkers.
        ("stages/train.py", "if TYPE_CHECKING:\n    import cupy\n    from segunc.cells import Nothing\n"),
        # Names that only running the module would show.
        ("stages/train.py", "from segunc.metrics.ged import *\nfrom math import *\n"),
        ("cells.py", "def __getattr__(name):\n    return name\n"),
        # Names by other statements than assignments.
        ("stages/train.py", "from segunc.other import a, b, c, d, e, f, g, h, i\n"),
        ("stages/train.py", "from segunc import other\nother.a, other.i, other.__name__, other.__doc__\n"),
        # Names in every scope, and those that every module has.
        ("cells.py", "def f(a, /, b, *c, d=1, **e):\n    return a, b, c, d, e, (lambda x: x), __name__, __file__\n"),
        ("cells.py", "[(m, n := m) for m in ()]\ntry:\n    pass\nexcept OSError as error:\n    print(error)\n"),
        ("cells.py", "match {}:\n  case {'a': x, **rest} if rest:\n    x\n  case [y, *z] as both:\n    y, z, both\n"),
        ("cells.py", "def later():\n    global LATE\n    LATE = after()\n\ndef after():\n    return LATE\n"),
        ("cells.py", "class A:\n    b = 1\n    c = b\n    def d(self):\n        return __class__, super().d()\n"),
        # A local variable that is called like a module.
        ("stages/train.py", "def pick(cells):\n    return cells.anything\n"),
        ("stages/train.py", "def pick(names):\n    return [cells.lower() for cells in names]\n"),
        # Parts of the standard library and of libraries.
        ("stages/train.py", "import os.path\nimport xml.etree.ElementTree as tree\nimport __main__\ntree.anything\n"),
    ],
)
def test_sources_that_run_are_not_refused(package: Path, file: str, text: str) -> None:
    (package / "other.py").write_text(
        "import math as a\nfrom math import pi as b\nfor c in ():\n    pass\nwith open(a) as d:\n    pass\n"
        "try:\n    e = 1\nexcept OSError:\n    f = 1\nif a:\n    g: int = 1\nelse:\n    (h, *i), g = 1\n"
    )
    edit(package, file, lambda before: before + text)
    check_imports(TRAIN)


def test_modules_that_are_gone_are_missed_although_segunc_looks_up_names(package: Path) -> None:
    """`segunc` imports what other programs ask it for; jobs ask it for modules alone."""
    (package / "library.py").write_text("START = 1\n")
    lookup = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from segunc.library import *\n"
    edit(package, "__init__.py", lambda _: f"{lookup}\n\ndef __getattr__(name):\n    return name\n")
    check_imports(TRAIN)
    (package / "cells.py").unlink()
    forget()
    assert refusal().endswith("imports cells from segunc, which does not define it; finish or undo the edit.")


def test_names_of_a_star_import_are_those_of_its_module(package: Path) -> None:
    (package / "all.py").write_text("from segunc.metrics.overlap import *\n")
    lines = "from segunc.all import dice\nfrom segunc import all\nall.dice\n"
    edit(package, "stages/train.py", lambda text: text + lines)
    check_imports(TRAIN)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("stages/train.py", "data: Path", "store: Path", "line 20 defines main() without the argument data of"),
        ("stages/train.py", "weights:", "model: str,\n    weights:", "needs the argument model of main(), which the"),
        ("stages/train.py", "data: Path", "data: Path,\n    seed: int", "line 24 needs the argument seed of main()"),
        ("stages/train.py", "images: dict[str, Path],\n", "", "without the argument images of the rule train; add"),
        ("stages/train.py", "    *,\n", "", "defines main() without the argument data of the rule train; add it."),
        ("stages/train.py", "def main", "def run", "has no function main(), which the rule train runs; define it."),
    ],
)
def test_programs_that_do_not_fit_their_rule_are_refused(
    package: Path, file: str, old: str, new: str, said: str
) -> None:
    edit(package, file, lambda text: text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        check_command("train", PASSED)
    assert said in str(error.value) and str(package / file) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data: Path", "data: Path,\n    seed: int = 0"),
        ("data: Path", "data: Path,\n    others: list[Path]"),
        ("data: Path", "data: Path,\n    others: dict[str, Path]"),
        ("    weights: Path | None = None,\n", ""),
        ("@stage\ndef main", "def main"),
    ],
)
def test_programs_that_fit_their_rule_are_not_refused(package: Path, old: str, new: str) -> None:
    edit(package, "stages/train.py", lambda text: text.replace(old, new, 1))
    check_command("train", PASSED)


def test_the_main_of_a_figure_is_that_of_its_function(package: Path) -> None:
    words = ["segunc.figures.agreement", "--means", "a.csv", "--png", "a.png"]
    with pytest.raises(UserError, match=r"distributions\.py, line 2 defines main\(\) without the argument pdf of"):
        check_command("plot_agreement", [*words, "--pdf", "a.pdf"])
    edit(package, "figures/distributions.py", lambda text: text.replace("def main", "def plot"))
    with pytest.raises(UserError, match=r"agreement\.py has no function main\(\) whose arguments can be read; define"):
        check_command("plot_agreement", words)


def test_all_programs_of_the_checkout_pass() -> None:
    modules = [
        f"segunc.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}"
        for folder in ("stages", "figures", "models", "strategies", "data/formats")
        for path in (PACKAGE / folder).glob("[!_]*.py")
    ]
    assert len(modules) > 30
    for module in modules:
        check_imports(module)
