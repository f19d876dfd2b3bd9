"""How long `snakemake --dry-run` takes on grids of thousands of jobs, and how much memory.

    python benchmarks/dry_run.py [--seeds 11 55] [--profile FILE]

Of each grid with nothing made, then twice with everything made (empty files and true records): the first time, all
files are read. As a yardstick, as many jobs of a bare workflow with nothing made, which has neither params nor
resources; also with everything made, where Snakemake compares time stamps and reads no record. Ends with an error if a
dry run takes more than AIM times the yardstick. Nothing is computed; all files are in a temporary folder.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from segunc.runtime import digests, records  # noqa: E402
from segunc.runtime.records import Record  # noqa: E402

AIM = 1.3
"""CPU time of a dry run by that of a bare workflow with as many jobs."""
ACTIVE = {
    "datasets": ["phantom_lung", "phantom_skin"],
    "models": ["unet", "ensemble", "mc_dropout", "prob_unet"],
    "strategies": ["random", "entropy"],
    "rounds": 10,
}
"""With these, a seed has 640 jobs: 34 of the main grid and 606 of active learning."""

BARE = """
rule all:
    input: expand("{{chain}}/{{step}}.txt", chain=range({chains}), step=9)
rule first:
    output: "{{chain}}/0.txt"
    shell: "touch {{output}}"
rule step:
    input: lambda wildcards: f"{{wildcards.chain}}/{{int(wildcards.step) - 1}}.txt"
    output: "{{chain}}/{{step,[1-9]}}.txt"
    shell: "touch {{output}}"
"""

MAKE = """
import json, sys
from segunc.workflow.snakemake_internals import planned_jobs
json.dump([[*job.facts, job.identity] for job in planned_jobs(sys.argv[1:])[0]], sys.stdout)
"""


def measure(what: str, command: list[str], bare: float = 0) -> tuple[str, float]:
    """Runs the command, prints what it took, and returns its output and its CPU time in seconds.

    CPU time, user and system, says more than wall time where others use the machine. bare: that of the yardstick.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=messages)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        output.seek(0)
        messages.seek(0)
        said, wrong = output.read(), messages.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said}{wrong}")
    cpu = used.ru_utime + used.ru_stime
    ratio = f"{cpu / bare:6.2f} x bare" if bare else ""
    print(f"{what:30} {wall:7.1f} s wall {cpu:7.1f} s CPU {used.ru_maxrss / 1024:7.0f} MiB{ratio}", flush=True)
    return said + wrong, cpu


QUIET = ["--quiet", "rules"]


def snakemake(*words: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *QUIET, *words]


def make_everything(arguments: list[str]) -> None:
    """Empty results and true records for all jobs that the arguments want."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", MAKE, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    folder = Path(arguments[arguments.index("--directory") + 1])
    empty = hashlib.sha256().hexdigest()
    for spec, _, shell, inputs, outputs, record, identity in json.loads(done.stdout):
        contents = {}
        for label, path in outputs.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            contents[label] = digests.content(folder / path)
        read = {path: {"identity": of_input, "sha256": empty} for path, _, of_input in inputs}
        made = Record(json.loads(spec), {}, {}, "", [], identity, "0" * 32, read, contents, command=shell)
        records.write(folder / record, made)


def measure_grid(seeds: int, profile: Path | None) -> float:
    """All measurements of the default grid with ACTIVE and so many seeds.

    Returns the largest CPU time of a dry run by that of the yardstick.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = list(range(seeds))
        overlay = {"grid": {"seeds": chosen}, "active": {**ACTIVE, "seeds": chosen}}
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        words = ["--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", folder / "overlay.yaml"]
        arguments = [str(word) for word in words]
        plan = [sys.executable, "-m", "segunc.commands.main", "plan", *arguments]
        command = snakemake("--dry-run", *arguments)
        said, nothing = measure("nothing made", command)
        jobs = int(next(line.split()[1] for line in said.splitlines() if line.startswith("total")))
        print(f"  = {jobs} jobs", flush=True)
        chains = jobs // 10
        (folder / "bare.smk").write_text(BARE.format(chains=chains))
        of_bare = snakemake("--dry-run", "--snakefile", str(folder / "bare.smk"), "--directory", name)
        _, bare = measure("a bare workflow", of_bare)
        print(f"  nothing made: {nothing / bare:.2f} x bare", flush=True)
        _, listed = measure("nothing made, jobs listed", [word for word in command if word not in QUIET], bare)
        measure("segunc plan", plan)
        make_everything(arguments)
        measure("everything made, first time", command, bare)
        said, everything = measure("everything made", command, bare)
        if "Nothing to be done" not in said:
            sys.exit(f"jobs would run although everything is made:\n{said}")
        measure("segunc plan", plan)
        for chain in range(chains):
            (folder / str(chain)).mkdir()
            for step in range(10):
                (folder / str(chain) / f"{step}.txt").touch()
        measure("a bare workflow", of_bare, bare)
        if profile is not None:
            measure("profiled", [sys.executable, "-m", "cProfile", "-o", str(profile), *command[1:]])
        return max(nothing, listed, everything) / bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 55], help="640 jobs each")
    parser.add_argument("--profile", type=Path, help="file for cProfile's statistics, of the last dry run")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Snakemake {version('snakemake')}")
    largest = max(measure_grid(seeds, args.profile) for seeds in args.seeds)
    print(f"at most {largest:.2f} times the CPU time of a bare workflow; the aim is {AIM}")
    if largest > AIM:
        sys.exit(1)


if __name__ == "__main__":
    main()
