"""One job of the workflow: it checks what it reads, restores results that are kept, and records what it wrote.

A rule describes its job as JSON (`Task`). The program is imported only if the results have to be computed, because
restoring them takes a tenth of a second.
"""

import importlib
import json
import platform
import re
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from segunc.runtime import digests, kept, records
from segunc.runtime.code_digest import code_of, code_param, source_of, source_states
from segunc.runtime.digests import Content
from segunc.runtime.errors import UserError
from segunc.runtime.records import Input, Record
from segunc.runtime.stage import Job, ends_in_words


class Source(NamedTuple):
    """A file that another job wrote."""

    path: str
    label: str
    """Its name among the outputs of that job."""
    record: str
    """Record of that job."""


class Task(NamedTuple):
    """What a rule says about a job."""

    record: str
    """File to write."""
    spec: Any
    """The settings that the results depend on (`segunc.config.specs`)."""
    code: str
    """Entry modules and a digest of their sources (`code_param`)."""
    command: str
    """What else the rule says that the results depend on: the options that it passes, and the ids of the cell."""
    inputs: list[Source]
    outputs: dict[str, str]
    """Paths by label."""
    keep: str
    """Folder of kept results."""
    anew: bool
    """Whether the user forced the job, so that nothing is restored."""


class Started(NamedTuple):
    """A job whose inputs are checked."""

    task: Task
    code: dict[str, str]
    """Digest by module, as the sources were when the job started: newer than in the task if they were edited since."""
    identity: str
    key: str
    inputs: dict[str, Input]
    sources: dict[str, object]
    """States of the source files (`source_states`) before they were read."""
    began: float
    """By `time.monotonic`."""


def run(words: Sequence[str]) -> None:
    """Runs a job in this process; `words` are the module of its program, its task, and the options of the program."""
    module, text, *options = words
    with ends_in_words():
        started = start(read_task(text))
        if restore(started):
            what = name_of(started.task)
            print(f"{what}: restored, as computed before from the same settings, code and inputs", flush=True)
            return
        identities = tuple(read["identity"] for read in started.inputs.values())
        of_stage = Job(started.task.spec, started.code, identities)
        import_program(started, module).main(options, of_stage)
        finish(started)
        of_stage.run_afterwards()


def read_task(text: str) -> Task:
    """The task of a job from JSON, or from the file that `@FILE` names."""
    task = Task(**json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text))
    return task._replace(inputs=[Source(*source) for source in task.inputs])


def start(task: Task) -> Started:
    """Checks the inputs of a job. Raises UserError if one has no record or is damaged; then its record is removed."""
    began = time.monotonic()
    inputs = {source.path: _checked(source) for source in task.inputs}
    entries = task.code.split()[:-1]
    sources = source_states(entries)
    code = code_param(*entries)
    facts = task.spec, code, task.command
    labels = [(source.label, inputs[source.path]) for source in task.inputs]
    identity = records.identity(*facts, ((label, read["identity"]) for label, read in labels))
    key = records.key(*facts, ((label, read["sha256"]) for label, read in labels))
    return Started(task, code_of(code), identity, key, inputs, sources, began)


def import_program(job: Started, module: str) -> Any:
    """Imports everything that the job may run, and returns the module of its program.

    Raises UserError if a source file was touched since the job started: then it is not known which code was imported.
    """
    program = importlib.import_module(module)
    for name in job.code:
        importlib.import_module(name)
    for name, state in source_states(job.task.code.split()[:-1]).items():
        if job.sources.get(name) != state:
            raise UserError(f"{source_of(name)} was edited while this job was starting; run the same command again.")
    return program


def _checked(source: Source) -> Input:
    record = records.read(source.record)
    expected = record.outputs.get(source.label) if record else None
    if record is None or expected is None:
        Path(source.record).unlink(missing_ok=True)
        raise UserError(f"{source.path} has no record of what it was made from; run the same command again.")
    try:
        damage = digests.difference(Path(source.path), expected)
    except OSError as error:
        raise UserError(f"{source.path} cannot be read ({error.strerror}); make it readable and run again.") from None
    if damage:
        # Without its record, the next run makes it anew.
        Path(source.record).unlink(missing_ok=True)
        raise UserError(f"{source.path} is damaged ({damage}); run the same command again, which makes it anew.")
    return {"identity": record.identity, "sha256": expected["sha256"]}


def restore(job: Started) -> bool:
    """Puts kept results of the same settings, code and input bytes in place; returns whether there are any."""
    files = {label: Path(path) for label, path in job.task.outputs.items()}
    record = None if job.task.anew else kept.restore(Path(job.task.keep), job.key, files)
    if record is None:
        return False
    made = _record(job, record.versions, record.finished, record.outputs, record.cost)
    records.write(Path(job.task.record), made._replace(restored=_now()))
    _remove_partial_files(job.task)
    return True


def finish(job: Started) -> None:
    """Records what was written, and keeps it. Raises UserError if an input changed while the job ran."""
    for source in job.task.inputs:
        try:
            same = digests.sha256(Path(source.path)) == job.inputs[source.path]["sha256"]
        except OSError:
            same = False
        if not same:
            raise UserError(f"{source.path} changed while this job was reading it; run the same command again.")
    files = {label: Path(path) for label, path in job.task.outputs.items()}
    loaded = [name for name in records.LIBRARIES if name in sys.modules]
    versions = {name: version("pillow" if name == "PIL" else name) for name in loaded}
    outputs = {label: digests.content(path) for label, path in files.items()}
    record = _record(job, {"python": platform.python_version(), **versions}, _now(), outputs, _cost(job))
    if problem := kept.remember(Path(job.task.keep), record, files):
        print(f"these results are complete, but not kept: {problem}", flush=True)
    records.write(Path(job.task.record), record)
    _remove_partial_files(job.task)


def _cost(job: Started) -> dict[str, float]:
    """What this process took so far (`Record.cost`)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    rss_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "seconds": round(time.monotonic() - job.began, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "max_rss_mb": round(rss_bytes / 2**20),
    }


def _record(
    job: Started, versions: dict[str, str], finished: str, outputs: dict[str, Content], cost: dict[str, float]
) -> Record:
    return Record(
        spec=job.task.spec,
        code=job.code,
        versions=versions,
        finished=finished,
        accepted=[],
        identity=job.identity,
        key=job.key,
        inputs=job.inputs,
        outputs=outputs,
        job=name_of(job.task),
        command=job.task.command,
        cost=cost,
    )


def name_of(task: Task) -> str:
    """Step and cell: `train/lidc/unet/seed0`."""
    return task.record.rpartition("/records/")[2].removesuffix(".json")


def _remove_partial_files(task: Task) -> None:
    """Removes what killed runs of the job left (`write_atomically`)."""
    for path in map(Path, [*task.outputs.values(), task.record]):
        left = re.compile(rf"\.{re.escape(path.stem)}\.\d+\.partial{re.escape(path.suffix)}")
        for other in path.parent.iterdir():
            if left.fullmatch(other.name):
                other.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
