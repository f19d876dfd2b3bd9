"""`segunc tidy`: what it lists of the kept results, and what it removes."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import record_of
from helpers.workflow import segunc

from segunc.commands import tidy
from segunc.runtime import kept, records
from segunc.runtime.records import Record

JOB = "train/lidc/unet/seed0"
CODE = {"segunc.metrics.ged": "1", "segunc.metrics.overlap": "1"}
SPEC = {"training": {"steps": 6, "loss": "dice"}, "raw": {"slices": "a" * 64}}
NOW = {"spec": SPEC, "code": CODE, "job": JOB}


def entry_of(folder: Path, key: str) -> Path:
    return folder / f"results/.kept/entries/{key * 2}/{key * 32}.json"


def finished(folder: Path, key: str, files: dict[str, bytes], stands: bool = False, **changes: Any) -> Record:
    """Keeps the results of a finished job; unless they stand, others have replaced them."""
    paths = {label: folder / "results/models" / label for label in files}
    for label, content in files.items():
        paths[label].parent.mkdir(parents=True, exist_ok=True)
        paths[label].unlink(missing_ok=True)
        paths[label].write_bytes(content)
    record = record_of(paths, **{**NOW, "key": key * 32, **changes})
    kept.remember(folder / "results/.kept", record, paths)
    if stands:
        records.write(folder / f"results/records/{record.job}.json", record)
    else:
        for path in paths.values():
            path.unlink()
    return record


def used(folder: Path, key: str, days_ago: float) -> None:
    when = time.time() - days_ago * tidy.DAY
    os.utime(entry_of(folder, key), (when, when))


def tidied(folder: Path, *arguments: str) -> str:
    done = segunc(folder, "tidy", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_kept_is_listed_with_what_it_was_made_with(tmp_path: Path) -> None:
    finished(tmp_path, "a", {"weights.pt": b"a" * 3_000}, spec={**SPEC, "training": {"steps": 9, "warmup": 1}})
    finished(tmp_path, "b", {"weights.pt": b"b" * 2_000_000}, code={"segunc.metrics.ged": "2", "segunc.gone": "1"})
    finished(tmp_path, "c", {"weights.pt": b"c" * 1_000}, spec={**SPEC, "raw": {"slices": "b" * 64}})
    finished(tmp_path, "d", {"weights.pt": b"d" * 900})
    finished(tmp_path, "e", {"summary.csv": b"e" * 800}, job="evaluate/lidc/unet/seed0\x1b[31m")
    finished(tmp_path, "f", {"weights.pt": b"f" * 700}, stands=True)
    said = tidied(tmp_path)
    folder = tmp_path / "results/.kept"
    assert said.startswith(
        f"{folder} holds 5 results that take space of their own: 2.0 MB.\nThe limit is 20.0 GB (config key keep_gb).\n"
    )
    assert re.findall(r"^    (\w+) +(\d) +(.*)$", said, re.MULTILINE) == [
        ("train", "4", "2.0 MB"),
        ("evaluate", "1", "0.8 kB"),
    ]
    assert re.findall(r"^    [\d-]{10} [\d:]{5} +([\d.]+ .B  .*)$", said, re.MULTILINE) == [
        "2.0 MB  train lidc unet seed0: module segunc.gone was imported; "
        "src/segunc/metrics/ged.py was another one; src/segunc/metrics/overlap.py was not imported",
        '3.0 kB  train lidc unet seed0: made without training.loss (now "dice"); '
        "made with training.steps = 9 (now 6); made with training.warmup = 1 (now without)",
        "1.0 kB  train lidc unet seed0: the raw data 'slices' was another one",
        "0.9 kB  train lidc unet seed0: other inputs",
        r"0.8 kB  evaluate lidc unet seed0\x1b[31m: there is none now",
    ]


def test_an_object_of_several_results_counts_once(tmp_path: Path) -> None:
    for key in "abc":
        finished(tmp_path, key, {"weights.pt": b"w" * 5_000, "history.csv": key.encode() * 1_000})
    said = tidied(tmp_path)
    assert "holds 3 results that take space of their own: 8.0 kB.\n" in said
    assert re.search(r"^    train +3 +8.0 kB$", said, re.MULTILINE)
    assert "8.0 kB removed" in tidied(tmp_path, "--all")


def test_copies_on_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    finished(tmp_path, "a", {"weights.pt": b"a" * 3_000}, stands=True)
    said = tidied(tmp_path)
    assert "holds 1 result that takes space of its own: 3.0 kB.\n" in said
    assert "3.0 kB  train lidc unet seed0: a copy of it\n" in said
    assert "3.0 kB removed" in tidied(tmp_path, "--all")
    assert (tmp_path / "results/models/weights.pt").read_bytes() == b"a" * 3_000


@pytest.mark.parametrize(
    ("arguments", "left"),
    [(["--older-than", "8"], "abcd"), (["--older-than", "1.5"], "acd"), (["--older-than", "0"], "d"), (["--all"], "d")],
)
def test_what_is_removed(tmp_path: Path, arguments: list[str], left: str) -> None:
    for key, days_ago in {"a": 1, "b": 7, "c": 0.1, "d": 9}.items():
        finished(tmp_path, key, {f"{key}.pt": key.encode() * 1_000}, stands=key == "d")
        used(tmp_path, key, days_ago)
    said = tidied(tmp_path, *arguments)
    assert said.startswith(f"{4 - len(left)}.0 kB removed from {tmp_path / 'results/.kept'}.\n")
    assert f"holds {len(left) - 1} result" in said
    assert "".join(key for key in "abcd" if entry_of(tmp_path, key).exists()) == left
    assert len(list(tmp_path.glob("results/.kept/objects/*/*"))) == len(left)
    assert (tmp_path / "results/models/d.pt").exists()


def test_nothing_is_kept(tmp_path: Path) -> None:
    assert "holds 0 results that take space of their own: 0.0 kB.\n" in tidied(tmp_path, "--all")


@pytest.mark.parametrize("days", ["nan", "inf", "-inf", "-1", "-0.5", "week", "", "1e999"])
def test_days_out_of_range(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read."""
    with pytest.raises(SystemExit) as end:
        tidy.main([f"--older-than={days}"])
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"argument --older-than: {days} is not a number of days; give one of at least 0.")


@pytest.mark.parametrize("argument", ["--al", "--older=0"])
def test_shortened_options_remove_nothing(tmp_path: Path, argument: str) -> None:
    finished(tmp_path, "a", {"weights.pt": b"a"})
    done = segunc(tmp_path, "tidy", argument)
    assert done.returncode != 0 and argument.partition("=")[0] in done.stderr
    assert entry_of(tmp_path, "a").exists()


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0.0 kB"), (1, "0.0 kB"), (999_000, "999.0 kB"), (1e6, "1.0 MB"), (2.5e9, "2.5 GB"), (2e13, "20000.0 GB")],
)
def test_sizes(number: float, text: str) -> None:
    assert tidy._size(number) == text
