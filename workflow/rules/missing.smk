# What is missing after a run with --keep-going, and the tables and figures that do without it.
import json
import subprocess
import tempfile

from segunc.missing import missing_results


def present(paths):
    """The results without those that are missing."""
    return [path for path in paths if path not in experiment.missing]


def collects(job):
    """Whether it makes a table or figure from many cells, which can do without some."""
    return job.rule.name.startswith("plot_") or job.rule.name.endswith("_tables")


def lacks_its_store(job, missing):
    return f"results/data/{job.wildcards.get('dataset')}.h5" in missing


def collect_what_there_is():
    """Makes the tables and figures that still wait for results which failed, without these.

    In a run of its own, so that they are ordinary results: its config names what is missing, and when that is there,
    they are made anew.
    """
    if not workflow.execution_settings.keep_going or experiment.missing:
        return
    jobs, failed = list(workflow.dag.needrun_jobs()), workflow.scheduler.failed
    missing = missing_results(workflow.dag, [job for job in jobs if not collects(job)], failed)
    if not missing:
        return
    waiting = [job for job in jobs if collects(job) and job not in failed and not lacks_its_store(job, missing)]
    if not waiting:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as overlay:
        json.dump({**config, "missing": missing}, overlay)
        overlay.flush()
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            workflow.main_snakefile,
            "--nolock",
            "--keep-going",
        ]
        command += ["--cores", "1", "--allowed-rules", *sorted({job.rule.name for job in waiting})]
        command += ["--configfile", overlay.name, "--", *(job.output[0] for job in waiting)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        print("segunc: not all tables and figures could be made without what is missing.", file=sys.stderr)
    else:
        print(f"segunc: {len(missing)} results are missing; results/tables/ says which and why.", file=sys.stderr)
