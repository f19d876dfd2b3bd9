"""The command `segunc`: its help, and commands that pass their arguments to Snakemake."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from helpers.study import write_dataset
from helpers.workflow import ROOT

from segunc.commands import main as command


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr("sys.argv", ["segunc", *words])
    with pytest.raises(SystemExit) as end:
        command.main()
    return end.value.code


def test_help_names_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(monkeypatch, "--help")
    text = capsys.readouterr().out
    assert all(f"    {name} " in text and words in text for name, (_, words) in command.COMMANDS.items())


@pytest.mark.parametrize("name", command.COMMANDS)
def test_each_command_has_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(monkeypatch, name, "--help")
    assert f"usage: segunc {name}" in capsys.readouterr().out


def test_arguments_with_which_snakemake_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, "plan", "--version")
    assert said == "segunc: with these arguments, snakemake does not read segunc's Snakefile; see snakemake --help."


def test_snakemakes_own_errors_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "why", "nosuch") == 1
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*command.WITH_SNAKEMAKE, "tidy"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--configfile", "gone.yaml"], "config file gone.yaml cannot be read (No such file or directory)"),
        (
            ["--directory", "typo"],
            "--directory typo is not a folder; name the one in which snakemake runs, or create it.",
        ),
        (["--cores", "many"], "snakemake does not accept these arguments (Error parsing number of cores"),
    ],
)
def test_arguments_with_which_snakemake_fails(
    name: str, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(monkeypatch, name, "--snakefile", str(ROOT / "Snakefile"), *words)
    assert isinstance(answer, str) and answer.startswith(f"segunc: {said}") and "\n" not in answer
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("name", ["why", "check", "accept"])
def test_no_core(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = run(
        monkeypatch, name, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--cores", "0"
    )
    assert answer == "segunc: --cores is 0, so that no job can run; give at least 1."


def test_wrong_arguments_are_shown_as_snakemake_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "why", "--nonsense") == 2
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".snakemake").touch()  # Root may write anywhere, but not into a file.
    answer = run(monkeypatch, "why", "--directory", str(tmp_path))
    assert isinstance(answer, str) and answer.startswith("segunc: snakemake cannot work here (")
    assert str(tmp_path / ".snakemake") in answer and "\n" not in answer


PROGRAM = [sys.executable, "-m", "segunc.commands.main"]


@pytest.mark.parametrize("words", [["why"], ["plan"], ["inspect", "a.h5"]])
def test_output_that_nobody_reads_to_the_end(tmp_path: Path, words: list[str]) -> None:
    """As in `segunc why | head -0`."""
    write_dataset(tmp_path / "a.h5", annotators=1)
    snakefile = ["--snakefile", str(ROOT / "Snakefile")] if words[0] in command.WITH_SNAKEMAKE else []
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, *words, *snakefile], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 128 + signal.SIGPIPE
    assert [line for line in done.stderr.splitlines() if not line.startswith("Using workflow specific profile")] == []


def test_output_to_a_full_disk(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.h5", annotators=1)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "inspect", "a.h5"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("segunc: [Errno 28] No space left on device; correct that")


@pytest.mark.parametrize("seconds", [0.3, 1.5, 2.5])
def test_ctrl_c_is_quiet(tmp_path: Path, seconds: float) -> None:
    """During the imports, and while Snakemake builds its DAG."""
    words = [*PROGRAM, "why", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        time.sleep(seconds)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    assert program.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in errors and "Error" not in errors, errors


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX"}])
def test_foreign_text_in_any_terminal(tmp_path: Path, variables: dict[str, str]) -> None:
    """Names and attributes of a store from elsewhere are printed without commands to the terminal, in any encoding."""
    path = tmp_path / "lésion\x1b[31m.h5"
    write_dataset(path, annotators=1)
    with h5py.File(path, "a") as file:
        file.attrs["spec"] = json.dumps({"format": "\x1b]0;title\x07"})
        file.attrs["exclusions"] = json.dumps({"\x9b2J": 1})
    for stored in (path, tmp_path / "gone\x1b[2J.h5"):
        environment = {**os.environ, **variables}
        done = subprocess.run([*PROGRAM, "inspect", stored], capture_output=True, env=environment)
        assert done.returncode == (stored != path), done.stderr
        said = done.stdout + done.stderr
        assert b"sion\\x1b[31m" in said or b"gone\\x1b[2J" in said
        assert not {0x1B, 0x07, 0x9B} & set(said)


def test_the_checkout_beside_the_snakefile_answers(tmp_path: Path) -> None:
    """Not the one that is installed: Snakemake would run the sources beside the Snakefile."""
    commands = tmp_path / "other/src/segunc/commands"
    commands.mkdir(parents=True)
    for package in (commands.parent, commands):
        (package / "__init__.py").touch()
    (commands / "main.py").write_text("import sys\nprint(__file__, *sys.argv[1:])\n")
    for words, folder in ((["--snakefile", "other/Snakefile"], tmp_path), ([], tmp_path / "other")):
        done = subprocess.run([*PROGRAM, "why", *words], cwd=folder, capture_output=True, text=True)
        assert done.stdout.split() == [str(commands / "main.py"), "why", *words], done.stderr
