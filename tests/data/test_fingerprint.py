import os
from pathlib import Path

import pytest

from segunc.data import fingerprint
from segunc.data.archive import digest
from segunc.data.fingerprint import remembered_digest
from segunc.runtime.errors import UserError


@pytest.fixture
def mine(tmp_path) -> Path:
    (tmp_path / "mine" / "images").mkdir(parents=True)
    (tmp_path / "mine" / "images" / "a.png").write_bytes(b"a")
    return tmp_path / "mine"


def test_what_nobody_touched_is_not_read_again(mine, tmp_path, monkeypatch):
    first = remembered_digest(mine, tmp_path / "memory.json")
    assert first == digest(mine)
    monkeypatch.setattr(fingerprint, "digest", lambda path: pytest.fail("was read again"))
    assert remembered_digest(mine, tmp_path / "memory.json") == first


def test_what_operating_systems_add_does_not_count(mine, tmp_path, monkeypatch):
    first = remembered_digest(mine, tmp_path / "memory.json")
    (mine / ".DS_Store").touch()
    monkeypatch.setattr(fingerprint, "digest", lambda path: pytest.fail("was read again"))
    assert remembered_digest(mine, tmp_path / "memory.json") == first


def test_what_lies_behind_a_link_counts(mine, tmp_path):
    (mine / "images").rename(tmp_path / "disk")
    (mine / "images").symlink_to(tmp_path / "disk", target_is_directory=True)
    before = remembered_digest(mine, tmp_path / "memory.json")
    (tmp_path / "disk" / "a.png").write_bytes(b"changed")
    assert remembered_digest(mine, tmp_path / "memory.json") == digest(mine) != before


@pytest.mark.parametrize("memory", ["", "{", "no JSON"])
def test_a_damaged_memory_costs_time_only(mine, tmp_path, memory):
    (tmp_path / "memory.json").write_text(memory)
    assert remembered_digest(mine, tmp_path / "memory.json") == digest(mine)


def test_an_unreadable_file_gets_one_sentence(mine, tmp_path):
    (mine / "b.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"b.png cannot be read \(No such file or directory\); replace it.$"):
        remembered_digest(mine, tmp_path / "memory.json")
    (mine / "b.png").unlink()
    Path(os.fsdecode(os.fsencode(mine) + b"/c\xff.png")).touch()
    with pytest.raises(UserError, match=r"has a file named 'c\\udcff.png', which is not readable text"):
        remembered_digest(mine, tmp_path / "memory.json")
    with pytest.raises(UserError, match=r"gone cannot be read \(No such file or directory\)"):
        remembered_digest(tmp_path / "gone", tmp_path / "memory.json")
