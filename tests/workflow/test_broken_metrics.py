"""A metric that is not complete is refused before any job starts, in one sentence with its file and name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segunc.runtime.code_digest import PACKAGE
from segunc.workflow.broken_metrics import check_metrics

PROGRAM = """
import sys
from segunc.runtime.errors import UserError
from segunc.workflow.broken_metrics import check_metrics

try:
    check_metrics(["segunc.stages.train"])
    check_metrics(["segunc.stages.train", "segunc.stages.evaluate"])
except UserError as error:
    print(error)
"""
DICE = """    Metric(
        name="dice",
        function=overlap.dice,
        needs=("prediction", "annotations"),
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources."""
    copy = tmp_path_factory.mktemp("sources") / "segunc"
    return Path(shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__")))


def said(package: Path, old: str, new: str) -> str:
    """The sentence on the registry with an edit."""
    registry = package / "metrics/registry.py"
    text = registry.read_text()
    assert text.count(old) == 1
    registry.write_text(text.replace(old, new))
    try:
        environment = {**os.environ, "PYTHONPATH": str(package.parent)}
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    finally:
        registry.write_text(text)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            DICE,
            DICE.replace('        name="dice",\n', ""),
            "the record of a metric is not complete or not consistent (",
        ),
        (
            '        label="Dice",\n',
            "",
            "the record of the metric dice is not complete or not consistent (Metric.__init__() missing 1 required "
            "keyword-only argument: 'label'); correct it.",
        ),
        (
            DICE,
            DICE.replace('"prediction"', '"predicted"'),
            "the record of the metric dice is not complete or not consistent (the metric dice needs some of samples, ",
        ),
        (
            DICE,
            DICE.replace('name="dice"', 'name="iou"'),
            "the record of a metric is not complete or not consistent (two metrics have the same name, iou); correct",
        ),
        (
            '_selected("ged_u", "dice_cut", "cross_entropy")',
            '_selected("f1")',
            "the record of a metric is not complete or not consistent (no metric is called f1); correct it.",
        ),
    ],
)
def test_an_incomplete_metric_has_its_sentence(package: Path, old: str, new: str, reason: str) -> None:
    sentence = said(package, old, new)
    assert sentence.startswith(f"{package}/metrics/registry.py, line ") and sentence.count("\n") == 1
    assert reason in sentence and sentence.endswith(" correct it.\n")
    line = int(sentence.split("line ")[1].split(":")[0])
    assert 0 < line <= len((package / "metrics/registry.py").read_text().splitlines())


def test_a_metric_called_like_another_column(package: Path) -> None:
    sentence = said(package, 'name="hm_iou"', 'name="votes"')
    reason = "the metric votes is called like another column of images.csv"
    assert sentence == f"the metrics cannot be used ({reason}); correct {package}/metrics/registry.py.\n"


def test_complete_metrics_pass() -> None:
    check_metrics(["segunc.stages.evaluate"])


def test_a_run_ends_before_any_job(study) -> None:
    """Nothing is removed."""
    scores = sorted((study.folder / "results/scores").rglob("*"))
    with study.edited("metrics/registry.py", lambda text: text.replace('        label="Dice",\n', "")):
        done = study.run()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "segunc: " in done.stderr and "the record of the metric dice is not complete" in done.stderr
    assert sorted((study.folder / "results/scores").rglob("*")) == scores
