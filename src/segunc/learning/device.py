"""Device, threads and numerical precision of networks."""

import fcntl
import os
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
    # Some backward passes have no deterministic form on GPUs; those warn instead of failing.
    torch.use_deterministic_algorithms(True, warn_only=True)
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
    claimed, jobs share GPUs, assigned by process id.
    """
    for index, name in enumerate(ids):
        # Never closed, since that would release the lock.
        file = os.open(folder / f"segunc-{os.getuid()}-gpu-{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return index
    return os.getpid() % len(ids)


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16 for `bfloat16`, and for `auto` if the hardware multiplies in it; otherwise float32."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    enabled = precision == "bfloat16" or (precision == "auto" and native)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
