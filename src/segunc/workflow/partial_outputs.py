"""After a run in which jobs failed: tables, figures and the report from the available results.

With --keep-going, whatever failed; without it, if only figures failed, and nothing is left but tables, figures and the
report: a figure does not keep the report from being made.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segunc.cells import REPORT, Cell, collects
from segunc.workflow import job_logs, snakemake_internals

WITH_KEEP_GOING = (
    "segunc: only figures failed: with --keep-going, a run makes all else, and the report without these figures."
)


def build(workflow: Any, config: Mapping[str, Any]) -> None:
    """Builds the tables, figures and the report that are not made yet, without the missing results.

    This is a separate run, so the outputs are ordinary results: its config lists what is missing, and they are rebuilt
    once it is there. If a table or figure fails in that run, the report is built in one more, without it.
    """
    run = snakemake_internals.unfinished(workflow)
    if run is None:
        return
    missing, stores, waiting = [], [], []
    for job in run.jobs:
        if not job.output:
            continue
        failed = run.failed_ancestors(job)
        if not failed and run.keeps_going:
            return  # Stopped from outside: a job was not started although nothing that it needs failed.
        if not failed and not collects(job.rule.name):
            print(WITH_KEEP_GOING, file=sys.stderr, flush=True)
            return
        if not collects(job.rule.name):
            missing.append(_entry(job, failed[0]))
            stores += [_cell(job)["dataset"]] if job.rule.name == "prepare" else []
        elif job.rule.name != REPORT or job not in failed:
            waiting.append((job, failed))
    results = len(missing)
    # What cannot be made without them is missing in the report.
    for job, failed in [*waiting]:
        broken = [other for other in failed if collects(other.rule.name)]
        if job.rule.name != REPORT and (broken or _cell(job).get("dataset") in stores):
            missing.append(_entry(job, [*broken, *failed][0]))
            waiting.remove((job, failed))
    if not missing or not waiting or not (run.keeps_going or any(job.rule.name == REPORT for job, _ in waiting)):
        return
    rules = sorted({job.rule.name for job, _ in waiting})
    print(f"segunc: building {len(waiting)} tables and figures from what is there ...", file=sys.stderr, flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as overlay:
        json.dump({**config, "missing": [*config.get("missing", []), *missing]}, overlay)
        overlay.flush()
        command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", run.snakefile, "--nolock", "--keep-going"]
        command += ["--cores", "1", "--allowed-rules", *rules]
        command += ["--configfile", overlay.name, "--", *(str(job.output[0]) for job, _ in waiting)]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.stderr.write(done.stderr)
        print("segunc: not all tables and figures could be built without the missing results.", file=sys.stderr)
    elif results:
        jobs = "1 job has" if results == 1 else f"{results} jobs have"
        listed = "missing.csv and active_missing.csv list the cells without scores and why"
        print(f"segunc: {jobs} no results; {listed}.", file=sys.stderr)
    elif any(job.rule.name == REPORT for job, _ in waiting):
        names = ", ".join(f"{entry['step']} {Cell.of(entry['cell'])}".strip() for entry in missing)
        print(f"segunc: the report is there, without what failed: {names}.", file=sys.stderr)


def _entry(job: Any, failed: Any) -> dict[str, Any]:
    """A job in the config's list of missing results."""
    return {"step": job.rule.name, "cell": _cell(job), "why": failure_of(failed)}


def _cell(job: Any) -> dict[str, str]:
    return Cell.of(job.wildcards).wildcards


def failure_of(job: Any) -> str:
    """Why a job failed, by the last message in its log; `job` is Snakemake's."""
    name = f"{job.rule.name} {Cell.of(job.wildcards)}".strip()
    return f"{name} failed: {job_logs.last_line(Path(job.log[0]))}"
