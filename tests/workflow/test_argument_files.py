"""Command lines of any length."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from segunc.workflow import argument_files
from segunc.workflow.argument_files import LONG, command_words, expanded, option

PATHS = [f"results/scores/a b/{number}'s $HOME.csv" for number in range(20_000)]
AWKWARD = ["results/a b.csv", "it's", '"quoted"', "$HOME `id` \\", "{braces}", "*", "#", "ä", "line\nbreak", "%d"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File names in command lines are relative to Snakemake's working directory."""
    monkeypatch.chdir(tmp_path)


def in_shell(line: str) -> list[str]:
    """What a program gets from a shell command."""
    program = "import json, sys; json.dump(sys.argv[1:], sys.stdout)"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {line}"
    done = subprocess.run(command, shell=True, executable="/bin/bash", capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_short_words_are_quoted_in_place() -> None:
    assert in_shell(command_words(AWKWARD)) == AWKWARD
    assert in_shell(option("scores", AWKWARD)) == ["--scores", *AWKWARD]
    assert option("scores", ["a.csv", "b.csv"]) == "--scores a.csv b.csv"
    assert not list(Path().iterdir())


def test_a_long_option_is_in_a_file() -> None:
    line = option("scores", PATHS)
    assert len(line) < 100
    name, file = in_shell(line)
    assert name == "--scores" and file.startswith("@")
    assert expanded([name, file, "--seed", "0"]) == ["--scores", *PATHS, "--seed", "0"]


def test_only_long_words_of_a_command_are_in_files() -> None:
    task = json.dumps({"inputs": PATHS})
    module, file = in_shell(command_words(["segunc.stages.tabulate", task]))
    assert module == "segunc.stages.tabulate" and file.startswith("@")
    assert expanded([file]) == [task]


@pytest.mark.parametrize("length", [LONG - 1, LONG])
def test_the_limit(length: int) -> None:
    assert command_words(["x" * length]).startswith("@") == (length == LONG)
    assert option("x", ["x" * length]).startswith("--x @") == (length == LONG)


def test_one_command_never_reads_anothers_file() -> None:
    first, second = option("scores", PATHS), option("scores", PATHS[1:])
    assert first != second and first == option("scores", PATHS)
    assert expanded([in_shell(first)[1]]) == PATHS and expanded([in_shell(second)[1]]) == PATHS[1:]
    assert len(list(Path(argument_files.FOLDER).iterdir())) == 2


def test_words_that_run_together_are_other_words() -> None:
    assert option("scores", ["a" * LONG, "b"]) != option("scores", ["a" * LONG + "b"])


def test_a_file_that_is_there_is_not_written_again() -> None:
    """Jobs of a cluster read it while Snakemake goes on."""
    option("scores", PATHS)
    (file,) = argument_files.FOLDER.iterdir()
    before = file.stat()
    os.utime(file, ns=(0, 0))
    option("scores", PATHS)
    assert file.stat().st_ino == before.st_ino and file.stat().st_mtime_ns == 0


def test_a_folder_that_cannot_be_written_to() -> None:
    """A dry run there starts nothing; by a file in its place, because root may write everywhere."""
    Path(".snakemake").write_text("")
    name, file = in_shell(option("scores", PATHS))
    assert name == "--scores" and file.startswith("@")
    assert expanded([name, file, "--seed", "0"]) == ["--scores", "--seed", "0"]
