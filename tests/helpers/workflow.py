"""Running the real Snakefile on a tiny grid."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
NO_ACTIVE_LEARNING: dict[str, list] = {"datasets": [], "models": [], "strategies": [], "seeds": []}
TINY = {
    "grid": {"seeds": [0]},
    "datasets": {
        "phantom_lung": {"size": 32, "options": {"patients": 14, "images_per_patient": 2, "size": 32}},
        "phantom_skin": {"size": 32, "options": {"patients": 20, "size": 32}},
    },
    "backbone": {"filters": [4, 8]},
    "training": {"steps": 6, "validate_every": 3, "warmup_steps": 0, "precision": "float32"},
    "statistics": {"resamples": 100},
    "active": NO_ACTIVE_LEARNING,
}


def where(folder: Path, overlay: dict | None = None, checkout: Path = ROOT) -> list[str]:
    """The arguments with which Snakemake runs the workflow in `folder` with the tiny overlay (or another one)."""
    folder.mkdir(exist_ok=True)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(TINY if overlay is None else overlay))
    arguments = ["--snakefile", str(checkout / "Snakefile"), "--directory", str(folder)]
    return [*arguments, "--configfile", str(folder / "overlay.yaml")]


def command(folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT) -> list[str]:
    """The command line of a run. Targets come first, as --configfile takes all words that follow."""
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, *where(folder, overlay, checkout)]


def snakemake(
    folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs the workflow in `folder`."""
    words = command(folder, *arguments, overlay=overlay, checkout=checkout)
    return subprocess.run(words, capture_output=True, text=True, cwd=checkout)


def scheduled(folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT) -> dict[str, int]:
    """Jobs per rule that a dry run would start, without the targets."""
    done = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules", overlay=overlay, checkout=checkout)
    assert done.returncode == 0, done.stderr + done.stdout
    table = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    targets = {"all", "data", "models", "samples", "tables", "figures", "active", "total"}
    return {rule: int(count) for rule, count in table if rule not in targets}


def merged(base: dict, **changes: dict) -> dict:
    return {**base, **{key: {**base.get(key, {}), **value} for key, value in changes.items()}}
