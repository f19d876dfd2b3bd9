"""Which results are up to date: their records against the current config, sources and raw data.

Nothing else has a say: no time stamp, no path, none of Snakemake's metadata.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from segunc.runtime import records
from segunc.runtime.digests import Memory, difference
from segunc.runtime.records import Record


class Facts(NamedTuple):
    """What is known about a job before it runs."""

    spec: str
    """Its settings, as JSON."""
    code: str
    """Entry modules and a digest of their sources."""
    command: str
    """The options that its rule passes, and the ids of the cell."""
    inputs: Sequence[tuple[str, str, str]]
    """Path, label and identity of each file that another job writes, in the order of the rule."""
    outputs: Mapping[str, str]
    """Paths by label, without the record."""
    record: str
    """Path of the record."""

    @property
    def identity(self) -> str:
        """The identity of the results that the job would write."""
        inputs = ((label, identity) for _, label, identity in self.inputs)
        return records.identity(_parsed(self.spec), self.code, self.command, inputs)


@cache
def _parsed(spec: str) -> Any:
    return json.loads(spec)


@dataclass
class State:
    """A job whose results exist, in part at least."""

    facts: Facts
    identity: str
    """That the results would have if the job ran."""
    record: Record | None
    damage: dict[str, str] = field(default_factory=dict)
    """How files differ from what was written, in words, by path."""
    missing: list[str] = field(default_factory=list)
    """Files that do not exist."""
    remade: list[str] = field(default_factory=list)
    """Inputs that were made again since, with other bytes: training on a GPU is not deterministic."""
    follows: bool = False
    """Whether an input is about to be made again for that reason."""

    @property
    def current(self) -> bool:
        """Whether the files that exist are up to date."""
        record = self.record
        if record is None or record.identity != self.identity or set(record.outputs) != set(self.facts.outputs):
            return False
        return not (self.damage or self.remade or self.follows)


def state_of(facts: Facts, memory: Memory | None) -> State | None:
    """The state of a job's results; None if none of its files exist.

    memory: digests of files that were read before; without it, every file is read.
    """
    found = {}
    for label, path in facts.outputs.items():
        try:
            found[label] = os.stat(path)  # noqa: PTH116 (a Path costs a third)
        except OSError:
            continue
    if not found:
        return None
    state = State(facts, facts.identity, records.read(facts.record))
    state.missing = [path for label, path in facts.outputs.items() if label not in found]
    if state.record is not None:
        for label, status in found.items():
            damage = _damage(state.record, label, facts.outputs[label], status, memory)
            if damage:
                state.damage[facts.outputs[label]] = damage
    return state


def _damage(record: Record, label: str, path: str, status: os.stat_result, memory: Memory | None) -> str | None:
    expected = record.outputs.get(label)
    if expected is None:
        return None  # A record of another rule or of an earlier version: its identity differs too.
    try:
        return memory.differs(path, status, expected) if memory else difference(Path(path), expected)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
