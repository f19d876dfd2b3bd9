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
    """Environment variables that make `python -m segunc.stages.<step>` use this Python and the checkout's segunc."""
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    modules = [str(Path(checkout) / "src"), os.environ.get("PYTHONPATH", "")]
    return {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(filter(None, modules))}
