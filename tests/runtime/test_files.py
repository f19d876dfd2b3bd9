"""Files are written as a whole or not at all."""

import os
from pathlib import Path

import pytest

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically


def test_a_file_is_there_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new/cell.csv"
    with write_atomically(path) as beside:
        beside.write_text("half")
        assert beside.suffix == ".csv" and not path.exists()
        beside.write_text("whole")
    assert [file.name for file in path.parent.iterdir()] == ["cell.csv"] and path.read_text() == "whole"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="a defect"), write_atomically(path) as beside:
        beside.write_text("half")
        raise ValueError("a defect")
    assert [file.name for file in tmp_path.iterdir()] == ["cell.csv"] and path.read_text() == "before"


def test_what_a_killed_process_of_the_same_number_left_is_not_written_to(tmp_path: Path) -> None:
    """It may be another name of a kept result."""
    kept, path = tmp_path / "kept.csv", tmp_path / "cell.csv"
    kept.write_text("kept")
    (tmp_path / f".cell.{os.getpid()}.partial.csv").hardlink_to(kept)
    with write_atomically(path) as beside:
        beside.write_text("new")
    assert kept.read_text() == "kept" and path.read_text() == "new"


@pytest.mark.parametrize("content", [[], ["notes.txt"]])
def test_a_folder_in_place_of_the_file(tmp_path: Path, content: list[str]) -> None:
    path = tmp_path / "cell.csv"
    path.mkdir()
    for name in content:
        (path / name).touch()
    with pytest.raises(UserError) as error, write_atomically(path) as beside:
        beside.write_text("new")
    assert str(error.value) == f"{path} is a folder, where a file has to be written; move it away and run again."
    assert [file.name for file in tmp_path.iterdir()] == ["cell.csv"] and len(list(path.iterdir())) == len(content)
