"""Training of one network, up to the weights with the lowest validation loss.

The validation loss is the cross-entropy of the mean of 8 draws against all annotators, the same for every model: what
the model is going to be used as, not what it happens to be trained with.
"""

import copy
import json
import math
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segunc.data.augment import augment
from segunc.data.store import Images
from segunc.learning import checkpoint
from segunc.learning.build import build, to_float
from segunc.learning.device import mixed_precision
from segunc.learning.passes import VALIDATION_BATCH, VALIDATION_DRAWS
from segunc.networks.backbone import Data
from segunc.runtime.errors import UserError
from segunc.runtime.files import write_atomically
from segunc.runtime.progress import Progress


def summarise(images: Images) -> Data:
    """Mean and standard deviation of the pixels per channel, share of foreground over the existing masks."""
    pixels = images.images.astype(np.float64) / 255
    foreground = images.masks[images.annotated].mean(dtype=np.float64)
    if foreground in (0, 1):
        raise UserError("the training masks are all empty or all full; there is nothing to learn from them.")
    std = pixels.std(axis=(0, 2, 3)).clip(min=1e-3)
    return Data(pixels.mean(axis=(0, 2, 3)).tolist(), std.tolist(), float(foreground))


def next_batch(rest: np.ndarray, n: int, batch_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The next indices of one shuffled pass over the n images after the other, (batch_size,), and what is then left.

    `rest` is what the batch before left, nothing at first.
    """
    while len(rest) < batch_size:
        rest = np.concatenate([rest, rng.permutation(n)])
    return rest[:batch_size], rest[batch_size:]


def shuffle_annotators(images: Images, rng: np.random.Generator) -> Images:
    """The annotator slots in a random order, the same for all images of a group.

    The index of a mask is no person: in LIDC later masks are emptier, and a network that learns from slot 3 alone
    would learn that order.
    """
    masks, annotated = images.masks.copy(), images.annotated.copy()
    for group in np.unique(images.group_id):
        members = np.flatnonzero(images.group_id == group)
        order = rng.permutation(masks.shape[1])
        masks[members], annotated[members] = masks[members][:, order], annotated[members][:, order]
    return images._replace(masks=masks, annotated=annotated)


def learning_rate(step: int, steps: int, training: Mapping[str, Any]) -> float:
    """Learning rate of a step (from 0): a linear warm-up, then constant or half a cosine down to 0."""
    warmup = training["warmup_steps"]
    if step < warmup:
        return training["learning_rate"] * (step + 1) / warmup
    if training["schedule"] == "constant":
        return training["learning_rate"]
    return training["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def validation_loss(model: Any, images: Images, precision: str, device: torch.device) -> float:
    """Cross-entropy (nats per pixel) of the mean of 8 draws, averaged over pixels, annotators and images."""
    model.eval()
    generator = torch.Generator(device).manual_seed(0)
    total = 0.0
    for start in range(0, len(images.images), VALIDATION_BATCH):
        part = slice(start, start + VALIDATION_BATCH)
        with mixed_precision(device, precision):
            draws = model.sample(to_float(images.images[part], device), VALIDATION_DRAWS, generator)
        p = draws.float().mean(dim=0).clamp(1e-6, 1 - 1e-6)
        exists = torch.from_numpy(images.annotated[part]).to(device).float()[..., None, None]
        votes = torch.from_numpy(images.masks[part]).to(device).float()
        y = (votes * exists).sum(dim=1) / exists.sum(dim=1)
        # The cross-entropy is linear in the mask: against the mean mask it is the mean over the annotators.
        total += float(-(y * p.log() + (1 - y) * (1 - p).log()).mean(dim=(1, 2)).sum())
    return total / len(images.images)


def train(
    spec: Mapping[str, Any],
    training_images: Images,
    validation_images: Images | None,
    device: torch.device,
    what: str,
    checkpoints: Path | None = None,
    code: str = "",
) -> tuple[dict[str, Any], list[list[float]]]:
    """Trains one network; returns what `weights.pt` holds and the rows of the history.

    Without validation images the weights are the last ones, there is no patience and `val_loss` is NaN.
    `spec` is `segunc.config.train_spec`; equal seeds give equal results on the same machine with the same threads.

    With a folder for `checkpoints` it goes on from the one that an equal training with equal `code` left there, and
    SIGTERM and SIGINT end the program, with exit code 128 + signal, after the step in progress and a checkpoint.
    """
    training = spec["training"]
    rng = np.random.default_rng([spec["seed"], 1])
    generator = torch.Generator(device).manual_seed(spec["seed"])
    torch.manual_seed(spec["seed"])
    if training["annotators"] == "shuffled":
        training_images = shuffle_annotators(training_images, rng)
    data = summarise(training_images)
    model = build(spec, data).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=training["learning_rate"])

    n, batch_size = len(training_images.images), training["batch_size"]
    per_epoch = math.ceil(n / batch_size)
    steps = training["steps"] or training["epochs"] * per_epoch
    every = min(training["validate_every"] or per_epoch, steps)
    patience = math.inf if validation_images is None else training["patience"] or math.inf
    images, masks, annotated = map(
        torch.from_numpy, (training_images.images, training_images.masks, training_images.annotated)
    )

    state = checkpoint.State(
        0, np.empty(0, np.int64), [], [], best=math.inf, best_weights=None, since_best=0, seconds=0
    )
    path = None
    if checkpoints is not None:
        sides = [training_images] if validation_images is None else [training_images, validation_images]
        path = checkpoints / checkpoint.name(spec, code, sides, device)
        if earlier := checkpoint.load(path, model, optimiser, generator, rng):
            state = earlier
            print(f"{what}: goes on from step {state.step} of {steps}", file=sys.stderr, flush=True)

    progress, saved = Progress(what, steps), time.monotonic()
    started = saved - state.seconds
    with checkpoint.postponed([] if path is None else [signal.SIGTERM, signal.SIGINT]) as signals:
        while state.step < steps and state.since_best < patience:
            model.train()
            rate = learning_rate(state.step, steps, training)
            for group in optimiser.param_groups:
                group["lr"] = rate
            indices, state.rest = next_batch(state.rest, n, batch_size, rng)
            x = images[indices].to(device).float() / 255
            y = masks[indices].to(device).float()
            if training["augmentation"] is not None:
                x, y = augment(x, y, training["augmentation"], generator)
            with mixed_precision(device, training["precision"]):
                loss = model.loss(x, y, annotated[indices].to(device), generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if training["gradient_clip"] is not None:
                nn.utils.clip_grad_norm_(model.parameters(), training["gradient_clip"])
            optimiser.step()
            state.losses.append(loss.detach())
            state.step += 1

            if state.step % every == 0 or state.step == steps:
                train_loss, val_loss = float(torch.stack(state.losses).mean()), math.nan
                if validation_images is not None:
                    val_loss = validation_loss(model, validation_images, training["precision"], device)
                if not math.isfinite(train_loss) or (validation_images is not None and not math.isfinite(val_loss)):
                    raise UserError(
                        f"{what}: the loss is {train_loss} in training and {val_loss} in validation after {state.step} "
                        "steps; lower learning_rate or set gradient_clip."
                    )
                seconds = time.monotonic() - started
                state.history.append([state.step, state.step / per_epoch, train_loss, val_loss, rate, seconds])
                state.losses = []
                if val_loss < state.best:
                    state.best, state.best_weights, state.since_best = val_loss, copy.deepcopy(model.state_dict()), 0
                else:
                    state.since_best += 1

            # Looked at once: a signal during the save is the next step's.
            stopping = bool(signals)
            if path is not None and (stopping or time.monotonic() - saved >= checkpoint.CHECKPOINT_SECONDS):
                state.seconds = time.monotonic() - started
                checkpoint.save(path, state, model, optimiser, generator, rng)
                saved = time.monotonic()
            if stopping:
                print(f"{what}: stopped after step {state.step} of {steps}", file=sys.stderr, flush=True)
                sys.exit(128 + signals[0])
            progress.update(state.step, f"best validation loss {state.best:.4f}" if state.best < math.inf else "")
    # Without validation, the last weights are kept.
    best_weights = model.state_dict() if state.best_weights is None else state.best_weights
    weights = {"spec": json.dumps(spec, sort_keys=True), "data": data._asdict(), "state": best_weights}
    return weights, state.history


def write_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Writes what `train` returned; the same weights give the same bytes."""
    # Given a path, torch would write its name, which contains the process id, into the file.
    with write_atomically(path) as beside, beside.open("wb") as file:
        torch.save(dict(weights), file)
