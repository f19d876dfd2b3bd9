"""The machine that runs Snakemake: its GPU, and the environment of its jobs."""

import os
import sys
from pathlib import Path

DRIVER = Path("/dev/nvidiactl")
"""Exists where there is an NVIDIA GPU."""


def gpus(device: str) -> int:
    """GPUs that one job with a network requests: 1 for `cuda`, and for `auto` if this machine has one."""
    return int(device == "cuda" or (device == "auto" and DRIVER.exists()))


def job_environment(checkout: str) -> dict[str, str]:
    """Environment variables that make `python -m segunc.stages.<step>` use this Python and the checkout's segunc.

    Modules are not looked for in the working directory: it contains the user's files, such as a `random.py`. It would
    be searched for `python -m`, and for an empty entry of PYTHONPATH.
    """
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    modules = [str(Path(checkout) / "src"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(modules), "PYTHONSAFEPATH": "1"}
