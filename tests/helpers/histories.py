"""Random histories of a study: edits, kills, damage, copies, runs. What they end with must be what a fresh run gives.

The workflow, the rules and the runtime are the real ones. The programs of the stages are replaced by toys with the same
arguments, whose outputs are digests of everything they depend on, so that any stale input shows in the tables. Models,
strategies and formats keep their options alone.
"""

import ast
import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from helpers.raw_data import write_lidc_slices, zipped
from helpers.workflow import ROOT, STUDY, command, merged, segunc, snakemake

TOY = '''
{imports}
import gzip
import hashlib
import json
import time

EDIT = 0
"""Edited by histories."""
UNIMPORTANT = ("job", "checkpoints", "device", "threads", "name", "needed")
"""Arguments that change no result."""


{signature}
    given = {{name: value for name, value in locals().items() if name not in UNIMPORTANT}}
    words = [__spec__.name, str(EDIT), json.dumps(job.spec)]
    if __spec__.name.endswith("acquire_with_model"):
        given.pop("weights")  # Picks that do not depend on the weights: what follows need not be computed again.
    if job.spec.get("training", {{}}).get("learning_rate") == 0.5:
        raise UserError("the training diverged.")
    outputs = []
    for name, value in given.items():
        for part in value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]:
            if not isinstance(part, Path):
                words.append(str(part))
            elif part.exists():
                words.append(hashlib.sha256(part.read_bytes()).hexdigest())
            else:
                outputs.append(part)
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()
    time.sleep(0.15 if "train" in __spec__.name else 0.02)
    for output in outputs:
        with write_atomically(output) as beside:
            text = f"{{output.name}}\\n{{digest}}\\n".encode()
            beside.write_bytes(gzip.compress(text, mtime=0) if output.suffix == ".gz" else text)
    if "weights" in map(lambda path: path.stem, outputs):
        with open("../trainings.log", "a") as file:
            file.write(digest + "\\n")


if __name__ == "__main__":
    main()
'''
IMPORTS = """from pathlib import Path

from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.stage import Job, stage
"""
GRID = merged(STUDY, active={"models": ["unet"], "rounds": 2})
TARGETS = ("tables", "results/tables/active_learning.csv")
SETTINGS: dict[tuple[str, ...], list[object]] = {
    ("training", "learning_rate"): [0.001, 0.002, 0.003],
    ("models", "unet", "training", "batch_size"): [2, 4],
    ("draws",): [16, 32],
    ("statistics", "confidence"): [0.95, 0.9],
    ("active", "add"): [2, 3],
    ("datasets", "phantom_lung", "split", "folds"): [5, 3],
}
EDITED = ("train", "sample", "evaluate", "prepare", "tabulate", "active_acquire_with_model", "active_train")


class History:
    """A study with toy stages in `folder`, and a random history of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.checkout, self.run_folder, self.home = folder / "checkout", folder / "run", folder
        self.raw_folder = folder / "raw"
        self.settings: dict[tuple[str, ...], object] = {key: values[0] for key, values in SETTINGS.items()}
        self.edits: dict[str, int] = {}
        self.settings_before, self.edits_before = dict(self.settings), dict(self.edits)
        self.fresh: dict[str, dict[str, bytes]] = {}
        """Tables of runs in empty folders by settings and edits, on which alone they depend; copies share them."""
        self.trainings = folder / "trainings.log"
        self.keep: str | None = None
        self.keep_gb = 20.0
        self.lost = 0
        """Finished trainings that may have been lost for a reason: kills, damage."""
        self.log: list[str] = []
        self._create()

    def _create(self) -> None:
        self.checkout.mkdir(parents=True)
        self.trainings.touch()
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, self.checkout)
        for name in ("src", "workflow", "profiles", "envs"):
            built = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, self.checkout / name, ignore=built)
        sources = self.checkout / "src/segunc"
        for path in (sources / "stages").glob("[a-z]*.py"):
            path.write_text(_toy(path))
        for family in ("models", "strategies", "data/formats"):
            for path in (sources / family).glob("[a-z]*.py"):
                path.write_text(_entry(path))
        slices = self.raw_folder / "LIDC-IDRI-slices"
        write_lidc_slices(slices)
        zipped(slices)
        shutil.rmtree(slices)

    def copy_to(self, home: Path) -> "History":
        """A copy of everything, hard links of kept results included, with the same past."""
        subprocess.run(["cp", "-a", str(self.home), str(home)], check=True)
        twin = copy.copy(self)
        twin.home, twin.settings, twin.edits, twin.log = home, dict(self.settings), dict(self.edits), []
        twin.checkout, twin.run_folder = home / self.checkout.name, home / self.run_folder.name
        twin.raw_folder, twin.trainings = home / self.raw_folder.name, home / self.trainings.name
        return twin

    @property
    def overlay(self) -> dict:
        """The current settings as an overlay of the config."""
        ours = {"raw_folders": [str(self.raw_folder)], "keep": self.keep, "keep_gb": self.keep_gb}
        overlay = json.loads(json.dumps({**GRID, **ours}))
        for keys, value in self.settings.items():
            group = overlay
            for key in keys[:-1]:
                group = group.setdefault(key, {})
            group[keys[-1]] = value
        return overlay

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the workflow to the end."""
        return snakemake(self.run_folder, *TARGETS, *arguments, overlay=self.overlay, checkout=self.checkout)

    def tables(self) -> dict[str, bytes]:
        """The bytes of all tables."""
        return {path.name: path.read_bytes() for path in sorted((self.run_folder / "results/tables").iterdir())}

    # What may happen.

    def edit_setting(self) -> None:
        self.settings_before = dict(self.settings)
        key = self.random.choice(list(SETTINGS))
        self.settings[key] = self.random.choice(SETTINGS[key])

    def edit_code(self) -> None:
        self.edits_before = dict(self.edits)
        self._set_edit(self.random.choice(EDITED), self.random.choice([0, 1, 2]))

    def edit_comment(self) -> None:
        path = self.checkout / f"src/segunc/stages/{self.random.choice(EDITED)}.py"
        path.write_text(path.read_text() + "# a comment\n")

    def undo(self) -> None:
        self.settings, self.settings_before = dict(self.settings_before), dict(self.settings)
        for name in EDITED:
            self._set_edit(name, self.edits_before.get(name, 0))

    def _set_edit(self, name: str, value: int) -> None:
        path = self.checkout / f"src/segunc/stages/{name}.py"
        before = self.edits.get(name, 0)
        path.write_text(path.read_text().replace(f"EDIT = {before}\n", f"EDIT = {value}\n"))
        self.edits[name] = value

    def accept_what_changes_nothing(self) -> None:
        """An edit of code that nobody runs, accepted, and perhaps undone. First a run, so that no other is accepted."""
        self.finish()
        path = self.checkout / "src/segunc/stages/sample.py"
        path.write_text(path.read_text() + "\nUNUSED = 1\n")
        self.segunc("accept")
        if self.random.random() < 0.5:
            path.write_text(path.read_text().replace("\nUNUSED = 1\n", ""))

    def finish(self) -> None:
        done = self.run(*self._profile())
        assert done.returncode == 0, done.stdout + done.stderr

    def _profile(self) -> list[str]:
        return self.random.choice([[], [], ["--rerun-triggers", "mtime"], ["--keep-going"]])

    def diverge_with_keep_going(self) -> None:
        """One model fails; tables list what is missing, and hold none of its scores."""
        key = ("models", "mc_dropout", "training", "learning_rate")
        self.settings[key] = 0.5
        for _ in range(self.random.choice([1, 2])):
            done = self.run("--keep-going")
            assert done.returncode != 0
            if self.random.random() < 0.3:
                self.remove_metadata()
        del self.settings[key]

    def kill(self) -> None:
        """Starts a run and kills it, or one of its jobs, somewhere."""
        words = command(self.run_folder, *TARGETS, *self._profile(), overlay=self.overlay, checkout=self.checkout)
        number = self.random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
        whom = self.random.choice(["group", "main", "job"])
        process = subprocess.Popen(
            words, cwd=self.checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(1 + self.random.random() * 4)
        self.log.append(f"  {number.name} to {whom}")
        jobs = jobs_below(process.pid)
        if process.poll() is None:
            if whom == "group":
                os.killpg(process.pid, number)
            elif whom == "main":
                process.send_signal(number)
            else:
                for job in jobs:
                    with suppress(psutil.Error):
                        job.send_signal(number)
        process.wait(120)
        for job in jobs:  # Orphans of a killed Snakemake.
            with suppress(psutil.Error):
                job.wait(60)
        self.lost += 2
        if (self.run_folder / ".snakemake/locks").exists() and any((self.run_folder / ".snakemake/locks").iterdir()):
            assert number == signal.SIGKILL, f"{number.name} left a lock"
            snakemake(self.run_folder, "--unlock", overlay=self.overlay, checkout=self.checkout)

    def remove_metadata(self) -> None:
        shutil.rmtree(self.run_folder / ".snakemake", ignore_errors=True)

    def copy(self) -> None:
        """The folder is copied, with new time stamps or with hard links, and the copy replaces it."""
        twin = self.home / "twin"
        options = self.random.choice([["-r"], ["-a"]])
        subprocess.run(["cp", *options, str(self.run_folder), str(twin)], check=True)
        shutil.rmtree(self.run_folder)
        twin.rename(self.run_folder)

    def move_checkout(self) -> None:
        other = self.checkout.with_name("checkout2" if self.checkout.name == "checkout" else "checkout")
        self.checkout.rename(other)
        self.checkout = other

    def move_raw(self) -> None:
        other = self.raw_folder.with_name("raw2" if self.raw_folder.name == "raw" else "raw")
        self.raw_folder.rename(other)
        self.raw_folder = other

    def touch(self) -> None:
        for path in self._files():
            if self.random.random() < 0.5:
                when = time.time() + self.random.uniform(-1e6, 1e6)
                os.utime(path, (when, when))

    def damage(self) -> None:
        """A byte flipped in place, a file cut, emptied or removed; or a record."""
        files = self._files()
        if not files:
            return
        path = self.random.choice(files)
        kind = self.random.choice(["flip", "cut", "empty", "remove"])
        self.log.append(f"  {kind} {path.relative_to(self.run_folder)}")
        self.lost += 2
        if kind == "remove":
            path.unlink()
        else:
            self.damage_file(path, kind, keep_time=self.random.random() < 0.5)

    def damage_file(self, path: Path, kind: str, keep_time: bool) -> None:
        """Flips a byte of a file, cuts or empties it; `keep_time`: with the time stamps that it had."""
        status = path.stat()
        data = bytearray(path.read_bytes())
        if kind == "flip" and data:
            data[self.random.randrange(len(data))] ^= 0x55
        with path.open("r+b") as file:  # In place, so that a hard link is damaged too.
            file.truncate(0)
            file.write({"flip": data, "cut": data[: len(data) // 2], "empty": b""}[kind])
        if keep_time:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _files(self) -> list[Path]:
        results = self.run_folder / "results"
        kept = results / ".kept"
        return [path for path in sorted(results.rglob("*")) if path.is_file() and kept not in path.parents]

    def segunc(self, name: str) -> str:
        done = segunc(self.run_folder, name, *TARGETS, overlay=self.overlay, checkout=self.checkout)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def live(self, steps: int) -> None:
        """A run, and so many random steps."""
        self.finish()
        happenings: dict[Callable[[], None], int] = {
            self.edit_setting: 5,
            self.edit_code: 4,
            self.undo: 4,
            self.edit_comment: 1,
            self.finish: 5,
            self.kill: 5,
            self.diverge_with_keep_going: 1,
            self.remove_metadata: 2,
            self.copy: 1,
            self.move_checkout: 1,
            self.move_raw: 1,
            self.touch: 2,
            self.damage: 3,
            self.accept_what_changes_nothing: 1,
        }
        for step in self.random.choices(list(happenings), list(happenings.values()), k=steps):
            self.log.append(step.__name__)
            step()

    def conclude(self) -> None:
        """The last runs, after which everything must be as in a fresh folder, and nothing be left to do."""
        done = self.run()
        if done.returncode:  # A damaged file that only its reader noticed is made again by the same command.
            self.log.append("  again")
            done = self.run()
        assert done.returncode == 0, self.story + done.stdout + done.stderr
        said = self.segunc("why")
        assert said.startswith("Nothing would run"), self.story + said
        expected, found = self.fresh_tables(), self.tables()
        wrong = [name for name in expected if found.get(name) != expected[name]]
        assert not wrong, f"{self.story}other tables than a fresh run: {wrong}"

    def fresh_tables(self) -> dict[str, bytes]:
        """The tables of a run in an empty folder; one run for all copies that end with these settings and edits."""
        edits = {name: number for name, number in self.edits.items() if number}
        end = str((sorted(self.settings.items()), sorted(edits.items())))
        if end not in self.fresh:
            ours, self.run_folder = self.run_folder, self.home / "fresh"
            counted = self.trainings.read_text()
            done = self.run()
            assert done.returncode == 0, done.stdout + done.stderr
            self.fresh[end] = self.tables()
            self.trainings.write_text(counted)
            self.run_folder = ours
        return self.fresh[end]

    def repeated_trainings(self) -> int:
        """How many trainings were computed more than once."""
        counts = Counter(self.trainings.read_text().split())
        return sum(counts.values()) - len(counts)

    @property
    def story(self) -> str:
        """What happened, one line per step."""
        return "\n".join(self.log) + "\n"


def _toy(path: Path) -> str:
    tree = ast.parse(path.read_text())
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    main.body = [ast.Pass()]
    signature = ast.unparse(main).removesuffix("\n    pass")
    return TOY.format(imports=IMPORTS, signature=signature)


def _entry(path: Path) -> str:
    """A model, strategy or format that does nothing: jobs import it, and torch would take longer than all they do."""
    kept: list[ast.stmt] = []
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name="build" | "wrap" | "pick" | "read", args=arguments):
                node.body, node.returns = [ast.Pass()], None
                for argument in arguments.args:
                    argument.annotation = None
                kept.append(node)
            case ast.Assign(targets=[ast.Name(id="NEEDS" | "WORK")]):
                kept.append(node)
    annotations = [node.annotation for node in ast.walk(ast.Module(kept, [])) if isinstance(node, ast.arg)]
    types = {node.id for one in annotations if one for node in ast.walk(one) if isinstance(node, ast.Name)}
    lines = [
        "from __future__ import annotations",
        *(f"{name} = None" for name in sorted(types)),
        *map(ast.unparse, kept),
    ]
    return "\n".join(lines) + "\n"


def jobs_below(pid: int, words: str = "") -> list[psutil.Process]:
    """The Python programs that a process started, with these words on their command lines."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if "python" in process.name() and words in " ".join(process.cmdline()):
                    found.append(process)
    return found


def main() -> None:
    """`python -m helpers.histories FIRST COUNT STEPS FOLDER`: many histories, one line each."""
    first, count, steps, folder = (*map(int, sys.argv[1:4]), Path(sys.argv[4]))
    for seed in range(first, first + count):
        history = History(folder / str(seed), seed)
        history.live(steps)
        history.conclude()
        trained, again = len(history.trainings.read_text().split()), history.repeated_trainings()
        print(f"{seed}: {trained} trainings, {again} repeated, {history.lost} may be lost", flush=True)
        shutil.rmtree(folder / str(seed))


if __name__ == "__main__":
    main()
