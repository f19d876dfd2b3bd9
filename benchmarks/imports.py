"""CPU time until each program of the workflow could start its work, beside that of the libraries that it imports.

    python benchmarks/imports.py [--repeats 3]

Exits with 1 if a program takes longer than its limit.
"""

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
LIMITS = {"torch": 3.0, "matplotlib": 1.2, "": 0.6}
"""In CPU seconds, by the largest library that a program imports."""
LIBRARIES = {"torch": "torch, h5py", "matplotlib": "matplotlib.figure, pandas, h5py", "": "pandas, scipy.special, h5py"}
LOADED = "import sys, {module}; print(next((name for name in ('torch', 'matplotlib') if name in sys.modules), ''))"


def cpu_seconds(code: str, repeats: int) -> tuple[float, str]:
    """Least user and system time of a new Python that runs the code, and its output."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    least, output = float("inf"), ""
    for _ in range(repeats):
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert process.stdout is not None
        output = process.stdout.read().strip()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{code} failed")
        least = min(least, used.ru_utime + used.ru_stime)
    return least, output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy", "pandas", "matplotlib"))
    print(f"Python {platform.python_version()}, {versions}; {platform.machine()}\nCPU seconds, least of {repeats}")
    for libraries in LIBRARIES.values():
        print(f"{cpu_seconds(f'import {libraries}', repeats)[0]:6.2f}  {libraries}")
    programs = sorted(
        ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        for folder in ("stages", "figures")
        for path in (SOURCES / "segunc" / folder).glob("*.py")
        if "@stage" in path.read_text()
    )
    slow = []
    for module in programs:
        seconds, largest = cpu_seconds(LOADED.format(module=module), repeats)
        print(f"{seconds:6.2f}  {module}", flush=True)
        if seconds > LIMITS[largest]:
            slow.append(f"{module} ({seconds:.2f}, limit {LIMITS[largest]})")
    if slow:
        raise SystemExit(f"too slow: {', '.join(slow)}")


if __name__ == "__main__":
    main()
