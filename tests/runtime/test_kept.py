"""Kept results: stored, restored, damaged, shared, and removed again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import record_of

from segunc.runtime import kept, records
from segunc.runtime.records import Record

KEY = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    return tmp_path / "results/.kept"


def results(folder: Path, weights: str = "weights") -> dict[str, Path]:
    """Files of a job, by label."""
    texts = {"weights.pt": weights, "history.csv": "step\n1\n"}
    for label, text in texts.items():
        path = folder / "results/models" / label
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    return {label: folder / "results/models" / label for label in texts}


def remembered(folder: Path, files: dict[str, Path], key: str = KEY, **changes: Any) -> Record:
    record = record_of(files, key=key, **changes)
    assert kept.remember(folder, record, files) is None
    return record


def objects(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.glob("objects/*/*")}


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.parametrize("links", [True, False])
def test_what_is_remembered_is_restored(tmp_path: Path, keep: Path, monkeypatch: Any, links: bool) -> None:
    if not links:
        without_links(monkeypatch)
    files = results(tmp_path)
    record = record_of(files, key=KEY)
    assert not kept.has(keep, record) and kept.restore(keep, KEY, files) is None
    assert remembered(keep, files) == record
    assert kept.has(keep, record)
    assert not any(kept.has(keep, record._replace(key=key)) for key in (OTHER, ""))
    assert {path.stat().st_nlink for path in files.values()} == {2 if links else 1}
    shutil.rmtree(tmp_path / "results/models")
    assert kept.restore(keep, KEY, files) == record
    assert [path.read_text() for path in files.values()] == ["weights", "step\n1\n"]
    assert {path.stat().st_nlink for path in files.values()} == {2 if links else 1}
    assert not list(tmp_path.rglob(".*.partial*"))


def test_restored_files_replace_others(tmp_path: Path, keep: Path) -> None:
    """What replaces a result leaves the kept one as it was."""
    remembered(keep, results(tmp_path))
    files = results(tmp_path, weights="others")
    assert kept.restore(keep, KEY, files) is not None
    assert files["weights.pt"].read_text() == "weights"


def test_results_of_another_key_or_other_labels_are_not_restored(tmp_path: Path, keep: Path) -> None:
    files = results(tmp_path)
    remembered(keep, files)
    assert kept.restore(keep, OTHER, files) is None
    assert kept.restore(keep, KEY, {"weights.pt": files["weights.pt"]}) is None
    assert kept.restore(keep, KEY, {**files, "summary.csv": tmp_path / "summary.csv"}) is None
    assert kept.restore(keep, KEY, files) is not None, "and nothing was dropped for it"


def test_an_entry_of_another_key_is_not_restored(tmp_path: Path, keep: Path) -> None:
    """Copied by hand, say."""
    files = results(tmp_path)
    record = remembered(keep, files)
    entry = keep / f"entries/{OTHER[:2]}/{OTHER}.json"
    records.write(entry, record)
    assert kept.restore(keep, OTHER, files) is None
    assert kept.restore(keep, KEY, files) == record


@pytest.mark.parametrize("lost", ["object", "bytes", "entry", "outputs"])
def test_what_is_not_complete_is_kept_again(tmp_path: Path, keep: Path, lost: str) -> None:
    files = results(tmp_path)
    record = remembered(keep, files)
    weights = objects(keep)[record.outputs["weights.pt"]["sha256"]]
    (entry,) = keep.glob("entries/*/*.json")
    if lost == "outputs":
        records.write(entry, record._replace(outputs={}))
        assert kept.restore(keep, KEY, files) is None
    elif lost == "bytes":
        weights.unlink()
        weights.write_text("half")
    else:
        (entry if lost == "entry" else weights).unlink()
    assert not kept.has(keep, record)
    remembered(keep, files)
    assert kept.has(keep, record) and kept.restore(keep, KEY, files) == record


def test_a_result_that_is_a_link_is_kept_by_its_content(tmp_path: Path, keep: Path) -> None:
    files = results(tmp_path)
    elsewhere = files["weights.pt"].rename(tmp_path / "elsewhere.pt")
    files["weights.pt"].symlink_to(elsewhere)
    record = remembered(keep, files)
    assert not objects(keep)[record.outputs["weights.pt"]["sha256"]].is_symlink()
    elsewhere.unlink()
    assert kept.restore(keep, KEY, files) == record and files["weights.pt"].read_text() == "weights"


def test_an_entry_of_somebody_else_is_restored(tmp_path: Path, keep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its owner may set its time stamp."""

    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    files = results(tmp_path)
    record = remembered(keep, files)
    monkeypatch.setattr(os, "utime", refuse)
    assert kept.restore(keep, KEY, files) == record


def damaged(path: Path) -> None:
    # In place, as a notebook that opens a result for writing does: the kept object is the same file.
    with path.open("r+b") as file:
        file.write(b"W")


@pytest.mark.parametrize("break_it", [damaged, lambda path: path.write_bytes(b""), Path.unlink])
@pytest.mark.parametrize("label", ["weights.pt", "history.csv"])
def test_a_damaged_object_is_not_restored_and_dropped(
    tmp_path: Path, keep: Path, break_it: Callable[[Path], None], label: str
) -> None:
    files = results(tmp_path)
    record = remembered(keep, files)
    break_it(objects(keep)[record.outputs[label]["sha256"]])
    shutil.rmtree(tmp_path / "results/models")
    assert kept.restore(keep, KEY, files) is None
    assert not any(path.exists() for path in files.values()), "not even the intact one"
    assert not kept.has(keep, record) and record.outputs[label]["sha256"] not in objects(keep)
    # The job computes it again, and it is kept again.
    files = results(tmp_path)
    remembered(keep, files)
    assert kept.restore(keep, KEY, files) == record


def test_a_damaged_object_is_replaced_when_its_bytes_come_again(tmp_path: Path, keep: Path) -> None:
    files = results(tmp_path)
    record = remembered(keep, files)
    damaged(objects(keep)[record.outputs["weights.pt"]["sha256"]])
    files = results(tmp_path)
    remembered(keep, files, OTHER)
    assert kept.restore(keep, OTHER, files) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"outputs": 3}'])
def test_an_entry_that_is_no_record_counts_as_none(tmp_path: Path, keep: Path, text: str) -> None:
    files = results(tmp_path)
    remembered(keep, files)
    (entry,) = keep.glob("entries/*/*.json")
    entry.write_text(text)
    assert kept.restore(keep, KEY, files) is None and kept.entries(keep) == []
    remembered(keep, files)
    assert kept.restore(keep, KEY, files) is not None


def test_an_entry_that_leads_out_of_the_folder_removes_nothing(tmp_path: Path, keep: Path) -> None:
    """The folder may be shared."""
    files = results(tmp_path)
    record = remembered(keep, files)
    (entry,) = keep.glob("entries/*/*.json")
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    entry.write_text(entry.read_text().replace(record.outputs["weights.pt"]["sha256"], str(mine)))
    assert kept.restore(keep, KEY, files) is None
    kept.prune(keep, 0, time.time() + 1)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("removed", ["objects", "entries"])
def test_somebody_removes_an_entry_while_it_is_restored(
    tmp_path: Path, keep: Path, monkeypatch: pytest.MonkeyPatch, removed: str
) -> None:
    files = results(tmp_path)
    record = remembered(keep, files)
    shutil.rmtree(tmp_path / "results/models")
    link = kept._link

    def and_remove(source: Path, target: Path) -> None:
        shutil.rmtree(keep / removed, ignore_errors=True)
        link(source, target)

    monkeypatch.setattr(kept, "_link", and_remove)
    # Without the entry, the objects that it named are still what was looked for.
    assert kept.restore(keep, KEY, files) == (record if removed == "entries" else None)
    assert not list(tmp_path.rglob(".*.partial*"))


@pytest.mark.parametrize("blocked", ["results/.kept", "results/.kept/objects", "results/.kept/entries"])
def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, keep: Path, blocked: str) -> None:
    """By a file in its place, because root may write everywhere."""
    files = results(tmp_path)
    (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / blocked).write_text("")
    said = kept.remember(keep, record_of(files, key=KEY), files)
    assert said in {f"{keep} cannot be written to ({reason})" for reason in ("Not a directory", "File exists")}
    assert files["weights.pt"].read_text() == "weights"
    assert kept.restore(keep, KEY, files) is None and kept.prune(keep, 0) == 0


def test_a_folder_in_place_of_an_object_is_reported(tmp_path: Path, keep: Path) -> None:
    files = results(tmp_path)
    record = record_of(files, key=KEY)
    digest = record.outputs["weights.pt"]["sha256"]
    (keep / f"objects/{digest[:2]}/{digest}").mkdir(parents=True)
    said = kept.remember(keep, record, files)
    assert said and said.endswith(f"{digest} is a folder, where a file has to be written; move it away and run again.")
    assert not kept.has(keep, record)


def test_an_entry_that_another_process_is_writing_stays(tmp_path: Path, keep: Path) -> None:
    files = results(tmp_path)
    record = record_of(files, key=KEY)
    assert kept.remember(keep, record, files) is None
    entry = keep / f"entries/{KEY[:2]}/{KEY}.json"
    unfinished = entry.with_name(f".{KEY}.1.partial.json")
    unfinished.write_bytes(entry.read_bytes())
    for path in files.values():
        path.unlink()
    assert len(kept.entries(keep)) == 1 and kept.prune(keep, 0) > 0
    assert unfinished.exists() and not entry.exists()


SHARE = """
import sys
from pathlib import Path
from segunc.runtime import digests, kept, records
folder, number = Path(sys.argv[1]), sys.argv[2]
files = {label: folder / number / label for label in ("weights.pt", "history.csv")}
for path in files.values():
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"the same {path.name}")
outputs = {label: digests.content(path) for label, path in files.items()}
record = records.Record({}, {}, {}, "", [], "i" * 32, "k" * 32, {}, outputs)
for turn in range(60):
    assert kept.remember(folder / "kept", record, files) is None
    restored = kept.restore(folder / "kept", "k" * 32, files)
    assert restored in (record, None), restored
    assert [path.read_text() for path in files.values()] == ["the same weights.pt", "the same history.csv"]
    if turn % 10 == 9:
        for path in files.values():
            path.unlink()
            path.write_text(f"the same {path.name}")
        kept.prune(folder / "kept", 0)
"""


def test_two_processes_share_the_folder(tmp_path: Path) -> None:
    """Both store, restore and remove the same entry."""
    command = [sys.executable, "-c", SHARE, str(tmp_path)]
    both = [subprocess.Popen([*command, number], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for number in "ab"]
    for process in both:
        said, wrong = process.communicate(timeout=60)
        assert process.returncode == 0 and not said, (said, wrong)
    assert not list(tmp_path.rglob(".*.partial*"))


@pytest.mark.parametrize("moment", ["object", "entry", "target"])
def test_a_kill_leaves_nothing_that_counts(tmp_path: Path, keep: Path, moment: str) -> None:
    files = results(tmp_path)
    if moment == "target":
        remembered(keep, files)
        files = {label: tmp_path / f"restored/{label}" for label in files}
    pid = os.fork()
    if pid == 0:
        # Half a file is written, and the process is gone before it is renamed.
        replace = Path.replace

        def killed(self: Path, target: Path) -> Path:
            if {"object": "objects", "entry": "entries", "target": "restored"}[moment] in target.parts:
                self.unlink()
                self.write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)

        Path.replace = killed  # type: ignore[method-assign,assignment]
        kept.restore(keep, KEY, files) if moment == "target" else remembered(keep, files)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert list(tmp_path.rglob(".*.partial*"))
    if moment != "target":
        assert kept.entries(keep) == [] and kept.restore(keep, KEY, files) is None
        remembered(keep, files)
    assert kept.restore(keep, KEY, files) is not None
    assert files["weights.pt"].read_text() == "weights"


class Shelf:
    """Entries of one file each, the first the least recently used; results of some are still there."""

    def __init__(self, folder: Path, sizes: dict[str, int], alive: str = "") -> None:
        self.keep = folder / ".kept"
        self.files = {name: {"a.pt": folder / f"{name}/a.pt"} for name in sizes}
        self.records = {}
        for age, (name, size) in enumerate(sizes.items()):
            path = self.files[name]["a.pt"]
            path.parent.mkdir(parents=True)
            path.write_bytes(name.encode() * size)
            self.records[name] = record_of(self.files[name], key=name * 32)
            kept.remember(self.keep, self.records[name], self.files[name])
            os.utime(self.entry(name), (1000 + age, 1000 + age))
            if name not in alive:
                path.unlink()

    def entry(self, name: str) -> Path:
        return self.keep / "entries" / (name * 2) / f"{name * 32}.json"

    @property
    def names(self) -> str:
        return "".join(entry.record.key[0] for entry in kept.entries(self.keep))


def test_entries_are_listed_by_age_and_restoring_makes_them_young(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a": 1, "b": 2, "c": 3})
    assert shelf.names == "abc"
    assert kept.restore(shelf.keep, "a" * 32, shelf.files["a"]) is not None
    assert shelf.names == "bca"
    assert time.time() - kept.entries(shelf.keep)[-1].used < 60
    assert [kept.extra_bytes(shelf.keep, shelf.records[name]) for name in "abc"] == [0, 2, 3]


@pytest.mark.parametrize(
    ("limit", "left"), [(100, "abcd"), (10, "abcd"), (9, "bcd"), (8, "cd"), (4, "d"), (3, ""), (0, "")]
)
def test_the_oldest_go_until_the_rest_fits(tmp_path: Path, limit: int, left: str) -> None:
    shelf = Shelf(tmp_path, {"a": 1, "b": 2, "c": 3, "d": 4})
    freed = kept.prune(shelf.keep, limit)
    assert shelf.names == left
    assert len(objects(shelf.keep)) == len(left)
    assert freed == 10 - sum({"a": 1, "b": 2, "c": 3, "d": 4}[name] for name in left)


def test_what_is_in_a_results_folder_takes_nothing(tmp_path: Path) -> None:
    """Links to results are free, and stay: they are needed when the results are replaced."""
    shelf = Shelf(tmp_path, {"a": 100, "b": 2, "c": 100, "d": 3}, alive="ac")
    assert kept.prune(shelf.keep, 5) == 0 and shelf.names == "abcd"
    assert kept.prune(shelf.keep, 4) == 2 and shelf.names == "acd"
    assert kept.prune(shelf.keep, 0) == 3 and shelf.names == "ac"
    shelf.files["a"]["a.pt"].unlink()
    assert kept.prune(shelf.keep, 0) == 100 and shelf.names == "c"


def test_copies_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch)
    shelf = Shelf(tmp_path, {"a": 4, "b": 2}, alive="ab")
    assert kept.prune(shelf.keep, 2) == 4 and shelf.names == "b"


def test_entries_older_than_a_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a": 1, "b": 2, "c": 3, "d": 4})
    assert kept.prune(shelf.keep, 0, older_than=1002) == 3 and shelf.names == "cd"
    assert kept.prune(shelf.keep, 100, older_than=2000) == 0 and shelf.names == "cd", "they fit"


def test_objects_that_no_entry_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an entry that somebody removed: they go first, unless they are results as well, or wait for their entry."""
    shelf = Shelf(tmp_path, {"a": 1, "b": 2, "c": 3}, alive="b")
    for name in "ab":
        shelf.entry(name).unlink()
    for path in objects(shelf.keep).values():
        os.utime(path, (1000, 1000))  # The time of the results; the objects are of today.
    assert kept.prune(shelf.keep, 3, older_than=0) == 0 and len(objects(shelf.keep)) == 3
    monkeypatch.setattr(kept, "RECENT", -1)
    assert kept.prune(shelf.keep, 3) == 1 and shelf.names == "c"
    assert len(objects(shelf.keep)) == 2


def test_an_entry_that_cannot_be_removed_keeps_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may belong to somebody else."""
    shelf = Shelf(tmp_path, {"a": 1, "b": 2})
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == shelf.entry("a"):
            raise PermissionError(1, "Operation not permitted")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert kept.prune(shelf.keep, 0) == 2 and shelf.names == "a"
    assert kept.restore(shelf.keep, "a" * 32, shelf.files["a"]) == shelf.records["a"]


def test_an_object_of_two_entries_goes_with_the_last(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a": 8, "b": 1})
    twin = shelf.records["a"]._replace(key="c" * 32)
    records.write(shelf.entry("c"), twin)
    os.utime(shelf.entry("c"), (2000, 2000))
    assert shelf.names == "abc"
    # Without `a` nothing is freed, so `b` goes as well; `c` alone still takes 8 bytes.
    assert kept.prune(shelf.keep, 8) == 1 and shelf.names == "c"
    files = {"a.pt": tmp_path / "again/a.pt"}
    assert kept.restore(shelf.keep, "c" * 32, files) is not None
    files["a.pt"].unlink()
    assert kept.prune(shelf.keep, 7) == 8 and not objects(shelf.keep)


def test_temporary_files_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"a": 1})
    (objects_of_a,) = (shelf.keep / "objects").iterdir()
    files = [objects_of_a / ".0.1.partial", shelf.entry("a").with_name(".a.1.partial.json")]
    for path in files:
        path.write_text("half")
    kept.prune(shelf.keep, 100)
    assert all(path.exists() for path in files), "somebody may be writing them"
    for path in files:
        os.utime(path, (time.time() - kept.ABANDONED - 1,) * 2)
    kept.prune(shelf.keep, 100)
    assert not any(path.exists() for path in files) and shelf.names == "a"


def test_nothing_to_prune(tmp_path: Path) -> None:
    assert kept.prune(tmp_path / "nowhere", 0) == 0 and not list(tmp_path.iterdir())
