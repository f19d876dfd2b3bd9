"""Checkpoints: an interrupted training run resumes from its last one and yields the weights of an uninterrupted one.

A checkpoint is one file in a folder. Its name is a digest of everything that the weights depend on, so no run resumes
from another's checkpoint, and a run whose settings are changed and changed back resumes from its own.
"""

import copy
import hashlib
import io
import json
import math
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segunc.data.store import Images
from segunc.learning.train_spec import TrainSpec
from segunc.learning.weights import load_archive
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically

CHECKPOINT_SECONDS = 60.0
"""Least seconds between two checkpoints, except for the one of a run that is told to stop."""
OWN_FILES = re.compile(r"[0-9a-f]{16}\.pt|\.[0-9a-f]{16}\.\d+\.partial\.pt")
"""Checkpoints, and the files left by a process that was killed while it wrote one."""


@dataclass
class State:
    """Progress of a training run, apart from network, optimiser and random generators."""

    step: int = 0
    """Steps done."""
    rest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Indices of the images that are left of the shuffled pass."""
    losses: list[Tensor] = field(default_factory=list)
    """Training losses since the last validation, scalars on the device."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Rows of `history.csv`, by column."""
    best: float = math.inf
    """Lowest criterion of early stopping so far, infinite before it applies."""
    best_weights: dict[str, Tensor] | None = None
    """The network's state at `best`."""
    since_best: int = 0
    """Validations since then."""
    seconds: float = 0.0
    """Time spent so far, by all processes that took part."""


@dataclass
class Run:
    """A training run: everything that a step changes."""

    model: Any
    """As `segunc.models` describes, on the device."""
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    """For everything on the device."""
    rng: np.random.Generator
    """For the order of the images."""
    state: State = field(default_factory=State)


def name(spec: TrainSpec, code: str, splits: Iterable[Images], device: torch.device) -> str:
    """File name of a run's checkpoint: a digest of everything that its weights depend on.

    `code` stands for the source code, in any form; `splits` are the training and validation images as they are used.
    The digest includes version and threads of torch, since others round differently.
    """
    facts = [spec, code, torch.__version__, torch.get_num_threads(), device.type]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for split in splits:
        for array in (split.images, split.masks, split.annotated):
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(json.dumps(split.image_id.tolist()).encode())
    return f"{digest.hexdigest()[:16]}.pt"


def save(path: Path, run: Run) -> None:
    """Writes a checkpoint. A failed write is logged to stderr, and training continues.

    The disk may be full, or another process may have finished the same run and be removing the folder.
    """
    state = run.state
    content = {
        **vars(state),
        "rest": state.rest.tolist(),
        "losses": [float(loss) for loss in state.losses],
        "model": run.model.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "generator": run.generator.get_state(),
        "global_generator": torch.get_rng_state(),
        "rng": json.dumps(run.rng.bit_generator.state),
    }
    # Written to memory first, since torch hides why a file cannot be written.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        with write_atomically(path) as partial:
            partial.write_bytes(buffer.getbuffer())
    except (OSError, UserError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"{path} cannot be written ({reason}); training continues", file=sys.stderr, flush=True)


def load(path: Path, run: Run) -> bool:
    """Restores a run from its checkpoint; returns whether there was one.

    A checkpoint that cannot be read is reported on stderr and ignored; then, `run` is unchanged.
    """
    try:
        content = load_archive(path)
        parts = {part: content.pop(part) for part in ("model", "optimiser", "generator", "global_generator", "rng")}
        state = State(**content)
    except FileNotFoundError:
        return False
    except Exception as error:  # Damaged bytes may raise anything.
        print(f"{path} cannot be read ({type(error).__name__}); training starts over", file=sys.stderr, flush=True)
        return False

    state.rest = np.array(state.rest, dtype=np.int64)
    state.losses = [torch.tensor(loss, device=run.generator.device) for loss in state.losses]
    if state.best_weights is not None:
        # Loaded into the network first, which moves them to its device.
        run.model.load_state_dict(state.best_weights)
        state.best_weights = copy.deepcopy(run.model.state_dict())
    run.model.load_state_dict(parts["model"])
    run.optimiser.load_state_dict(parts["optimiser"])
    run.generator.set_state(parts["generator"])
    torch.set_rng_state(parts["global_generator"])
    run.rng.bit_generator.state = json.loads(parts["rng"])
    run.state = state
    return True


def remove(folder: Path) -> None:
    """Removes all checkpoints in the folder, and the folder if it contains nothing else.

    Another process may be removing them at the same time, or still be training with the folder: an orphan of a killed
    run.
    """
    with suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            if OWN_FILES.fullmatch(path.name):
                path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def postponed(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Collects the numbers of these signals, in the order in which they arrive, in the list that it yields.

    The signals have no other effect until the end of the context.
    """
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
