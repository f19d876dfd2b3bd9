"""How long `snakemake --dry-run` takes on grids of thousands of jobs, and how much memory.

    python benchmarks/dry_run.py [--seeds 15 75] [--profile FILE]

Of each grid with nothing made, then twice with everything made (empty files and true records): the first time, all
files are read. As a yardstick, as many jobs of a bare workflow, with neither params nor resources. Nothing is computed;
all files are in a temporary folder.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from segunc.runtime import digests, records  # noqa: E402
from segunc.runtime.records import Record  # noqa: E402

ROUNDS = 10
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


def measure(what: str, command: list[str]) -> str:
    """Runs the command, prints what it took, and returns its output.

    User time is that of the CPU alone: it says more than wall time where others use the machine.
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
    print(f"{what:36} {wall:7.1f} s wall {used.ru_utime:7.1f} s user {used.ru_maxrss / 1024:7.0f} MiB", flush=True)
    return said


def snakemake(*words: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--quiet", "rules", *words]


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


def measure_grid(seeds: int, profile: Path | None) -> None:
    """All measurements of both phantoms, all models of the grid, two strategies and so many seeds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = list(range(seeds))
        overlay = {"grid": {"seeds": chosen}, "active": {"seeds": chosen, "rounds": ROUNDS}}
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        words = ["--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", folder / "overlay.yaml"]
        arguments = [str(word) for word in words]
        command = snakemake("--dry-run", *arguments)
        said = measure("nothing made", command)
        jobs = int(next(line.split()[1] for line in said.splitlines() if line.startswith("total")))
        print(f"  = {jobs} jobs", flush=True)
        (folder / "bare.smk").write_text(BARE.format(chains=jobs // 10))
        measure("a bare workflow", snakemake("--dry-run", "--snakefile", str(folder / "bare.smk"), "--directory", name))
        measure("segunc plan", [sys.executable, "-m", "segunc.commands.main", "plan", *arguments])
        make_everything(arguments)
        measure("everything made, first time", command)
        said = measure("everything made", command)
        if "Nothing to be done" not in said:
            sys.exit(f"jobs would run although everything is made:\n{said}")
        measure("segunc plan", [sys.executable, "-m", "segunc.commands.main", "plan", *arguments])
        if profile is not None:
            measure("profiled", [sys.executable, "-m", "cProfile", "-o", str(profile), *command[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[15, 75], help="640 jobs each")
    parser.add_argument("--profile", type=Path, help="file for cProfile's statistics, of the last dry run")
    args = parser.parse_args()
    for seeds in args.seeds:
        measure_grid(seeds, args.profile)


if __name__ == "__main__":
    main()
