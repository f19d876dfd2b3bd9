"""`segunc why`, `check` and `accept`: the reasons of pending jobs, damaged results, edits that change no result."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from segunc.cells import Cell
from segunc.runtime import kept, records
from segunc.runtime.code_digest import code_of
from segunc.runtime.records import Record
from segunc.workflow.causes import changed_inputs, phrases
from segunc.workflow.changes import accepted_edit, changed_code
from segunc.workflow.snakemake_internals import PlannedJob, kept_folder, planned_jobs

SHOWN = 6
"""Most jobs of a rule, and most files, that are named."""


def why(arguments: Sequence[str]) -> int:
    """Explains why each job of `snakemake <arguments>` would run, and which would only restore its results."""
    jobs, folder = planned_jobs(arguments)
    _explain(jobs)
    if restored := _restored(jobs, folder / kept_folder()):
        print("of these, restored from what was computed before:")
        _print_jobs(restored)
    return 0


def check(arguments: Sequence[str]) -> int:
    """Reads all results of `snakemake <arguments>`, and names those that are damaged, missing or not up to date."""
    jobs, _ = planned_jobs(arguments, read_everything=True)
    damaged = [path for job in jobs if job.state for path in job.state.damage]
    files = sum(len(job.facts.outputs) - len(job.state.missing) for job in jobs if job.state)
    print(f"{files:,} files were read; {len(damaged) or 'none'} {'is' if len(damaged) == 1 else 'are'} damaged.")
    complete = _explain(jobs)
    return 0 if complete and not damaged else 1


def _explain(jobs: Sequence[PlannedJob]) -> bool:
    """Prints why jobs would run, and what is missing although nothing needs it; returns whether nothing would run."""
    pending = [job for job in jobs if job.runs]
    running = {path for job in pending for path in job.facts.outputs.values()}
    groups: dict[str, list[PlannedJob]] = {}
    for job in pending:
        groups.setdefault("; ".join(_causes(job, running)), []).append(job)
    following = groups.pop("", [])
    for words, group in groups.items():
        print(f"{words}:")
        _print_jobs(group)
    if following:
        print("downstream of the above:" if groups else "made from other inputs:")
        _print_jobs(following)
    absent = [job for job in jobs if not job.runs and (job.state is None or job.state.missing)]
    if not pending:
        print("Nothing would run: the results were made from the current settings, code and data.")
    if absent:
        print("missing, but not needed for what is there:")
        _print_jobs(absent)
    return not pending


def _causes(job: PlannedJob, running: set[str]) -> list[str]:
    """Why a job would run; empty if only because another job would write its inputs."""
    state = job.state
    if state is None:
        return ["not made yet"]
    if state.current:
        missing = [f"{path} is missing" for path in state.missing]
        return missing or (["forced by the command line"] if job.forced else ["its record is missing"])
    found = phrases(state) + [f"{path} is missing" for path in state.missing]
    remade = [path for path in changed_inputs(state) if path not in running]
    if not found and remade:
        more = f" and {len(remade) - 1} more" if len(remade) > 1 else ""
        found = [f"{remade[0]}{more} was made from other settings or code since"]
    return found


def _restored(jobs: Sequence[PlannedJob], keep: Path) -> list[PlannedJob]:
    """The jobs that would restore kept results instead of computing them, as far as their inputs are known."""
    contents: dict[str, str] = {}
    found = []
    for job in jobs:
        record = job.state.record if job.state and not job.runs else None
        if job.runs and not job.forced and all(path in contents for path, _, _ in job.facts.inputs):
            inputs = [(label, contents[path]) for path, label, _ in job.facts.inputs]
            record = kept.find(keep, records.key(json.loads(job.facts.spec), job.facts.code, job.facts.command, inputs))
            found += [job] if record else []
        if record:
            files = job.facts.outputs
            contents |= {files[label]: content["sha256"] for label, content in record.outputs.items() if label in files}
    return found


def accept(arguments: Sequence[str]) -> int:
    """Marks results as up to date when only source code changed.

    Their records get the current digests and list the accepted edit. Results that were made from them, with the same
    settings and the same bytes as input, are accepted as well.
    """
    jobs, folder = planned_jobs(arguments)
    keep = folder / kept_folder()
    producers = {path: job for job in jobs for path in job.facts.outputs.values()}
    accepted: dict[str, Record] = {}
    edited: list[PlannedJob] = []
    following: list[PlannedJob] = []
    others: list[PlannedJob] = []
    files: set[str] = set()
    for job in jobs:
        if not job.runs:
            continue
        record = _accepted(job, producers, accepted)
        if record is None:
            if job.state is None or phrases(job.state) or job.state.missing:
                others.append(job)
            continue
        accepted[job.facts.record] = record
        assert job.state is not None and job.state.record is not None
        changed = changed_code(job.state.record.code, record.code)
        files |= set(changed)
        (edited if changed else following).append(job)
    for job in [*edited, *following]:
        record = accepted[job.facts.record]
        kept.remember(keep, record, {label: folder / file for label, file in job.facts.outputs.items()})
        records.write(folder / job.facts.record, record)
    if edited:
        print(f"accepted, although {', '.join(sorted(files))}:")
        _print_jobs(edited)
    if following:
        print("accepted, since they were made from accepted results:")
        _print_jobs(following)
    if not accepted:
        print("Nothing to accept: no job would run because of edited code alone.")
    if others:
        print("not accepted, because more than code differs (see segunc why):")
        _print_jobs(others)
    return 0 if accepted else 1


def _accepted(job: PlannedJob, producers: dict[str, PlannedJob], accepted: dict[str, Record]) -> Record | None:
    """The record of a job with its edited code accepted; None if more than code differs."""
    state, facts = job.state, job.facts
    if state is None or state.record is None or state.damage or state.missing or not state.record.outputs:
        return None
    record = state.record
    if not records.same_settings(record, facts.spec) or record.command != facts.command:
        return None
    inputs: dict[str, records.Input] = {}
    for path, label, identity in facts.inputs:
        producer = producers[path]
        if producer.runs and producer.facts.record not in accepted:
            return None
        of_producer = producer.state.record if producer.state else None
        read = record.inputs.get(path)
        if of_producer is None or read is None or read["sha256"] != of_producer.outputs[label]["sha256"]:
            return None
        inputs[path] = {"identity": identity, "sha256": read["sha256"]}
    code = code_of(facts.code)
    labels = [(label, inputs[path]["sha256"]) for path, label, _ in facts.inputs]
    key = records.key(record.spec, facts.code, facts.command, labels)
    edits = [accepted_edit(record.code, code, datetime.now(UTC))] if code != record.code else []
    return record._replace(
        code=code, identity=job.identity, key=key, inputs=inputs, accepted=[*record.accepted, *edits]
    )


def _print_jobs(jobs: Iterable[PlannedJob]) -> None:
    by_rule: dict[str, list[str]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(str(Cell.of(job.wildcards)))
    for rule, names in by_rule.items():
        count = f" ({len(names)})" if len(names) > 1 else ""
        shown = ", ".join(sorted(names)[:SHOWN])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(f"    {rule}{count}{': ' if shown else ''}{shown}{more}")
