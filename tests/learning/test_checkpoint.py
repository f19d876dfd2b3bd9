"""A training run that is stopped or killed resumes, and yields the weights and history of an uninterrupted one."""

import copy
import itertools
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import study
from helpers.training import CPU, images, spec

from segunc.active import labelled_set
from segunc.data.store import Images, read_split
from segunc.learning import checkpoint, contract, training
from segunc.networks import winograd
from segunc.runtime.stage import Job
from segunc.stages import active_train, train

MODELS = ["unet", "ensemble", "mc_dropout", "prob_unet"]
STEPS = 10


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def settings_of(method: str, **changes: Any) -> dict[str, Any]:
    options = {"ensemble": {"members": 4}, "ssn": {"warmup": 4}}.get(method, {})
    return {**spec(**{"steps": STEPS, "validate_every": 3} | changes), "method": method, "options": options}


def run(settings, folder=None, code="", validation=True, training_images=None) -> tuple[dict[str, Any], list[Any]]:
    torch.set_num_threads(1)
    splits = training_images or images(), images(4, seed=1) if validation else None
    return training.train(settings, *splits, CPU, "train test", folder, code)


@pytest.fixture
def in_step(monkeypatch):
    """`in_step(action)` has `action(step)` called in the middle of each step, which counts from 0."""
    original = training.learning_rate

    def install(action):
        def hook(step, steps, settings):
            action(step)
            return original(step, steps, settings)

        monkeypatch.setattr(training, "learning_rate", hook)

    return install


def stop_in_every_step(in_step, every=1):
    """Each process does one step and is then told to stop; or `every` steps, but for the first process."""
    in_step(lambda step: os.kill(os.getpid(), signal.SIGTERM) if step % every == 0 else None)


def until_done(settings, folder, **options):
    """Starts again and again; returns the result, and in which number of processes."""
    for processes in range(1, 1000):
        try:
            return run(settings, folder, **options), processes
        except (SystemExit, Killed):
            pass
    raise AssertionError("it never ends")


def without_seconds(history) -> str:
    """NaN equals NaN as text."""
    return str([{name: value for name, value in row.items() if name != "seconds"} for row in history])


def assert_same(one, other) -> None:
    """Weights bit by bit, and the history but for the seconds."""
    (weights, history), (others, another) = one, other
    assert list(weights["state"]) == list(others["state"])
    for name, value in weights["state"].items():
        assert value.dtype == others["state"][name].dtype
        assert value.stride() == others["state"][name].stride()
        assert value.numpy().tobytes() == others["state"][name].numpy().tobytes(), name
    assert {**weights, "state": None} == {**others, "state": None}
    assert without_seconds(history) == without_seconds(another)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", [*MODELS, "ssn"])
def test_stopped_after_every_step(method, precision, tmp_path, in_step) -> None:
    settings = settings_of(method, precision=precision)
    undisturbed = run(settings)
    stop_in_every_step(in_step)
    result, processes = until_done(settings, tmp_path)
    # No step is done twice, and a training that was told to stop in its last step stops there.
    assert processes == STEPS + 1
    assert_same(result, undisturbed)


@pytest.mark.parametrize("method", MODELS)
def test_stopped_without_validation(method, tmp_path, in_step) -> None:
    """As in active learning: the last weights."""
    settings = settings_of(method, validate_every=None, schedule="constant", warmup_steps=0)
    undisturbed = run(settings, validation=False)
    stop_in_every_step(in_step)
    assert_same(until_done(settings, tmp_path, validation=False)[0], undisturbed)


@pytest.mark.parametrize("method", MODELS)
def test_killed_between_checkpoints(method, tmp_path, in_step, monkeypatch) -> None:
    """The steps since the last checkpoint are done again."""
    settings = settings_of(method)
    undisturbed = run(settings)
    done = []

    def kill(step):
        done.append(step)
        # A checkpoint every third step, a kill in every eighth: none in the same step each time.
        monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0 if step % 3 == 1 else 1e9)
        if len(done) % 8 == 0:
            raise Killed

    in_step(kill)
    result, processes = until_done(settings, tmp_path)
    assert processes > 1
    assert len(done) > STEPS
    assert_same(result, undisturbed)


@pytest.mark.parametrize("method", MODELS)
def test_early_stopping(method, tmp_path, in_step) -> None:
    """The best weights, and since when they are the best, are not forgotten: neither at validations nor between."""
    unstable = {"learning_rate": 3.0, "gradient_clip": None, "schedule": "constant", "warmup_steps": 0}
    settings = settings_of(method, **unstable, steps=60, validate_every=2, patience=3, augmentation=None)
    undisturbed = run(settings)
    last = undisturbed[1][-1]["step"]
    assert last < 60
    stop_in_every_step(in_step, every=3)
    result, processes = until_done(settings, tmp_path)
    assert processes == len(range(0, last, 3)) + 1
    assert_same(result, undisturbed)


def test_wide_layers(tmp_path, in_step, monkeypatch) -> None:
    """They have an algorithm of their own."""
    monkeypatch.setattr(winograd, "LARGE", 0)
    settings = settings_of("unet") | {"backbone": {"filters": [32, 64], "convolutions": 2, "normalisation": "batch"}}
    undisturbed = run(settings)
    assert_same(run(settings), undisturbed)
    stop_in_every_step(in_step)
    assert_same(until_done(settings, tmp_path)[0], undisturbed)


def test_passes_of_an_uneven_number_of_images(tmp_path, in_step) -> None:
    """Batches that span two passes, an epoch at a time, and no clipping."""
    settings = settings_of("unet", steps=None, epochs=3, validate_every=None, gradient_clip=None, batch_size=4)
    uneven = images(9)
    undisturbed = run(settings, training_images=uneven)
    stop_in_every_step(in_step)
    assert_same(until_done(settings, tmp_path, training_images=uneven)[0], undisturbed)


def test_a_model_that_draws_from_the_global_generator(tmp_path, in_step, monkeypatch) -> None:
    """The check at the door refuses it, as far as two calls show it."""
    from segunc.models.unet import SoftmaxUNet

    monkeypatch.setattr(contract, "check", lambda *_: None)
    original = SoftmaxUNet.loss
    monkeypatch.setattr(SoftmaxUNet, "loss", lambda self, x, *rest: original(self, x + torch.rand_like(x), *rest))
    undisturbed = run(settings_of("unet"))
    stop_in_every_step(in_step)
    assert_same(until_done(settings_of("unet"), tmp_path)[0], undisturbed)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_after_its_step(sent, tmp_path, in_step, capsys) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    in_step(lambda step: os.kill(os.getpid(), sent) if step == 3 else None)
    with pytest.raises(SystemExit) as exit_:
        run(settings_of("unet"), tmp_path)
    assert exit_.value.code == 128 + sent
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert capsys.readouterr().err.endswith(f"\ntrain test: stopped after step 4 of {STEPS}\n")
    assert len(files(tmp_path)) == 1

    in_step(lambda step: None)
    run(settings_of("unet"), tmp_path)
    assert capsys.readouterr().err.endswith(f"\ntrain test: resuming at step 4/{STEPS}\n")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_without_a_folder_signals_act_at_once(in_step) -> None:
    reached = []

    def interrupt(step):
        reached.append(step)
        signal.raise_signal(signal.SIGINT)

    in_step(interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(settings_of("unet"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert reached == [0]


def test_at_most_one_checkpoint_in_so_many_seconds(tmp_path, in_step, monkeypatch) -> None:
    """A step takes 25 s here, so that 60 s are over after every third."""
    clock, written = SimpleNamespace(now=1000.0), []

    def tick(step):
        clock.now += 25

    in_step(tick)
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(checkpoint, "save", lambda path, run: written.append((run.state.step, run.state.seconds)))
    run(settings_of("unet"), tmp_path)
    assert written == [(3, 75), (6, 150), (9, 225)]


def test_seconds_accumulate(tmp_path, in_step, monkeypatch) -> None:
    """Each step takes 25 s, and every process has a clock of its own."""

    def tick_and_stop(step):
        clock.now += 25
        os.kill(os.getpid(), signal.SIGTERM)

    in_step(tick_and_stop)
    for process in range(STEPS + 1):
        clock = SimpleNamespace(now=1e5 / (process + 1))
        monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda clock=clock: clock.now))
        try:
            _, history = run(settings_of("unet"), tmp_path)
        except SystemExit:
            continue
    assert [row["seconds"] for row in history] == [75, 150, 225, 250]


def changed(split: Images, name: str) -> Images:
    array = getattr(split, name).copy()
    array.flat[0] = "another" if name == "image_id" else array.flat[0] ^ 1
    return split._replace(**{name: array})


def test_name_is_of_all_that_the_weights_depend_on(monkeypatch) -> None:
    torch.set_num_threads(1)
    splits = [images(), images(4, seed=1)]
    names = [
        checkpoint.name(spec(), "code", splits, CPU),
        checkpoint.name(spec(steps=21), "code", splits, CPU),
        checkpoint.name({**spec(), "seed": 1}, "code", splits, CPU),
        checkpoint.name(spec(), "other code", splits, CPU),
        checkpoint.name(spec(), "code", splits[:1], CPU),
        checkpoint.name(spec(), "code", splits[::-1], CPU),
        checkpoint.name(spec(), "code", splits, torch.device("cuda")),
    ]
    for field in ("images", "masks", "annotated", "image_id"):
        names.append(checkpoint.name(spec(), "code", [changed(splits[0], field), splits[1]], CPU))
        names.append(checkpoint.name(spec(), "code", [splits[0], changed(splits[1], field)], CPU))
    torch.set_num_threads(2)
    names.append(checkpoint.name(spec(), "code", splits, CPU))
    torch.set_num_threads(1)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0")
        names.append(checkpoint.name(spec(), "code", splits, CPU))
    assert len(set(names)) == len(names)
    assert all(checkpoint.OWN_FILES.fullmatch(name) for name in names)

    backwards = dict(reversed(spec().items()))
    assert checkpoint.name(backwards, "code", copy.deepcopy(splits), torch.device("cpu:0")) == names[0]


@pytest.mark.parametrize("change", ["spec", "data", "code"])
def test_what_is_changed_starts_over_and_what_is_changed_back_resumes(change, tmp_path, in_step, capsys) -> None:
    settings, other = settings_of("unet"), {}
    stop_in = SimpleNamespace(step=5)
    in_step(lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == stop_in.step else None)
    with pytest.raises(SystemExit):
        run(settings, tmp_path)
    (mine,) = files(tmp_path)
    content = mine.read_bytes()

    if change == "data":
        other["training_images"] = changed(images(), "masks")
    if change == "code":
        other["code"] = "segunc.stages.train 0123"
    changed_settings = settings_of("unet", learning_rate=0.02) if change == "spec" else settings
    stop_in.step = 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run(changed_settings, tmp_path, **other)
    assert "resuming" not in capsys.readouterr().err
    assert len(files(tmp_path)) == 2
    assert mine.read_bytes() == content

    stop_in.step = None
    result = run(settings, tmp_path)
    assert f"resuming at step 6/{STEPS}" in capsys.readouterr().err
    assert_same(result, run(settings))
    assert_same(run(changed_settings, tmp_path, **other), run(changed_settings, **other))


class Bomb:
    """A pickle that makes a folder when it is loaded without restriction."""

    def __reduce__(self):
        return Path.mkdir, (Path("exploded"),)


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _empty(path):
    path.write_bytes(b"")


def _one_bit_of_a_weight(path):
    content = bytearray(path.read_bytes())
    weight = torch.load(path, weights_only=True)["model"]["net.head.weight"].numpy().tobytes()
    content[content.index(weight)] ^= 1
    path.write_bytes(content)


def _noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def _without_a_field(path):
    content = torch.load(path, weights_only=True)
    del content["rng"]
    torch.save(content, path)


def _code(path):
    content = torch.load(path, weights_only=True)
    torch.save({**content, "rest": Bomb()}, path)


def _plain_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def _folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [_truncated, _empty, _one_bit_of_a_weight, _noise, _without_a_field, _code, _plain_pickle, _folder]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_left_out(damage, tmp_path, in_step, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints"
    in_step(lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 5 else None)
    with pytest.raises(SystemExit):
        run(settings_of("unet"), folder)
    (path,) = files(folder)
    damage(path)
    in_step(lambda step: None)
    capsys.readouterr()
    result = run(settings_of("unet"), folder)
    _, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path} cannot be read (")
    assert line.endswith("); training starts over")
    assert_same(result, run(settings_of("unet")))
    assert not Path("exploded").exists()


def test_a_checkpoint_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    folder = tmp_path / "checkpoints"
    folder.write_text("a file where the folder should be")
    result = run(settings_of("unet"), folder)
    assert "cannot be written (File exists); training continues" in capsys.readouterr().err
    assert_same(result, run(settings_of("unet")))


def test_remove_takes_checkpoints_and_nothing_else(tmp_path) -> None:
    folder = tmp_path / "checkpoints"
    checkpoint.remove(folder)
    folder.mkdir()
    own = ["0123456789abcdef.pt", ".0123456789abcdef.123.partial.pt"]
    others = ["weights.pt", "0123456789abcdef.txt", "0123456789ABCDEF.pt", ".weights.123.partial.pt"]
    for name in own:
        (folder / name).touch()
    checkpoint.remove(folder)
    assert not folder.exists()

    folder.mkdir()
    for name in [*own, *others]:
        (folder / name).touch()
    checkpoint.remove(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)


def test_two_processes_remove_at_the_same_time(tmp_path, monkeypatch) -> None:
    """What the other one was faster with is no reason to leave the rest."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    paths = [folder / f"{k:016x}.pt" for k in range(3)]
    paths[2].touch()
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(paths))
    checkpoint.remove(folder)
    assert not folder.exists()


def test_the_other_process_ends_first(tmp_path, in_step, monkeypatch, capsys) -> None:
    """An orphan continues while its successor clears the folder: before, after and in the middle of its checkpoints."""
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0)
    in_step(lambda step: checkpoint.remove(folder) if step % 2 else None)
    replace, renames = Path.replace, itertools.count()

    def cleared_before_some_renames(path, target):
        if next(renames) % 3 == 0:
            checkpoint.remove(folder)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cleared_before_some_renames)
    result = run(settings_of("unet"), folder)
    assert capsys.readouterr().err.count("(No such file or directory); training continues") == 4
    assert_same(result, run(settings_of("unet")))


class Stage:
    """`python -m segunc.stages.train` and its files.

    Its name is long, so that the pipe of its lines is soon full, and it cannot run ahead of a test that reads slowly.
    """

    name = "a long name " * 80

    def __init__(self, folder: Path, steps: int) -> None:
        study.write_dataset(folder / "data.h5", annotators=2)
        self.folder, self.checkpoints = folder, folder / "checkpoints/seed0"
        self.settings = settings_of("unet", steps=steps, validate_every=20)
        self.left: list[Path] = []
        """Checkpoints that were there until the results of the last run were recorded."""

    def arguments(self, checkpoints: bool = True) -> list[str]:
        outputs = {"weights": "weights.pt", "history": "history.csv"}
        where = {name: self.folder / file for name, file in outputs.items()}
        if checkpoints:
            where["checkpoints"] = self.checkpoints
        words = ["--data", str(self.folder / "data.h5"), "--spec", json.dumps(self.settings), "--name", self.name]
        words += ["--device", "cpu", "--threads", "1"]
        return [*words, *(word for name, path in where.items() for word in (f"--{name}", str(path)))]

    def start(self, checkpoint_seconds: float) -> subprocess.Popen:
        """Starts the program, which prints a line after every step."""
        driver = (
            "import runpy\n"
            "from segunc.learning import checkpoint\n"
            "from segunc.runtime import progress\n"
            f"checkpoint.CHECKPOINT_SECONDS, progress.FIRST = {checkpoint_seconds}, 0\n"
            "runpy.run_module('segunc.stages.train', run_name='__main__', alter_sys=True)\n"
        )
        source = Path(training.__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-c", driver, *self.arguments()],
            env={**os.environ, "PYTHONPATH": str(source)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: dict[str, str] | None = None, checkpoints: bool = True) -> tuple[bytes, list[str]]:
        """In this process; code: digest by module."""
        job = Job(self.settings, code or {})
        train.main(self.arguments(checkpoints), job)
        self.left = files(self.checkpoints)
        job.run_afterwards()
        return self.result()

    def result(self) -> tuple[bytes, list[str]]:
        """The files, but for the seconds of the history; removes them."""
        paths = [self.folder / name for name in ("weights.pt", "history.csv")]
        weights, history = (path.read_bytes() for path in paths)
        for path in paths:
            path.unlink()
        assert history.startswith(b"step,epoch,train_loss,val_cross_entropy,val_ged,learning_rate,seconds\n")
        return weights, [row.rpartition(",")[0] for row in history.decode().splitlines()]


def lines_until(process: subprocess.Popen, text: str) -> list[str]:
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def test_stopped_by_sigterm_as_a_program(tmp_path, capsys) -> None:
    stage = Stage(tmp_path, steps=150)
    undisturbed = stage.run(checkpoints=False)

    process = stage.start(checkpoint_seconds=60)
    lines_until(process, ": 7/150")
    process.terminate()
    (stopped,) = re.findall(r": stopped after step (\d+) of 150\n", process.communicate()[1])
    assert process.returncode == 143
    step = int(stopped)
    assert 7 <= step < 150
    (path,) = files(stage.checkpoints)
    assert torch.load(path, weights_only=True)["step"] == step
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoints", "data.h5"]

    capsys.readouterr()
    assert stage.run() == undisturbed
    assert f": resuming at step {step}/150\n" in capsys.readouterr().err
    assert stage.left == [path] and not stage.checkpoints.exists()

    # What is deleted afterwards is trained from the start.
    assert stage.run() == undisturbed
    assert "resuming" not in capsys.readouterr().err


def test_killed_at_any_moment_as_a_program(tmp_path) -> None:
    """With a checkpoint after each step most kills hit the writing of one."""
    stage = Stage(tmp_path, steps=300)
    undisturbed = stage.run(checkpoints=False)

    begun = 0
    for _ in range(3):
        process = stage.start(checkpoint_seconds=0)
        if begun:
            lines_until(process, ": resuming at step")
        lines_until(process, "/300")
        time.sleep(random.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "weights.pt").exists()
        step = torch.load(next(stage.checkpoints.glob("[!.]*")), weights_only=True)["step"]
        assert begun < step < 300
        begun = step
    process = stage.start(checkpoint_seconds=60)
    process.communicate()
    assert process.returncode == 0
    assert stage.result() == undisturbed
    assert not stage.checkpoints.exists()


def test_a_program_of_other_code_starts_over(tmp_path, in_step) -> None:
    stage = Stage(tmp_path, steps=10)
    stop_in_every_step(in_step)
    for code in ({"segunc.stages.train": "0"}, {"segunc.stages.train": "1"}, {"segunc.stages.train": "0"}):
        with pytest.raises(SystemExit):
            stage.run(code)
    steps = [torch.load(path, weights_only=True)["step"] for path in files(stage.checkpoints)]
    assert sorted(steps) == [1, 2]


def test_active_train_resumes_and_removes_its_checkpoints(tmp_path, monkeypatch, in_step, capsys) -> None:
    data, chosen, others = tmp_path / "data.h5", tmp_path / "labelled.csv", tmp_path / "others.csv"
    folder, settings = tmp_path / "checkpoints", settings_of("prob_unet", validate_every=None)
    study.write_dataset(data, images=8)
    ids = read_split(data, "train", 0).image_id
    labelled_set.write(chosen, ids[2:], np.zeros(6, int))
    labelled_set.write(others, ids[1:7], np.zeros(6, int))

    def main(weights, labelled=chosen, code="", **options):
        where = {"data": data, "labelled": labelled, "weights": tmp_path / weights, "device": "cpu", "threads": 1}
        job = Job(settings, {"segunc.stages.active_train": code})
        study.run(active_train, monkeypatch, job, name="test", **where, **options)
        left = files(folder)
        job.run_afterwards()
        return (tmp_path / weights).read_bytes(), len(left)

    undisturbed, _ = main("undisturbed.pt")
    stop_in_every_step(in_step)
    for _ in range(STEPS):
        with pytest.raises(SystemExit) as exit_:
            main("weights.pt", checkpoints=folder, code="0")
        assert exit_.value.code == 143
        assert not (tmp_path / "weights.pt").exists()
    assert len(files(folder)) == 1
    for change in ({"code": "1"}, {"code": "0", "labelled": others}):
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main("weights.pt", checkpoints=folder, **change)
        assert capsys.readouterr().err.endswith(f"\ntrain test: stopped after step 1 of {STEPS}\n")
    assert len(files(folder)) == 3

    capsys.readouterr()
    assert main("weights.pt", checkpoints=folder, code="0") == (undisturbed, 3)
    assert capsys.readouterr().err.endswith(f"\ntrain test: resuming at step {STEPS}/{STEPS}\n")
    assert not folder.exists()
