"""Which GPU a job claims if there are several, and in which numbers networks multiply."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from segunc.learning import device
from segunc.learning.device import claim_gpu, log_precision, mixed_precision, multiplies_in

HOLD = "import sys, pathlib; from segunc.learning.device import claim_gpu; "
HOLD += "print(claim_gpu(sys.argv[2:], pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"


def holder(folder: Path, *ids: str) -> tuple[subprocess.Popen[str], int]:
    """Another program, which holds the GPU that it claimed until it is killed."""
    words = [sys.executable, "-c", HOLD, str(folder), *ids]
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    return program, int(program.stdout.readline())


def test_each_job_claims_its_own_gpu_until_it_ends(tmp_path: Path) -> None:
    first, index = holder(tmp_path, "a", "b")
    assert index == 0
    second, index = holder(tmp_path, "a", "b")
    assert index == 1
    first.kill()
    first.wait()
    assert claim_gpu(["a", "b"], tmp_path) == 0
    # By name, not by index: a job that sees only one of them sees it as its first.
    assert claim_gpu(["c", "b"], tmp_path) == 0
    second.kill()
    second.wait()
    assert claim_gpu(["b"], tmp_path) == 0


def test_jobs_share_if_all_are_claimed(tmp_path: Path) -> None:
    program, _ = holder(tmp_path, "a")
    assert claim_gpu(["a"], tmp_path) == 0
    program.kill()
    program.wait()


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def of_another_user(path: Path) -> None:
    path.touch()
    path.chmod(0)


@pytest.mark.parametrize("put_there", [dangling, Path.mkdir, of_another_user])
def test_what_cannot_be_locked_stops_nobody(
    put_there: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if put_there is of_another_user and os.getuid() == 0:
        pytest.skip("root may open any file")
    for name in ("a", "b"):
        put_there(tmp_path / f"segunc-{os.getuid()}-gpu-{name}.lock")
    assert claim_gpu(["a", "b"], tmp_path) in (0, 1)
    said = capsys.readouterr().err
    assert said.startswith(f"no GPU can be claimed for this job alone ({tmp_path}/segunc-") and said.count("\n") == 1
    assert said.endswith("); it may share one\n")
    assert not (tmp_path / "nowhere").exists()
    # Another GPU may still be claimed.
    assert claim_gpu(["a", "c"], tmp_path) == 1
    assert capsys.readouterr().err == ""


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"segunc-{os.getuid()}-gpu-a.lock")
    signal.alarm(10)
    assert claim_gpu(["a"], tmp_path) == 0
    signal.alarm(0)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(device.fcntl, "flock", flock)
    assert claim_gpu(["a", "b"], tmp_path) == os.getpid() % 2
    assert os.strerror(number) in capsys.readouterr().err


@pytest.mark.parametrize(("major", "numbers"), [(7, torch.float32), (8, torch.bfloat16), (9, torch.bfloat16)])
def test_gpus_that_emulate_bfloat16_use_float32(
    major: int, numbers: torch.dtype, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """V100 and T4 are of major version 7; torch says of them, too, that they support bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(major=major))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda index: True)
    assert torch.cuda.is_bf16_supported()
    cuda = torch.device("cuda")
    assert multiplies_in(cuda, "auto") == numbers
    assert multiplies_in(cuda, "bfloat16") == torch.bfloat16
    assert multiplies_in(cuda, "float32") == torch.float32
    log_precision("train lidc unet seed 0", cuda, "auto")
    assert capsys.readouterr().err == f"train lidc unet seed 0: on cuda in {str(numbers).removeprefix('torch.')}\n"


@pytest.mark.parametrize("native", [True, False])
def test_processors_without_bfloat16_use_float32(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    cpu = torch.device("cpu")
    with mixed_precision(cpu, "auto"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == multiplies_in(cpu, "auto") == (torch.bfloat16 if native else torch.float32)
