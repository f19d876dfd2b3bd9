"""What a file that segunc wrote may have become since."""

import errno
import os
import signal

import pytest

from segunc.runtime.errors import UserError, printable
from segunc.runtime.reading import reading


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("line 1\nline 2"),
            r"is damaged \(line 1 line 2\); run snakemake, which makes it anew",
        ),
        (KeyError("masks"), r"is damaged \('masks'\); run snakemake"),
        (EOFError(), r"is damaged \(EOFError\); run snakemake"),
        (OSError("no signature"), r"is damaged \(no signature\); run snakemake"),
        (RuntimeError("a " * 1000), r"is damaged \([a ]{,160}\.\.\.\); run snakemake"),
        (
            OSError(errno.EIO, "reading failed"),
            r"cannot be read \(Input/output error\); make it readable and run again",
        ),
        (PermissionError(errno.EACCES, "no"), r"cannot be read \(Permission denied\); make it readable and run again"),
    ],
)
def test_damage_is_told_from_what_the_system_refuses(tmp_path, error, said):
    path = tmp_path / "a.h5"
    path.touch()
    with pytest.raises(UserError, match=rf"^{path} {said}"), reading(path):
        raise error


def test_what_is_not_a_file_is_not_waited_for(tmp_path):
    signal.alarm(10)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "device"):
        with pytest.raises(UserError, match=f"{name} is not a regular file; put one"), reading(tmp_path / name):
            (tmp_path / name).read_bytes()
    signal.alarm(0)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("gone", "dangling"):
        with pytest.raises(UserError, match=f"{name} does not exist; run snakemake"), reading(tmp_path / name):
            pass


def test_other_errors_stay_what_they_are(tmp_path):
    (tmp_path / "a").touch()
    for error in (UserError("said already"), MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, reading(tmp_path / "a"):
            raise error
        assert raised.value is error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("\x9b31m\r\x00\x7f", r"\x9b31m\r\x00\x7f"),
        ("gpj.\u202e\u200b\u2066\ufeff", r"gpj.\u202e\u200b\u2066\ufeff"),
        ("a\u2028b\udcff", r"a\u2028b\udcff"),
        ("Lésion 病変 🫁\nline 2", "Lésion 病変 🫁\nline 2"),
    ],
)
def test_foreign_text_says_nothing_to_the_terminal(text, shown):
    assert printable(text) == shown
