"""A full disk ends a stage with one sentence, and leaves no half-written file."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.workflow import Study

SIZE = 256 * 1024
OUTPUTS = {
    "prepare": ("store",),
    "train": ("weights", "history", "checkpoints"),
    "sample": ("samples",),
    "evaluate": ("scores",),
    "tabulate": ("tables",),
    "plot_ged_by_samples": ("png", "pdf"),
}
"""Options of a stage that name files to write, by rule."""


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class Command(NamedTuple):
    """How Snakemake starts a job."""

    module: str
    task: dict[str, Any]
    options: list[str]


@pytest.fixture(scope="module")
def commands(study: Study) -> dict[str, Command]:
    """One command per rule, as Snakemake would run it in the study."""
    done = study.run("results/figures/ged_by_samples.png", "--dry-run", "--printshellcmds", "--forceall")
    lines = re.findall(r"^Shell command: (.*?) (?:> |2>&1).*$", done.stdout, flags=re.MULTILINE)
    found = {}
    for _, _, _, module, task, *options in map(shlex.split, lines):
        command = Command(module, json.loads(task), options)
        found[command.task["record"].split("/")[2]] = command
    assert set(OUTPUTS) <= set(found), done.stdout + done.stderr
    return found


@pytest.mark.parametrize("rule", OUTPUTS)
def test_a_full_disk(small_disk: Path, study: Study, commands: dict[str, Command], rule: str) -> None:
    command, option = commands[rule], ""
    task = {**command.task, "record": str(small_disk / "record.json")}
    task["outputs"] = {label: str(small_disk / path) for label, path in task["outputs"].items()}
    words = [sys.executable, "-m", "segunc.runtime.start", command.module, json.dumps(task)]
    for word in command.options:
        option = word.removeprefix("--") if word.startswith("--") else option
        is_output = word.startswith("results/") and option in OUTPUTS[rule]
        words.append(str(small_disk / word) if is_output else word)
    filler = small_disk / "filler"
    # Room for names, and for nothing else.
    filler.write_bytes(bytes(SIZE))
    environment = {**os.environ, "PYTHONPATH": str(study.checkout / "src")}
    done = subprocess.run(words, capture_output=True, text=True, cwd=study.folder, env=environment)
    assert done.returncode == 1, done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert sentence.startswith(f"segunc: {small_disk}")
    assert "because the disk is full; make room and run again." in sentence
    assert "Traceback" not in done.stderr
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [filler]
