"""CPU time of README's first command: the default grid, from nothing to figures, and what its steps take.

    python benchmarks/default_grid.py [--folder FOLDER] [arguments of snakemake]

Exits with 1 if the command takes longer than its limit.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from segunc.runtime import records

ROOT = Path(__file__).parents[1]
LIMIT = 600
"""In CPU seconds, of the whole command with the default config."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="to keep the results; it has to be empty")
    known, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = known.folder or Path(temporary)
        words = ["--cores", "2", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "snakemake", "--quiet", "all", *words])  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit("snakemake failed")
        cpu, wall = used.ru_utime + used.ru_stime, time.monotonic() - began
        seconds, jobs = Counter[str](), Counter[str]()
        for path in (folder / "results/records").rglob("*.json"):
            record = records.read(path)
            assert record is not None
            step = record.job.partition("/")[0]
            step = "plot_*" if step.startswith("plot_") else step
            seconds[step] += record.cost["cpu_seconds"]
            jobs[step] += 1
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "snakemake"))
    print(f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores")
    print(f"{cpu:7.0f} CPU seconds in {wall / 60:.1f} minutes for the whole command; of this")
    for step, taken in seconds.most_common():
        print(f"{taken:7.1f} {step} ({jobs[step]} jobs)")
    rest = cpu - sum(seconds.values())
    print(f"{rest:7.1f} Snakemake, importing libraries, starting jobs")
    if cpu > LIMIT and not arguments:
        raise SystemExit(f"too slow: the limit is {LIMIT} CPU seconds")


if __name__ == "__main__":
    main()
