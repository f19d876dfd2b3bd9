"""The command line of a stage from its signature, and its errors."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    job.afterwards.append(lambda: RECEIVED.update(finished=True))
    print("computing")


@stage
def failing(job: Job, *, kind: str) -> None:
    if kind == "user":
        raise UserError("the disk is full; make room.")
    if kind in SIGNALS:
        signal.raise_signal(signal.Signals[kind])
    raise ValueError("a defect")


SIGNALS = ("SIGTERM", "SIGHUP")


REQUIRED = ["--data", "lidc.h5", "--seed", "3", "--model", "unet", "--tables", "a.csv", "b.csv"]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Stages change how this process ends."""
    before = {name: signal.getsignal(signal.Signals[name]) for name in SIGNALS}
    yield
    for name, handler in before.items():
        signal.signal(signal.Signals[name], handler)


def call(program: object, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    program()  # type: ignore[operator]


def test_options_have_the_types_and_defaults_of_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ["--images", "evaluate=s/{model}.csv", "--images", "baselines=b=1.csv"]
    call(example, *REQUIRED, *images, "--spec", '{"draws": 16}', monkeypatch=monkeypatch)
    job = RECEIVED.pop("job")
    assert isinstance(job, Job) and (job.spec, job.code) == ({"draws": 16}, {})
    assert RECEIVED.pop("finished"), "nobody writes a record"
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
    assert "--spec SPEC JSON: settings that the results depend on" in text


def test_a_default_makes_an_option_optional_and_so_do_lists_and_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    call(example, "--data", "d", "--seed", "0", "--model", "m", "--tables", monkeypatch=monkeypatch)
    assert RECEIVED["tables"] == []
    call(example, "--data", "d", "--seed", "0", "--model", "m", monkeypatch=monkeypatch)
    assert (RECEIVED["tables"], RECEIVED["images"]) == ([], {})


def test_words_may_be_the_lines_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"a b/{number}.csv" for number in range(20_000)]
    (tmp_path / "words.txt").write_text("\n".join(lines))
    call(example, *REQUIRED[:-2], f"@{tmp_path}/words.txt", "--name", "x", monkeypatch=monkeypatch)
    assert RECEIVED["tables"] == [Path(line) for line in lines] and RECEIVED["name"] == "x"


def test_the_workflow_passes_words_and_job() -> None:
    job = Job({"draws": 8}, {"segunc.stages.sample": "0123"})
    example([*REQUIRED, "--name", "lidc"], job)
    assert RECEIVED["job"] is job and RECEIVED["name"] == "lidc"
    assert "finished" not in RECEIVED, "the record is not written yet"
    job.run_afterwards()
    assert RECEIVED["finished"]


def test_settings_that_are_no_json_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        call(example, *REQUIRED, "--spec", "{", monkeypatch=monkeypatch)
    assert end.value.code == 2 and "argument --spec: not JSON (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "code"),
    [("user", "segunc: the disk is full; make room."), *((name, 128 + signal.Signals[name]) for name in SIGNALS)],
)
def test_mistakes_of_the_user_and_signals_end_the_program(
    kind: str, code: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as end:
        call(failing, "--kind", kind, monkeypatch=monkeypatch)
    assert end.value.code == code


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with pytest.raises(ValueError, match="a defect"):
        call(failing, "--kind", "SIGHUP", monkeypatch=monkeypatch)


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a defect"):
        call(failing, "--kind", "defect", monkeypatch=monkeypatch)
