"""Which modules a digest covers, and which edits change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.sources import edit, forget, write_package

from segunc.runtime import code_digest
from segunc.runtime.errors import UserError

TRAINING = '''"""Trains."""

from typing import TYPE_CHECKING

from segunc.metrics import score
from segunc.runtime.progress import Progress

if TYPE_CHECKING:
    from segunc.config import Config


def train(steps: int) -> float:
    """Returns the loss."""
    progress = Progress("train", steps)
    for step in range(steps):
        progress.update(step, f"loss {score(step)}")
    print("done")
    return score(steps)
'''
FILES = {
    "__init__.py": "",
    "training.py": TRAINING,
    "metrics/__init__.py": '"""Metrics."""\nfrom segunc.metrics.iou import score\n',
    "metrics/iou.py": "def score(x):\n    return x + 1\n",
    "metrics/ged.py": "DISTANCE = 1\n",
    "metrics/other.py": "DISTANCE = 1\n",
    "config.py": "Config = dict\n",
    "runtime/__init__.py": "",
    "runtime/progress.py": "class Progress: ...\n",
    "models/unet.py": "WORK = 1\n\ndef build(*, size):\n    from segunc.metrics import ged\n",
    "models/__init__.py": "",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package segunc with the files above, whose digests are computed."""
    write_package(tmp_path, FILES, monkeypatch)
    yield tmp_path
    forget()


def test_a_digest_covers_what_is_imported_and_no_runtime(package: Path) -> None:
    assert list(code_digest.code("segunc.training")) == [
        *("segunc", "segunc.metrics", "segunc.metrics.iou", "segunc.training"),
    ]


def test_entries_imported_by_name_and_modules_imported_from_a_package_count(package: Path) -> None:
    assert {"segunc.models.unet", "segunc.metrics.ged"} < set(code_digest.code("segunc.training", "segunc.models.unet"))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training.py", '"""Returns the loss."""', '"""Returns the last loss."""'),
        ("training.py", '"done"', '"finished"'),
        ("training.py", '    print("done")\n', ""),
        ("training.py", 'f"loss {score(step)}"', '"running"'),
        ("training.py", "import Config", "import Config as Settings"),
        ("training.py", "def train(steps: int)", "# The loop.\ndef train(steps:   int)"),
        ("models/unet.py", "WORK = 1", "WORK = 2"),
        ("runtime/progress.py", "...", "pass"),
        ("config.py", "dict", "list"),
        ("metrics/other.py", "1", "2"),
    ],
)
def test_edits_that_compute_nothing_leave_the_digest(package: Path, file: str, old: str, new: str) -> None:
    before = code_digest.code_param("segunc.training", "segunc.models.unet")
    edit(package, file, lambda text: text.replace(old, new))
    assert code_digest.code_param("segunc.training", "segunc.models.unet") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training.py", "range(steps)", "range(1, steps)"),
        ("training.py", 'print("done")', 'steps = len(print("done") or "x")'),
        ("training.py", '"train", steps', '"training", steps'),
        ("training.py", "progress.update(", "other.update("),
        ("training.py", "if TYPE_CHECKING:", "if True:"),
        # A report that writes a file, or assigns.
        ("training.py", 'print("done")', 'print("done", file=log)'),
        ("training.py", 'print("done")', "print(steps := 5)"),
        # Only a model's module has estimates.
        ("metrics/iou.py", "def score", "WORK = 1\ndef score"),
        ("models/unet.py", "*, size", "*, size=None"),
        ("metrics/iou.py", "+ 1", "+ 2"),
        ("metrics/__init__.py", "iou import score", "ged import DISTANCE as score"),
    ],
)
def test_edits_that_may_change_results_change_the_digest(package: Path, file: str, old: str, new: str) -> None:
    before = code_digest.code_param("segunc.training", "segunc.models.unet")
    edit(package, file, lambda text: text.replace(old, new))
    assert code_digest.code_param("segunc.training", "segunc.models.unet") != before


def test_the_param_names_its_entries_and_gives_the_digests_by_module(package: Path) -> None:
    param = code_digest.code_param("segunc.training", "segunc.models.unet")
    assert param.split()[:2] == ["segunc.training", "segunc.models.unet"] and len(param.split()) == 3
    assert code_digest.code_of(param) == code_digest.code("segunc.training", "segunc.models.unet")
    assert code_digest.code_of("") == {}


def test_unknown_modules_and_invalid_python(package: Path) -> None:
    with pytest.raises(UserError, match=r"^a rule runs segunc\.nowhere, which does not exist; finish or undo"):
        code_digest.code("segunc.nowhere")
    edit(package, "metrics/iou.py", lambda text: text + "def (:\n")
    with pytest.raises(UserError, match=r"iou\.py, line 3 is not valid Python \(.*\); fix the syntax error\.$"):
        code_digest.code("segunc.training")


def test_the_real_stages_reach_their_mathematics() -> None:
    """A few examples, and none reaches the code that only runs it."""
    for entries, modules in {
        ("stages.train", "models.unet"): {"segunc.learning.training", "segunc.networks.backbone"},
        ("stages.evaluate",): {"segunc.metrics.ged", "segunc.evaluation.scores"},
        ("stages.active_acquire",): {"segunc.active.acquisition"},
    }.items():
        covered = set(code_digest.code(*(f"segunc.{entry}" for entry in entries)))
        assert modules <= covered
        assert not [module for module in covered if module.startswith(("segunc.runtime", "segunc.workflow"))]
    assert "segunc.learning.training" not in code_digest.code("segunc.stages.evaluate")
