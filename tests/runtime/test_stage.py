"""The command line of a stage from its signature, its errors, and its record."""

import json
import signal
import sys
from pathlib import Path

import pytest

from segunc.runtime import records
from segunc.runtime.errors import UserError
from segunc.runtime.stage import Job, stage

RECEIVED: dict[str, object] = {}


@stage
def example(
    job: Job,
    *,
    data: Path,  # a store
    seed: int,  # from 0 on; 100% of them
    model: str,
    tables: list[Path],  # files to write
    images: dict[str, Path],  # pattern by rule
    weights: Path | None = None,  # may be left out
    name: str = "test",  # in progress lines
) -> None:
    RECEIVED.clear()
    RECEIVED.update(locals())
    print("computing")


@stage
def failing(job: Job, *, kind: str) -> None:
    if kind == "user":
        raise UserError("the disk is full; make room.")
    if kind == "signal":
        signal.raise_signal(signal.SIGTERM)
    raise ValueError("a defect")


REQUIRED = ["--data", "lidc.h5", "--seed", "3", "--model", "unet", "--tables", "a.csv", "b.csv"]


def call(program: object, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    handler = signal.getsignal(signal.SIGTERM)
    try:
        program()  # type: ignore[operator]
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_options_have_the_types_and_defaults_of_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ["--images", "evaluate=s/{model}.csv", "--images", "baselines=b=1.csv"]
    call(example, *REQUIRED, *images, "--spec", '{"draws": 16}', monkeypatch=monkeypatch)
    assert RECEIVED.pop("job") == Job({"draws": 16}, {})
    assert {
        "data": Path("lidc.h5"),
        "seed": 3,
        "model": "unet",
        "tables": [Path("a.csv"), Path("b.csv")],
        "images": {"evaluate": Path("s/{model}.csv"), "baselines": Path("b=1.csv")},
        "weights": None,
        "name": "test",
    } == RECEIVED
    call(example, *REQUIRED, "--weights", "w.pt", "--name", "lidc", monkeypatch=monkeypatch)
    assert (RECEIVED["images"], RECEIVED["weights"], RECEIVED["name"]) == ({}, Path("w.pt"), "lidc")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (REQUIRED[2:], "the following arguments are required: --data"),
        ([*REQUIRED, "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        ([*REQUIRED, "--images", "s.csv"], "argument --images: 's.csv' is not name=path"),
        ([*REQUIRED, "--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        call(example, *words, monkeypatch=monkeypatch)
    assert end.value.code == 2 and complaint in capsys.readouterr().err


def test_help_is_the_modules_docstring_and_the_comments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        call(example, "--help", monkeypatch=monkeypatch)
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "The command line of a stage from its signature" in text
    for words in ("--data FILE a store", "--seed SEED from 0 on; 100% of them", "--images NAME=PATH pattern by rule"):
        assert words in text
    for option in ("--spec", "--code", "--record"):
        assert option in text


def test_a_record_is_written_when_the_stage_has_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records/example.json"
    code = "segunc.metrics.ged 0123456789ab"
    call(
        example, *REQUIRED, "--spec", '{"b": 1, "a": 2}', "--code", code, "--record", str(path), monkeypatch=monkeypatch
    )
    record = json.loads(path.read_text())
    assert list(record["spec"]) == ["b", "a"] and record["accepted"] == []
    assert {"segunc.metrics.ged", "segunc.metrics.overlap"} <= set(record["code"])
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert records.made_from(path, '{"b": 1, "a": 2}', code)
    assert not records.made_from(path, '{"b": 1, "a": 3}', code)
    assert not records.made_from(path, '{"b": 1, "a": 2}', "segunc.metrics.overlap 0123456789ab")
    assert not records.made_from(tmp_path / "none.json", "{}", code)


@pytest.mark.parametrize(
    ("kind", "code"), [("user", "segunc: the disk is full; make room."), ("signal", 128 + signal.SIGTERM)]
)
def test_mistakes_of_the_user_and_signals_end_the_program(
    kind: str, code: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as end:
        call(failing, "--kind", kind, "--record", str(tmp_path / "record.json"), monkeypatch=monkeypatch)
    assert end.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_defect_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a defect"):
        call(failing, "--kind", "defect", "--record", str(tmp_path / "record.json"), monkeypatch=monkeypatch)
    assert not list(tmp_path.iterdir())
