"""Running the real Snakefile on tiny grids, and one finished study that tests share."""

import atexit
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from helpers.raw_data import write_lidc_slices, zipped

ROOT = Path(__file__).parents[2]
TARGETS = {"all", "data", "models", "samples", "tables", "figures", "active", "claims", "report"}
NO_ACTIVE_LEARNING: dict[str, list] = {"datasets": [], "models": [], "strategies": [], "seeds": []}
TINY: dict[str, Any] = {
    "grid": {"seeds": [0]},
    "datasets": {
        "phantom_lung": {"size": 32, "options": {"patients": 14, "images_per_patient": 2, "size": 32}},
        "phantom_skin": {"size": 32, "options": {"patients": 20, "size": 32}},
        "lidc": {"size": 16, "split": {"folds": 3}},
    },
    "backbone": {"filters": [4, 8]},
    "training": {"steps": 6, "validate_every": 3, "warmup_steps": 0, "precision": "float32"},
    "active": NO_ACTIVE_LEARNING,
}


def where(folder: Path, overlay: dict | None = None, checkout: Path = ROOT) -> list[str]:
    """The arguments with which Snakemake runs the workflow in `folder` with the tiny overlay (or another one)."""
    folder.mkdir(exist_ok=True)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(TINY if overlay is None else overlay))
    arguments = ["--snakefile", str(checkout / "Snakefile"), "--directory", str(folder)]
    return [*arguments, "--configfile", str(folder / "overlay.yaml")]


def words(folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT) -> list[str]:
    """The arguments of a run. Targets come first, as --configfile takes all words that follow."""
    return ["--cores", "2", *arguments, *where(folder, overlay, checkout)]


def command(folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT) -> list[str]:
    """The command line of a run."""
    return [sys.executable, "-m", "snakemake", *words(folder, *arguments, overlay=overlay, checkout=checkout)]


def snakemake(
    folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs the workflow in `folder`."""
    return in_fork("snakemake", words(folder, *arguments, overlay=overlay, checkout=checkout), checkout)


def segunc(
    folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs the command `segunc` of the checkout, such as `segunc why`."""
    return in_fork("segunc.commands.main", [*arguments, *where(folder, overlay, checkout)], checkout)


def scheduled(folder: Path, *arguments: str, overlay: dict | None = None, checkout: Path = ROOT) -> dict[str, int]:
    """Jobs per rule that a dry run would start, without the targets."""
    done = snakemake(folder, *arguments, "--dry-run", "--quiet", "rules", overlay=overlay, checkout=checkout)
    assert done.returncode == 0, done.stderr + done.stdout
    table = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in table if rule not in TARGETS and rule != "total"}


def merged(base: dict, **changes: Any) -> dict:
    return {**base, **{key: {**base.get(key, {}), **value} for key, value in changes.items()}}


@cache
def _server(environment: frozenset[tuple[str, str]] | None) -> subprocess.Popen[str]:
    program = [sys.executable, str(Path(__file__).with_name("fork_server.py"))]
    variables = None if environment is None else dict(environment)
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables)
    # It ends when its input does.
    atexit.register(server.communicate)
    return server


def in_fork(
    module: str, arguments: Sequence[str], checkout: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `python -m module *arguments` does in a checkout, with its segunc, but without a second of imports."""
    server = _server(environment and frozenset(environment.items()))
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        request = {"module": module, "words": list(arguments), "cwd": str(checkout), "path": [str(checkout / "src")]}
        request |= {"output": str(output), "errors": str(errors)}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess([module, *arguments], code, output.read_text(), errors.read_text())


STUDY = merged(
    TINY,
    grid={"datasets": ["phantom_lung", "lidc"], "models": ["unet", "mc_dropout"]},
    models={"unet": {"training": {"batch_size": 8, "warmup_steps": 2}}},
    active={
        "datasets": ["phantom_lung"],
        "models": ["unet", "mc_dropout"],
        "strategies": ["random", "entropy"],
        "seeds": [0],
        "start": 6,
        "add": 2,
        "rounds": 1,
        "training": {"steps": 3, "epochs": None},
    },
)
"""The grid of the finished study: synthetic and raw data, a strategy that needs a model and one that needs none."""


class Study:
    """A checkout that may be edited, and a folder in which its workflow runs."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.folder = folder / "checkout", folder / "run"
        self.raw = folder / "raw/LIDC-IDRI-slices.zip"
        self.grid = {**STUDY, "raw_folders": [str(self.raw.parent)]}

    def create(self) -> None:
        """Copies this checkout, writes raw data, and runs the workflow to the end."""
        self.checkout.mkdir(parents=True)
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, self.checkout)
        for name in ("src", "workflow", "profiles", "envs"):
            built = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, self.checkout / name, ignore=built)
        slices = self.raw.with_suffix("")
        write_lidc_slices(slices)
        zipped(slices)
        shutil.rmtree(slices)
        done = self.run()
        assert done.returncode == 0, done.stdout + done.stderr

    def copy(self, folder: Path) -> "Study":
        """The same checkout with a run of its own: a copy that a test may continue."""
        twin = Study(self.checkout.parent)
        twin.folder = Path(shutil.copytree(self.folder, folder, symlinks=True))
        return twin

    def run(self, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the workflow, with the study's grid unless there is an overlay."""
        return snakemake(self.folder, *arguments, overlay=overlay or self.grid, checkout=self.checkout)

    def scheduled(self, *arguments: str, overlay: dict | None = None, **changes: dict) -> dict[str, int]:
        """Jobs per rule that a run would start, with the study's grid or an overlay, and its changes."""
        overlay = merged(overlay or self.grid, **changes)
        return scheduled(self.folder, *arguments, overlay=overlay, checkout=self.checkout)

    def segunc(self, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess[str]:
        """The command `segunc` of this checkout."""
        return segunc(self.folder, *arguments, overlay=overlay or self.grid, checkout=self.checkout)

    @contextmanager
    def edited(self, file: str, change: Callable[[str], str] | None = None) -> Iterator[None]:
        """Within it, the code of a file in src/segunc is different; by default an unused constant is added."""
        path = self.checkout / "src/segunc" / file
        before = path.read_text()
        after = change(before) if change else f"{before}\n\nEDITED = 1\n"
        assert after != before, f"nothing to edit in {file}"
        path.write_text(after)
        try:
            yield
        finally:
            path.write_text(before)

    @contextmanager
    def without_snakemakes_metadata(self) -> Iterator[None]:
        """Within it, the folder `.snakemake` does not exist."""
        metadata, aside = self.folder / ".snakemake", self.folder / "aside"
        metadata.rename(aside)
        try:
            yield
        finally:
            shutil.rmtree(metadata, ignore_errors=True)
            aside.rename(metadata)
