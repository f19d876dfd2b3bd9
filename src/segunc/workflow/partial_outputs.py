"""After a run with --keep-going in which jobs failed: tables, figures and the report from the available results."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segunc.cells import REPORT, Cell, collects
from segunc.workflow import job_logs, snakemake_internals


def build(workflow: Any, config: Mapping[str, Any]) -> None:
    """Builds the tables, figures and the report that wait for missing results, leaving those results out.

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
        if not failed:
            return  # Stopped from outside: a job was not started although nothing that it needs failed.
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
    if not missing or not waiting:
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


def _entry(job: Any, failed: Any) -> dict[str, Any]:
    """A job in the config's list of missing results."""
    return {"step": job.rule.name, "cell": _cell(job), "why": failure_of(failed)}


def _cell(job: Any) -> dict[str, str]:
    return Cell.of(job.wildcards).wildcards


def failure_of(job: Any) -> str:
    """Why a job failed, by the last message in its log; `job` is Snakemake's."""
    name = f"{job.rule.name} {Cell.of(job.wildcards)}".strip()
    return f"{name} failed: {job_logs.last_line(Path(job.log[0]))}"
