"""Checkpoints: a training that is killed goes on from its last one and ends with the weights of an undisturbed one.

A checkpoint is one file in a folder. It is named after all that the weights depend on, so no training goes on from
another's, and one whose settings are changed back finds its own again.
"""

import copy
import hashlib
import io
import json
import re
import signal
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segunc.data.store import Images
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

CHECKPOINT_SECONDS = 60.0
"""Least seconds between two checkpoints, but for the one of a training that is told to stop."""
OWN_FILES = re.compile(r"[0-9a-f]{16}\.pt|\.[0-9a-f]{16}\.\d+\.partial\.pt")
"""Checkpoints, and what a process that was killed while it wrote one leaves."""


@dataclass
class State:
    """What a training carries from step to step, besides network, optimiser and random generators."""

    step: int
    """Steps done."""
    rest: NDArray[np.int64]
    """Indices of the images that are left of the shuffled pass."""
    losses: list[Tensor]
    """Training losses since the last validation, scalars on the training's device."""
    history: list[list[float]]
    best: float
    """Lowest validation loss so far, infinite before the first."""
    best_weights: dict[str, Tensor] | None
    """The network's state at `best`."""
    since_best: int
    """Validations since then."""
    seconds: float
    """Time spent so far, in all the processes that took part."""


def name(spec: Mapping[str, Any], code: str, sides: Iterable[Images], device: torch.device) -> str:
    """File name of a training's checkpoint: a digest of all that its weights depend on.

    `code` stands for the source code, in any form; `sides` are the training and validation images as they are trained
    on. Versions and threads belong to it, since other ones round differently.
    """
    facts = [spec, code, torch.__version__, torch.get_num_threads(), device.type]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for side in sides:
        for array in (side.images, side.masks, side.annotated):
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(json.dumps(side.image_id.tolist()).encode())
    return f"{digest.hexdigest()[:16]}.pt"


def save(
    path: Path,
    state: State,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> None:
    """Writes a checkpoint. If that fails, the training is none the worse, and stderr says so in a line.

    It may be that the disk is full, or that another process has trained the same to its end and clears the folder.
    """
    content = {
        **vars(state),
        "rest": state.rest.tolist(),
        "losses": [float(loss) for loss in state.losses],
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "global_generator": torch.get_rng_state(),
        "rng": json.dumps(rng.bit_generator.state),
    }
    # Through memory, since torch hides why a file cannot be written.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        with write_atomically(path) as beside:
            beside.write_bytes(buffer.getbuffer())
    except (OSError, UserError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"{path} cannot be written ({reason}); training goes on", file=sys.stderr, flush=True)


def load(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> State | None:
    """Puts everything back to where it was, and returns the rest of the checkpoint.

    None, and nothing is touched, if there is no checkpoint, or one that cannot be read, which is said on stderr.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch does not look at the checksums.
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        content = torch.load(path, map_location="cpu", weights_only=True)
        parts = {part: content.pop(part) for part in ("model", "optimiser", "generator", "global_generator", "rng")}
        state = State(**content)
    except FileNotFoundError:
        return None
    except Exception as error:  # What damaged bytes raise is anything.
        print(f"{path} cannot be read ({type(error).__name__}); training starts anew", file=sys.stderr, flush=True)
        return None

    state.rest = np.array(state.rest, dtype=np.int64)
    state.losses = [torch.tensor(loss, device=generator.device) for loss in state.losses]
    if state.best_weights is not None:
        # Through the network, which puts them on its device.
        model.load_state_dict(state.best_weights)
        state.best_weights = copy.deepcopy(model.state_dict())
    model.load_state_dict(parts["model"])
    optimiser.load_state_dict(parts["optimiser"])
    generator.set_state(parts["generator"])
    torch.set_rng_state(parts["global_generator"])
    rng.bit_generator.state = json.loads(parts["rng"])
    return state


def remove(folder: Path) -> None:
    """Removes all checkpoints in the folder, and the folder if nothing else is in it.

    Another process may be at it too, or still train with the folder: an orphan of a run that was killed.
    """
    with suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            if OWN_FILES.fullmatch(path.name):
                path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def postponed(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yields a list that gets the number of each of these signals as it arrives; nothing else happens until the end."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
