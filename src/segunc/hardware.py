"""Where networks run and how precisely: device, threads, mixed precision."""

from contextlib import AbstractContextManager

import torch

from segunc.errors import UserError


def use(device: str, threads: int) -> torch.device:
    """Sets the CPU threads and returns the device for `auto`, `cpu` or `cuda`; UserError if there is no GPU to use."""
    torch.set_num_threads(threads)
    # Some backward passes on GPUs have no deterministic form; they warn instead of failing.
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("config key device is 'cuda', but torch finds no GPU here; use 'auto' or 'cpu'.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16 for `bfloat16`, or for `auto` where the hardware multiplies in it; else nothing."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    enabled = precision == "bfloat16" or (precision == "auto" and native)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
