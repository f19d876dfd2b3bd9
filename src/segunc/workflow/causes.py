"""Why results are not up to date, in words."""

import json

from segunc.runtime import records
from segunc.runtime.code_digest import code_of
from segunc.workflow.changes import changed_code, changed_settings
from segunc.workflow.states import State

NO_RECORD = "there is no record of what its results were made from"
EARLIER = "its record is of an earlier version of segunc, and does not say what its inputs were made from"


def phrases(state: State) -> list[str]:
    """One phrase per setting and source file that differs from those of the results, and per damaged file.

    Empty if the only difference is in the inputs (`changed_inputs`).
    """
    record, facts = state.record, state.facts
    if record is None:
        return [NO_RECORD]
    found = changed_settings(record.spec, json.loads(facts.spec))
    if not found and not records.same_settings(record, facts.spec):
        found = ["the order of its settings changed"]
    found += changed_code(record.code, code_of(facts.code))
    if record.identity and record.command != facts.command:
        found.append("the options that its rule passes changed")
    found += [f"{path} is damaged: {words}" for path, words in state.damage.items()]
    found += [f"{path} was made again, with other content" for path in state.remade]
    if record.identity and set(record.outputs) != set(facts.outputs):
        found.append("its record lists other files")
    return found or ([EARLIER] if not record.identity else [])


def changed_inputs(state: State) -> list[str]:
    """Paths of the inputs that are others than those of the results, or made from something else."""
    known = {path: entry["identity"] for path, entry in state.record.inputs.items()} if state.record else {}
    now = {path: identity for path, _, identity in state.facts.inputs}
    return [path for path in {**now, **known} if known.get(path) != now.get(path)]
