"""A job's inputs, its identity, what it restores, and what it records."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import task, write
from helpers.sources import edit, forget, write_package

from segunc.runtime import job, kept, records
from segunc.runtime.code_digest import code_param
from segunc.runtime.errors import UserError
from segunc.runtime.job import Task

INPUTS = {"prepare": "lidc.h5", "train": "weights.pt"}


@pytest.fixture
def made(tmp_path: Path) -> Task:
    """A job whose inputs two others wrote."""
    write(tmp_path, "prepare", {"lidc.h5": "images"})
    write(tmp_path, "train", {"weights.pt": "weights", "history.csv": "step\n1\n"})
    return task(tmp_path, "sample", INPUTS)


def compute(of: Task, text: str = "samples") -> bool:
    """Runs the job as the starter does; returns whether its results were restored."""
    started = job.start(of)
    if job.restore(started):
        return True
    for path in of.outputs.values():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    job.finish(started)
    return False


def removed(of: Task) -> None:
    """Removes results and record, as Snakemake does before a job."""
    for path in (of.record, *of.outputs.values()):
        Path(path).unlink(missing_ok=True)


def test_a_record_says_what_the_results_were_made_from(made: Task, tmp_path: Path) -> None:
    started = job.start(made)
    assert {Path(path).name: read["identity"] for path, read in started.inputs.items()} == {
        "lidc.h5": "identity of prepare",
        "weights.pt": "identity of train",
    }
    assert not compute(made)
    record = records.read(made.record)
    assert record is not None
    pairs = [("lidc.h5", "identity of prepare"), ("weights.pt", "identity of train")]
    code = code_param("segunc.runtime")
    assert record.identity == records.identity(made.spec, code, made.command, pairs)
    bytes_of = [(label, record.inputs[f"{tmp_path}/{of}/{label}"]["sha256"]) for of, label in INPUTS.items()]
    assert record.key == records.key(made.spec, code, made.command, bytes_of)
    assert (record.spec, record.accepted, record.restored) == ({"draws": 16}, [], "")
    assert record.outputs["cell.h5"]["bytes"] == len("samples") and list(record.outputs) == ["cell.h5"]
    assert record.finished.endswith("+00:00") and record.versions["python"]
    assert (record.job, record.command) == ("sample", "")
    assert kept.has(Path(made.keep), record)


def flipped(path: Path) -> None:
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flipped, "its content differs from what was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:3]), "it has 3 bytes instead of 7"),
        (lambda path: path.write_bytes(b""), "it has 0 bytes instead of 7"),
        (a_pipe, "it is not a regular file"),
    ],
)
def test_a_damaged_input_loses_its_record(
    made: Task, tmp_path: Path, damage: Callable[[Path], Any], words: str
) -> None:
    """So that the next run makes it anew."""
    weights = tmp_path / "train/weights.pt"
    damage(weights)
    with pytest.raises(UserError) as error:
        job.start(made)
    assert str(error.value) == f"{weights} is damaged ({words}); run the same command again, which makes it anew."
    assert not (tmp_path / "records/train.json").exists() and (tmp_path / "records/prepare.json").exists()
    with pytest.raises(UserError, match=r"weights\.pt has no record of what it was made from; run the same command"):
        job.start(made)


@pytest.mark.parametrize(
    ("text", "label"), [(None, "weights.pt"), ("{", "weights.pt"), ("[]", "weights.pt"), ("", "other.pt")]
)
def test_an_input_without_a_record(made: Task, tmp_path: Path, text: str | None, label: str) -> None:
    record = tmp_path / "records/train.json"
    if label == "other.pt":
        (tmp_path / "train/other.pt").touch()
    elif text is None:
        record.unlink()
    else:
        record.write_text(text)
    of_label = task(tmp_path, "sample", {"train": label})
    with pytest.raises(
        UserError, match=rf"/train/{label} has no record of what it was made from; run the same command"
    ):
        job.start(of_label)
    assert not record.exists(), "so that the next run makes it anew"


def test_an_input_that_is_gone(made: Task, tmp_path: Path) -> None:
    (tmp_path / "train/weights.pt").unlink()
    with pytest.raises(UserError, match=r"weights\.pt cannot be read \(No such file or directory\); make it readable"):
        job.start(made)
    assert (tmp_path / "records/train.json").exists()


@pytest.mark.parametrize("change", [flipped, Path.unlink, lambda path: path.write_bytes(b"other")])
def test_an_input_that_changes_while_the_job_runs(made: Task, tmp_path: Path, change: Callable[[Path], Any]) -> None:
    started = job.start(made)
    Path(made.outputs["cell.h5"]).parent.mkdir()
    Path(made.outputs["cell.h5"]).write_text("samples of both")
    change(tmp_path / "prepare/lidc.h5")
    with pytest.raises(UserError, match=r"lidc\.h5 changed while this job was reading it; run the same command again"):
        job.finish(started)
    assert not Path(made.record).exists() and kept.entries(Path(made.keep)) == []


def test_results_are_restored_with_the_record_of_today(made: Task, tmp_path: Path) -> None:
    """The input was made from something else, but its bytes are the same."""
    compute(made)
    before = records.read(made.record)
    removed(made)
    write(tmp_path, "train", {"weights.pt": "weights", "history.csv": "step\n1\n"}, identity="another")
    assert compute(made, "nobody computes this")
    assert Path(made.outputs["cell.h5"]).read_text() == "samples"
    after = records.read(made.record)
    assert before is not None and after is not None
    assert after.identity != before.identity and after.key == before.key
    assert after.inputs[f"{tmp_path}/train/weights.pt"]["identity"] == "another"
    assert after.restored and (after.finished, after.outputs) == (before.finished, before.outputs)


def test_results_move_with_their_job(made: Task, tmp_path: Path) -> None:
    """The paths are others, and neither the identity nor the key is."""
    compute(made)
    before = records.read(made.record)
    moved = task(tmp_path, "elsewhere", INPUTS)
    assert compute(moved)
    after = records.read(moved.record)
    assert before is not None and after is not None and after.identity == before.identity


@pytest.mark.parametrize(
    "change",
    [{"spec": {"draws": 8}}, {"command": "--model unet"}, {"outputs": {"other.h5": "other.h5"}}, {"inputs": []}],
)
def test_results_of_another_job_are_not_restored(made: Task, tmp_path: Path, change: dict[str, Any]) -> None:
    compute(made)
    if "outputs" in change:
        change = {"outputs": {label: f"{tmp_path}/{path}" for label, path in change["outputs"].items()}}
    assert not job.restore(job.start(made._replace(**change)))


def test_other_bytes_of_an_input_are_another_job(made: Task, tmp_path: Path) -> None:
    """Even if what they were made from is the same, as on another machine."""
    compute(made)
    write(tmp_path, "train", {"weights.pt": "WEIGHTS", "history.csv": "step\n1\n"})
    assert not job.restore(job.start(made))


def test_a_forced_job_is_computed_anew(made: Task) -> None:
    compute(made)
    removed(made)
    assert not compute(made._replace(anew=True), "samples of today")
    record = records.read(made.record)
    assert record is not None and not record.restored
    removed(made)
    assert compute(made)
    assert Path(made.outputs["cell.h5"]).read_text() == "samples of today"


def test_results_that_cannot_be_kept_are_complete(made: Task, capsys: pytest.CaptureFixture[str]) -> None:
    Path(made.keep).write_text("a file in place of the folder")
    compute(made)
    assert records.read(made.record) is not None
    said = f"these results are complete, but not kept: {made.keep} cannot be written to (Not a directory)\n"
    assert capsys.readouterr().out == said


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "segunc"
    write_package(folder, {"__init__.py": "", "stages/__init__.py": "", "stages/sample.py": "DRAWS = 1\n"}, monkeypatch)
    yield folder
    forget()


def test_code_that_is_edited_between_planning_and_start(made: Task, package: Path) -> None:
    """The results are those of the code that ran, and the plan's identity is another one."""
    planned = made._replace(code=code_param("segunc.stages.sample"))
    before = job.start(planned)
    edit(package, "stages/sample.py", lambda text: text.replace("1", "2"))
    compute(planned)
    record = records.read(planned.record)
    assert record is not None and record.identity != before.identity and record.key != before.key
    assert record.code["segunc.stages.sample"] != before.code["segunc.stages.sample"]
    assert record.identity == job.start(planned._replace(code=code_param("segunc.stages.sample"))).identity
    edit(package, "stages/sample.py", lambda text: text.replace("2", "1"))
    assert job.start(planned).identity == before.identity
    assert not job.restore(job.start(planned))


def test_code_that_is_edited_while_the_job_runs(made: Task, package: Path) -> None:
    """Python has imported it before."""
    planned = made._replace(code=code_param("segunc.stages.sample"))
    started = job.start(planned)
    edit(package, "stages/sample.py", lambda text: text.replace("1", "2"))
    Path(made.outputs["cell.h5"]).parent.mkdir()
    Path(made.outputs["cell.h5"]).write_text("samples")
    job.finish(started)
    record = records.read(made.record)
    assert record is not None and (record.identity, record.code) == (started.identity, started.code)


def undone(path: Path) -> None:
    before = path.read_text()
    path.write_text("START = 2\n")
    path.write_text(before)


def replaced(path: Path) -> None:
    """By another file of the same size and time stamp, as version control may do."""
    other = path.with_name("other.py")
    other.write_text("START = 2\n")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("touch", [lambda path: path.write_text("START = 20\n"), undone, replaced])
@pytest.mark.parametrize("moment", ["digest", "import"])
def test_code_that_is_edited_while_the_job_starts(
    made: Task, package: Path, monkeypatch: pytest.MonkeyPatch, moment: str, touch: Callable[[Path], Any]
) -> None:
    """Nobody knows which code was imported, even if the edit was undone."""
    source = package / "cells.py"
    source.write_text("START = 1\n")
    os.utime(source, (1000, 1000))
    planned = made._replace(code=code_param("segunc.cells"))

    def touched(*entries: str) -> str:
        touch(source)
        forget()
        return code_param(*entries)

    if moment == "digest":
        monkeypatch.setattr(job, "code_param", touched)
    started = job.start(planned)
    if moment == "import":
        touch(source)
    with pytest.raises(UserError) as error:
        job.import_program(started, "segunc.cells")
    assert str(error.value) == f"{source} was edited while this job was starting; run the same command again."


def test_other_code_may_be_edited_while_the_job_starts(made: Task, package: Path) -> None:
    (package / "cells.py").write_text("START = 1\n")
    started = job.start(made._replace(code=code_param("segunc.cells")))
    (package / "stages/sample.py").write_text("DRAWS = 2\n")
    assert job.import_program(started, "segunc.cells").__name__ == "segunc.cells"


@pytest.mark.parametrize("restored", [False, True])
def test_what_killed_runs_left_is_removed(made: Task, restored: bool) -> None:
    """Of this job alone."""
    if restored:
        compute(made)
        removed(made)
    folder, record = Path(made.outputs["cell.h5"]).parent, Path(made.record)
    folder.mkdir(exist_ok=True)
    left = [folder / ".cell.123.partial.h5", folder / ".cell.4.partial.h5", record.parent / ".sample.123.partial.json"]
    others = ["cell.123.partial.h5", ".cell.123.partial.csv", ".cell.x.partial.h5", ".cell2.123.partial.h5", ".cell.h5"]
    others += [".cell.123.partialXh5", ".cell.123.partial.h5.txt", "x.cell.123.partial.h5", "notes.txt"]
    for path in [*left, *(folder / name for name in others)]:
        path.touch()
    assert compute(made) == restored
    assert not any(path.exists() for path in left)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "cell.h5"])


def test_a_job_that_fails_leaves_the_files_of_killed_runs_to_the_next(made: Task) -> None:
    shutil.rmtree(Path(made.inputs[0].path).parent)
    folder = Path(made.outputs["cell.h5"]).parent
    folder.mkdir()
    (folder / ".cell.123.partial.h5").touch()
    with pytest.raises(UserError):
        compute(made)
    assert (folder / ".cell.123.partial.h5").exists()


def test_a_job_without_inputs(tmp_path: Path) -> None:
    alone = task(tmp_path, "prepare", {})
    assert not compute(alone) and job.restore(job.start(alone))
