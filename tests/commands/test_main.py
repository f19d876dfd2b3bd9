"""The command `segunc`: its help, and commands that pass their arguments to Snakemake."""

import pytest

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
