"""Running the real Snakefile on a tiny grid."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
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


def snakemake(folder: Path, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the workflow in `folder` with the tiny overlay (or another one)."""
    folder.mkdir(exist_ok=True)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(TINY if overlay is None else overlay))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    # --configfile and --quiet take all words that follow, targets as well.
    command += ["--cores", "2", *arguments, "--configfile", str(folder / "overlay.yaml")]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def scheduled(folder: Path, *arguments: str, overlay: dict | None = None) -> dict[str, int]:
    """Jobs per rule that a dry run would start, without the targets."""
    done = snakemake(folder, "--dry-run", *arguments, "--quiet", "rules", overlay=overlay)
    assert done.returncode == 0, done.stderr + done.stdout
    table = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    targets = {"all", "data", "train", "samples", "tables", "figures", "active", "total"}
    return {rule: int(count) for rule, count in table if rule not in targets}


def merged(base: dict, **changes: dict) -> dict:
    return {**base, **{key: {**base.get(key, {}), **value} for key, value in changes.items()}}
