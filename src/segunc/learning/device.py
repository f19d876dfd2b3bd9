"""Device, threads and numerical precision of networks."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from segunc.runtime.errors import UserError


def select_device(device: str, threads: int) -> torch.device:
    """Sets the number of CPU threads and returns the device for `auto`, `cpu` or `cuda`.

    Raises UserError for `cuda` if torch finds no GPU. With several GPUs, the process claims one of them.
    """
    torch.set_num_threads(threads)
    # Some backward passes have no deterministic form on GPUs; those warn instead of failing. This is
    # torch.use_deterministic_algorithms(True, warn_only=True), which imports torch's compiler: 1.2 s.
    torch.set_deterministic_debug_mode("warn")
    # Filling new tensors with NaN would be a tenth of a training step. It makes reads of memory that nobody wrote
    # repeatable; nothing here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("config key device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and (count := torch.cuda.device_count()) > 1:
        ids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(count)]
        torch.cuda.set_device(claim_gpu(ids, Path(tempfile.gettempdir())))
    return torch.device(device)


def claim_gpu(ids: Sequence[str], folder: Path) -> int:
    """Index of a GPU that no other job of this user on this machine has claimed; it is claimed until this process ends.

    Snakemake limits how many jobs use a GPU (`--resources gpu=2`), but does not assign one to each. So each job locks a
    file in `folder`, named after the GPU's id; the lock is released when the process exits, in whatever way. If all are
    claimed, or the files cannot be locked, jobs share GPUs, assigned by process id.
    """
    refused = None
    for index, name in enumerate(ids):
        path = folder / f"segunc-{os.getuid()}-gpu-{name}.lock"
        try:
            # Not through a link, which anybody may have put there.
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError as error:
            refused = f"{path}: {error.strerror}"
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            if not isinstance(error, BlockingIOError):
                refused = f"{path}: {error.strerror}"
        else:
            return index  # The file stays open, since closing it would release the lock.
    if refused:
        print(f"no GPU can be claimed for this job alone ({refused}); it may share one", file=sys.stderr, flush=True)
    return os.getpid() % len(ids)


def multiplies_in(device: torch.device, precision: str) -> torch.dtype:
    """bfloat16 for `bfloat16`, and for `auto` if the hardware multiplies in it; otherwise float32.

    GPUs older than Ampere (V100, T4) emulate bfloat16, which is slower than float32.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if precision == "bfloat16" or (precision == "auto" and native) else torch.float32


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where networks multiply in it (`multiplies_in`)."""
    enabled = multiplies_in(device, precision) == torch.bfloat16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def log_precision(what: str, device: torch.device, precision: str) -> None:
    """Prints where and in which numbers the work `what` runs: `train lidc unet seed 0: on cuda in bfloat16`."""
    numbers = str(multiplies_in(device, precision)).removeprefix("torch.")
    print(f"{what}: on {device.type} in {numbers}", file=sys.stderr, flush=True)
