"""The state of a job's results, and why they are not up to date, in words."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import CODE, record_of

from segunc.runtime import records
from segunc.runtime.digests import Memory
from segunc.workflow.causes import changed_inputs, phrases
from segunc.workflow.states import Facts, State, state_of

SPEC = {"seed": 0, "training": {"steps": 6}, "labels": {"a": "A", "b": "B"}}


def facts_of(folder: Path, **changes: Any) -> Facts:
    """A job that reads a store and writes weights and a history."""
    outputs = {label: f"{folder}/{label}" for label in ("weights.pt", "history.csv")}
    inputs = [(f"{folder}/lidc.h5", "lidc.h5", "a" * 32)]
    facts = Facts(json.dumps(SPEC), CODE, "", inputs, outputs, f"{folder}/record.json")
    return facts._replace(**changes)


def finished(folder: Path, **changes: Any) -> Facts:
    """The same job, whose results are there with their record."""
    facts = facts_of(folder)
    for label, path in facts.outputs.items():
        Path(path).write_text(f"{label}\n1\n2\n")
    inputs = {path: {"identity": identity, "sha256": "0" * 64} for path, _, identity in facts.inputs}
    files = {label: Path(path) for label, path in facts.outputs.items()}
    record = record_of(files, spec=SPEC, identity=facts.identity, inputs=inputs)
    records.write(Path(facts.record), record._replace(**changes))
    return facts


def found(facts: Facts, memory: Memory | None = None) -> State:
    state = state_of(facts, memory)
    assert state is not None
    return state


def test_results_that_are_as_they_were_written_are_current(tmp_path: Path) -> None:
    state = found(finished(tmp_path))
    assert state.current and (state.damage, state.missing) == ({}, []) and phrases(state) == changed_inputs(state) == []


def test_where_nothing_exists_there_is_no_state(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    assert state_of(facts_of(tmp_path / "nowhere"), None) is None
    for path in facts.outputs.values():
        Path(path).unlink()
    assert state_of(facts, None) is None, "a record alone is none"


def test_paths_are_no_part_of_an_identity(tmp_path: Path) -> None:
    here, there = facts_of(tmp_path / "here"), facts_of(tmp_path / "there")
    assert here.identity == there.identity
    assert here.identity != here._replace(command="--model unet").identity


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": {**SPEC, "seed": 1}}, ["setting seed changed from 0 to 1"]),
        (
            {"spec": {**SPEC, "training": {}}},
            ["setting training = {} is new", "setting training.steps = 6 was removed"],
        ),
        ({"spec": {**SPEC, "labels": {"b": "B", "a": "A"}}}, ["the order of its settings changed"]),
        (
            {"code": "segunc.metrics 0"},
            ["src/segunc/__init__.py is now imported", "src/segunc/metrics/__init__.py is now"],
        ),
        ({"inputs": [("lidc.h5", "lidc.h5", "b" * 32)]}, []),
    ],
)
def test_what_differs_in_words(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    facts = finished(tmp_path)
    if "spec" in change:
        change = {"spec": json.dumps(change["spec"])}
    if "inputs" in change:
        change = {"inputs": [(f"{tmp_path}/{path}", *rest) for path, *rest in change["inputs"]]}
    state = found(facts._replace(**change))
    assert not state.current
    said = phrases(state)
    assert len(said) == len(words) and all(phrase.startswith(word) for phrase, word in zip(said, words, strict=True))
    assert changed_inputs(state) == ([f"{tmp_path}/lidc.h5"] if "inputs" in change else [])


def test_records_of_earlier_versions_and_none(tmp_path: Path) -> None:
    facts = finished(tmp_path, identity="", key="", inputs={}, outputs={})
    state = found(facts)
    assert not state.current and not state.damage
    assert phrases(state) == [
        "its record is of an earlier version of segunc, and does not say what its inputs were made from"
    ]
    Path(facts.record).write_text("[]")
    state = found(facts)
    assert not state.current
    assert phrases(state) == ["there is no record of what its results were made from"]


def flipped(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flipped, "its content differs from what was written"),
        (lambda path: path.write_text("history.csv\n1\n"), "it has 1 rows instead of 2"),
        (a_folder, "it is not a regular file"),
        (a_pipe, "it is not a regular file"),
    ],
)
@pytest.mark.parametrize("remembered", [True, False])
def test_damage(tmp_path: Path, damage: Callable[[Path], object], words: str, remembered: bool) -> None:
    facts = finished(tmp_path)
    memory = Memory(tmp_path / "memory.json") if remembered else None
    assert found(facts, memory).current
    history = Path(facts.outputs["history.csv"])
    damage(history)
    state = found(facts, memory)
    assert not state.current and state.damage == {str(history): words}
    assert phrases(state) == [f"{history} is damaged: {words}"]


@pytest.mark.parametrize("labels", [[], ["weights.pt"], ["weights.pt", "history.csv", "summary.csv"], ["a", "b"]])
def test_a_record_that_lists_other_files_is_not_current(tmp_path: Path, labels: list[str]) -> None:
    facts = finished(tmp_path)
    record = records.read(facts.record)
    assert record is not None
    content = record.outputs["weights.pt"]
    outputs = {label: record.outputs.get(label, content) for label in labels}
    records.write(Path(facts.record), record._replace(outputs=outputs))
    state = found(facts)
    assert not state.current and not state.damage and phrases(state) == ["its record lists other files"]


def test_inputs_that_were_made_again_are_named(tmp_path: Path) -> None:
    state = found(finished(tmp_path))
    state.remade = ["results/data/lidc.h5"]
    assert not state.current
    assert phrases(state) == ["results/data/lidc.h5 was made again, with other content"]


def test_inputs_that_are_about_to_be_made_again_are_no_cause_of_their_own(tmp_path: Path) -> None:
    state = found(finished(tmp_path))
    state.follows = True
    assert not state.current and phrases(state) == []


def test_missing_files_are_listed_and_the_rest_may_be_current(tmp_path: Path) -> None:
    facts = finished(tmp_path)
    Path(facts.outputs["history.csv"]).unlink()
    state = found(facts)
    assert state.current and state.missing == [facts.outputs["history.csv"]]
    Path(facts.outputs["history.csv"]).symlink_to("nowhere")
    assert found(facts).missing == [facts.outputs["history.csv"]]


def test_another_input_is_named(tmp_path: Path) -> None:
    """One more and one less than the record has."""
    facts = finished(tmp_path)
    state = found(facts._replace(inputs=[(f"{tmp_path}/other.h5", "other.h5", "c" * 32)]))
    assert changed_inputs(state) == [f"{tmp_path}/other.h5", f"{tmp_path}/lidc.h5"]
