"""Records: what an identity depends on, and which files are records."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import record_of

from segunc.runtime import records
from segunc.runtime.records import Record

FACTS: dict[str, Any] = {
    "spec": {"draws": 16, "options": {"rate": 0.1}},
    "code": "segunc.stages.sample 0123456789ab",
    "command": "--model unet",
    "inputs": [("lidc.h5", "a" * 32), ("weights.pt", "b" * 32)],
}
OTHERS = {
    "a setting": {"spec": {"draws": 8, "options": {"rate": 0.1}}},
    "a setting within others": {"spec": {"draws": 16, "options": {"rate": 0.2}}},
    "the type of a setting": {"spec": {"draws": "16", "options": {"rate": 0.1}}},
    "the order of settings": {"spec": {"options": {"rate": 0.1}, "draws": 16}},
    "the code": {"code": "segunc.stages.sample 0123456789ac"},
    "the entry modules": {"code": "segunc.stages.evaluate 0123456789ab"},
    "the command": {"command": "--model ensemble"},
    "no command": {"command": ""},
    "the identity of an input": {"inputs": [("lidc.h5", "a" * 32), ("weights.pt", "c" * 32)]},
    "the label of an input": {"inputs": [("lidc.h5", "a" * 32), ("history.csv", "b" * 32)]},
    "the order of inputs": {"inputs": FACTS["inputs"][::-1]},
    "inputs that change places": {"inputs": [("lidc.h5", "b" * 32), ("weights.pt", "a" * 32)]},
    "one input less": {"inputs": FACTS["inputs"][:1]},
    "one input twice": {"inputs": [*FACTS["inputs"], FACTS["inputs"][1]]},
    "labels and identities run together": {"inputs": [("lidc.h5" + "a" * 32, ""), ("weights.pt", "b" * 32)]},
}


@pytest.mark.parametrize("function", [records.identity, records.key])
def test_every_fact_matters(function: Any) -> None:
    found = {name: function(**{**FACTS, **change}) for name, change in OTHERS.items()}
    found["as it was"] = function(**FACTS)
    assert len(set(found.values())) == len(found), found
    assert all(len(value) == 32 and set(value) <= set("0123456789abcdef") for value in found.values())
    assert function(**{**FACTS, "inputs": tuple(map(list, FACTS["inputs"]))}) == found["as it was"]


def test_identities_and_keys_are_of_different_kinds() -> None:
    """An identity never passes for a key, whose inputs are given by their bytes."""
    assert records.identity(**FACTS) != records.key(**FACTS)


def written(folder: Path, **changes: Any) -> tuple[Path, Record]:
    """A record with an input and an output."""
    (folder / "weights.pt").write_text("weights")
    inputs = {"results/data/lidc.h5": {"identity": "a" * 32, "sha256": "0" * 64}}
    record = record_of({"weights.pt": folder / "weights.pt"}, inputs=inputs, **changes)
    path = folder / "records/train/unet.json"
    records.write(path, record)
    return path, record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, record = written(tmp_path, spec={"b": 1, "a": [2, None]}, restored="2026-11-26T05:00:00+00:00")
    assert records.read(path) == record and records.read(str(path)) == record
    assert list(records.read(path).spec) == ["b", "a"]  # type: ignore[union-attr]
    assert [file.name for file in path.parent.iterdir()] == ["unet.json"]


def test_same_settings_means_the_same_order() -> None:
    record = record_of({}, spec={"labels": {"unet": "U-Net", "ensemble": "Ensemble"}})
    assert records.same_settings(record, '{"labels": {"unet":"U-Net","ensemble": "Ensemble"}}')
    assert not records.same_settings(record, '{"labels": {"ensemble": "Ensemble", "unet": "U-Net"}}')


def test_records_of_earlier_versions_are_read_and_have_no_identity(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    earlier = {"spec": {"seed": 0}, "code": {"segunc.cells": "0" * 12}, "versions": {"python": "3.11.7"}}
    path.write_text(json.dumps({**earlier, "finished": "2026-01-01T00:00:00+00:00", "accepted": []}))
    record = records.read(path)
    assert record is not None
    assert (record.spec, record.identity, record.key, record.outputs) == ({"seed": 0}, "", "", {})


@pytest.mark.parametrize("text", [b"", b"{", b"3", b"null", b"[]", b"{}", b'"record"', b"\xff", b"\x00", b"{}{}"])
def test_what_is_no_record_is_none(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(text)
    assert records.read(path) is None


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    for name in ("folder.json", "nowhere.json", "nowhere/train.json"):
        assert records.read(tmp_path / name) is None


WRONG: dict[str, list[Any]] = {
    **{field: [None, 3, "text", [], ["a"]] for field in ("spec", "code", "versions")},
    **{field: [None, 3, {}, []] for field in ("finished", "identity", "key", "restored")},
    "accepted": [None, 3, "text", {}],
    "inputs": [None, [], {"a.h5": None}, {"a.h5": []}, {"a.h5": {}}, {"a.h5": {"identity": 1, "sha256": "0" * 64}}],
    "outputs": [
        *(None, [], {"a.pt": 3}, {"a.pt": "text"}, {"a.pt": {}}),
        {"a.pt": {"bytes": "7", "sha256": "0" * 64, "rows": 0}},
        {"a.pt": {"bytes": 7, "sha256": None, "rows": 0}},
        {"a.pt": {"bytes": 7, "sha256": "0" * 64}},
        {"a.pt": {"bytes": 7, "sha256": "A" * 64, "rows": 0}},
        # Paths out of the folder of kept results.
        {"a.pt": {"bytes": 7, "sha256": "../../weights.pt", "rows": 0}},
        {"a.pt": {"bytes": 7, "sha256": "/etc/passwd", "rows": 0}},
    ],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_json_of_wrong_types_is_no_record(tmp_path: Path, field: str, value: Any) -> None:
    path, record = written(tmp_path)
    path.write_text(json.dumps({**record._asdict(), field: value}))
    assert records.read(path) is None


def test_json_with_a_field_too_many_or_too_few_is_no_record(tmp_path: Path) -> None:
    path, record = written(tmp_path)
    for values in ({**record._asdict(), "colour": "red"}, {k: v for k, v in record._asdict().items() if k != "spec"}):
        path.write_text(json.dumps(values))
        assert records.read(path) is None
