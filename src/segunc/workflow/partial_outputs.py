"""After a run with --keep-going in which jobs failed: tables and figures from the results that are there."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segunc.cells import Cell
from segunc.workflow import snakemake_internals


def build(workflow: Any, config: Mapping[str, Any]) -> None:
    """Builds the tables and figures that still wait for missing results, without these.

    That is a run of its own, so that they are ordinary results: its config lists what is missing, and once that is
    there, they are built again.
    """
    run = snakemake_internals.unfinished(workflow)
    if run is None or config.get("missing"):
        return
    missing = []
    for job in run.jobs:
        if _collects(job):
            continue
        culprit = run.culprit(job)
        if culprit is None:
            return  # Stopped from outside: a job was not started although nothing that it needs failed.
        missing.append({"step": job.rule.name, "cell": _cell(job), "why": sentence_of(culprit)})
    stores = [entry["cell"]["dataset"] for entry in missing if entry["step"] == "prepare"]
    waiting = [job for job in run.jobs if _collects(job) and job not in run.failed]
    waiting = [job for job in waiting if _cell(job).get("dataset") not in stores]
    if not missing or not waiting:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as overlay:
        json.dump({**config, "missing": missing}, overlay)
        overlay.flush()
        command = [sys.executable, "-m", "snakemake", "--snakefile", run.snakefile, "--nolock", "--keep-going"]
        command += ["--cores", "1", "--allowed-rules", *sorted({job.rule.name for job in waiting})]
        command += ["--configfile", overlay.name, "--", *(str(job.output[0]) for job in waiting)]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.stderr.write(done.stderr)
        print("segunc: not all tables and figures could be built without the missing results.", file=sys.stderr)
    else:
        listed = "missing.csv and active_missing.csv list them and why"
        print(f"segunc: {len(missing)} jobs have no results; {listed}.", file=sys.stderr)


def _collects(job: Any) -> bool:
    """Whether a job builds a table or figure from many cells, which is possible without some of them."""
    return job.rule.name.startswith("plot_") or job.rule.name.endswith("tabulate")


def _cell(job: Any) -> dict[str, str]:
    return Cell.of(job.wildcards).wildcards


def sentence_of(job: Any) -> str:
    """Why a job failed, by the last words of its log; `job` is Snakemake's."""
    return f"{job.rule.name} {Cell.of(job.wildcards)} failed: {_last_words(Path(job.log[0]))}"


def _last_words(log: Path) -> str:
    """The stage's own sentence at the end of its log if there is one, else the last line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return f"{log} is missing"
    spoken = [line.strip() for line in lines if line.strip()]
    own = [line.removeprefix("segunc: ") for line in spoken if line.startswith("segunc: ")]
    return [f"{log} is empty", *spoken, *own][-1]
