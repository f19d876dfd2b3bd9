"""After a run with --keep-going in which jobs failed: tables and figures from the available results."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segunc.cells import Cell, is_figure, is_table
from segunc.workflow import job_logs, snakemake_internals


def build(workflow: Any, config: Mapping[str, Any]) -> None:
    """Builds the tables and figures that wait for missing results, leaving those results out.

    This is a separate run, so the outputs are ordinary results: its config lists what is missing, and they are rebuilt
    once it is there.
    """
    run = snakemake_internals.unfinished(workflow)
    if run is None or config.get("missing"):
        return
    missing = []
    for job in run.jobs:
        if _collects(job) or not job.output:
            continue
        failed = run.failed_ancestor(job)
        if failed is None:
            return  # Stopped from outside: a job was not started although nothing that it needs failed.
        missing.append({"step": job.rule.name, "cell": _cell(job), "why": failure_of(failed)})
    stores = [entry["cell"]["dataset"] for entry in missing if entry["step"] == "prepare"]
    waiting = [job for job in run.jobs if _collects(job) and job not in run.failed]
    waiting = [job for job in waiting if _cell(job).get("dataset") not in stores]
    if not missing or not waiting:
        return
    print(f"segunc: building {len(waiting)} tables and figures from what is there ...", file=sys.stderr, flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as overlay:
        json.dump({**config, "missing": missing}, overlay)
        overlay.flush()
        command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", run.snakefile, "--nolock", "--keep-going"]
        command += ["--cores", "1", "--allowed-rules", *sorted({job.rule.name for job in waiting})]
        command += ["--configfile", overlay.name, "--", *(str(job.output[0]) for job in waiting)]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.stderr.write(done.stderr)
        print("segunc: not all tables and figures could be built without the missing results.", file=sys.stderr)
    else:
        jobs = "1 job has" if len(missing) == 1 else f"{len(missing)} jobs have"
        listed = "missing.csv and active_missing.csv list the cells without scores and why"
        print(f"segunc: {jobs} no results; {listed}.", file=sys.stderr)


def _collects(job: Any) -> bool:
    """Whether a job builds a table or figure from many cells, which is possible without some of them."""
    return is_figure(job.rule.name) or is_table(job.rule.name)


def _cell(job: Any) -> dict[str, str]:
    return Cell.of(job.wildcards).wildcards


def failure_of(job: Any) -> str:
    """Why a job failed, by the last message in its log; `job` is Snakemake's."""
    return f"{job.rule.name} {Cell.of(job.wildcards)} failed: {job_logs.last_line(Path(job.log[0]))}"
