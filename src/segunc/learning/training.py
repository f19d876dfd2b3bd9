"""Training of one network, up to the weights with the lowest validation loss.

The validation loss is the cross-entropy of the mean of 8 samples against all annotators, the same for every model: the
quantity that a model is evaluated on, not its training loss.
"""

import copy
import json
import math
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segunc.data.augment import augment
from segunc.data.store import Images
from segunc.learning import checkpoint
from segunc.learning.build import build, to_float
from segunc.learning.device import log_precision, mixed_precision
from segunc.learning.passes import (
    VALIDATION_BATCH,
    VALIDATION_DRAWS,
    step_budget,
    steps_per_epoch,
    validation_interval,
)
from segunc.learning.train_spec import TrainingSpec, TrainSpec
from segunc.networks.shape import DataStatistics
from segunc.runtime.errors import UserError
from segunc.runtime.progress import Progress

HISTORY = ["step", "epoch", "train_loss", "val_loss", "learning_rate", "seconds"]
"""Columns of the history: one row per validation; losses in nats per pixel."""


def statistics_of(images: Images) -> DataStatistics:
    """Mean and standard deviation of the pixels per channel, fraction of foreground over the existing masks.

    Raises UserError if all pixels of all masks are equal.
    """
    pixels = images.images.astype(np.float64) / 255
    foreground = images.masks[images.annotated].mean(dtype=np.float64)
    if foreground in (0, 1):
        raise UserError("the training masks are all empty or all full; there is nothing to learn from them.")
    std = pixels.std(axis=(0, 2, 3)).clip(min=1e-3)
    return DataStatistics(pixels.mean(axis=(0, 2, 3)).tolist(), std.tolist(), float(foreground))


def divergence(what: str, facts: str, training: TrainingSpec) -> UserError:
    """The error of a training that diverged.

    gradient_clip is no remedy, because the size of Adam's steps does not depend on the scale of the gradients.
    """
    return UserError(f"{what}: {facts}; lower learning_rate, which is {training['learning_rate']:g}.")


def next_batch(rest: np.ndarray, n: int, batch_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The next indices in [0, n), int64 (batch_size,), and those left of the current pass, int64 (R,).

    Passes over the n images are shuffled and follow each other without a gap, so a batch may span several. `rest` is
    what the batch before left, empty at first.
    """
    while len(rest) < batch_size:
        rest = np.concatenate([rest, rng.permutation(n)])
    return rest[:batch_size], rest[batch_size:]


def shuffle_annotators(images: Images, rng: np.random.Generator) -> Images:
    """The annotator slots in a random order, the same for all images of a group.

    Annotator slots do not identify raters: in LIDC, later masks are emptier, and a network that learns from slot 3
    alone would learn that order.
    """
    masks, annotated = images.masks.copy(), images.annotated.copy()
    for group in np.unique(images.group_id):
        members = np.flatnonzero(images.group_id == group)
        order = rng.permutation(masks.shape[1])
        masks[members], annotated[members] = masks[members][:, order], annotated[members][:, order]
    return images._replace(masks=masks, annotated=annotated)


def learning_rate(step: int, steps: int, training: TrainingSpec) -> float:
    """Learning rate of a step in [0, steps): a linear warm-up, then constant or half a cosine down to 0."""
    warmup = training["warmup_steps"]
    if step < warmup:
        return training["learning_rate"] * (step + 1) / warmup
    if training["schedule"] == "constant":
        return training["learning_rate"]
    return training["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def validation_loss(model: Any, images: Images, precision: str, device: torch.device) -> float:
    """Cross-entropy (nats per pixel) of the mean of 8 samples, averaged over pixels, annotators and images."""
    model.eval()
    generator = torch.Generator(device).manual_seed(0)
    total = 0.0
    for start in range(0, len(images.images), VALIDATION_BATCH):
        part = slice(start, start + VALIDATION_BATCH)
        with mixed_precision(device, precision):
            samples = model.sample(to_float(images.images[part], device), VALIDATION_DRAWS, generator)
        p = samples.float().mean(dim=0).clamp(1e-6, 1 - 1e-6)
        exists = torch.from_numpy(images.annotated[part]).to(device).float()[..., None, None]
        masks = torch.from_numpy(images.masks[part]).to(device).float()
        y = (masks * exists).sum(dim=1) / exists.sum(dim=1)
        # The cross-entropy is linear in the mask, so against the mean mask it is the mean over the annotators.
        total += float(-(y * p.log() + (1 - y) * (1 - p).log()).mean(dim=(1, 2)).sum())
    return total / len(images.images)


def train(
    spec: TrainSpec,
    training_images: Images,
    validation_images: Images | None,
    device: torch.device,
    what: str,
    checkpoints: Path | None = None,
    code: str = "",
) -> tuple[dict[str, Any], list[list[float]]]:
    """Trains one network; returns the content of `weights.pt` and the rows of the history (`HISTORY`).

    Without validation images the weights are the last ones, there is no early stopping and `val_loss` is NaN.
    `what` names the run in progress lines. Equal seeds give equal results on the same machine with the same threads.

    With a folder for `checkpoints`, the run resumes from the checkpoint that an equal run with equal `code` left there.
    SIGTERM, SIGINT and SIGHUP then end the program after the current step and a checkpoint, with code 128 + signal.

    Raises UserError if the loss is not finite, or if the training masks are all empty or all full.
    """
    training = spec["training"]
    log_precision(what, device, training["precision"])
    rng = np.random.default_rng([spec["seed"], 1])
    generator = torch.Generator(device).manual_seed(spec["seed"])
    torch.manual_seed(spec["seed"])
    if training["annotators"] == "shuffled":
        training_images = shuffle_annotators(training_images, rng)
    data = statistics_of(training_images)
    model = build(spec, data).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=training["learning_rate"])
    run = checkpoint.Run(model, optimiser, generator, rng)

    n = len(training_images.images)
    steps, every = step_budget(training, n), validation_interval(training, n)
    patience = math.inf if validation_images is None else training["patience"] or math.inf
    path = None
    if checkpoints is not None:
        splits = [training_images] if validation_images is None else [training_images, validation_images]
        path = checkpoints / checkpoint.name(spec, code, splits, device)
        if checkpoint.load(path, run):
            print(f"{what}: resuming at step {run.state.step}/{steps}", file=sys.stderr, flush=True)

    state, progress, saved = run.state, Progress(what, steps), time.monotonic()
    started = saved - state.seconds
    with checkpoint.postponed([] if path is None else [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]) as signals:
        while state.step < steps and state.since_best < patience:
            rate = learning_rate(state.step, steps, training)
            _step(run, training, training_images, rate, device)
            if state.step % every == 0 or state.step == steps:
                val_loss = None
                if validation_images is not None:
                    val_loss = validation_loss(model, validation_images, training["precision"], device)
                epoch, seconds = state.step / steps_per_epoch(training, n), time.monotonic() - started
                _record(run, epoch, val_loss, rate, seconds, what, training)

            # Read once: a signal that arrives during the save is handled after the next step.
            stopping = bool(signals)
            if path is not None and (stopping or time.monotonic() - saved >= checkpoint.CHECKPOINT_SECONDS):
                state.seconds = time.monotonic() - started
                checkpoint.save(path, run)
                saved = time.monotonic()
            if stopping:
                print(f"{what}: stopped after step {state.step} of {steps}", file=sys.stderr, flush=True)
                sys.exit(128 + signals[0])
            progress.update(state.step, f"best validation loss {state.best:.4f}" if state.best < math.inf else "")
    # Without validation, the last weights are kept.
    best_weights = model.state_dict() if state.best_weights is None else state.best_weights
    weights = {"spec": json.dumps(spec, sort_keys=True), "data": data._asdict(), "state": best_weights}
    return weights, state.history


def _step(
    run: checkpoint.Run, training: TrainingSpec, training_images: Images, rate: float, device: torch.device
) -> None:
    """One gradient step with the learning rate `rate`."""
    model, optimiser, state = run.model, run.optimiser, run.state
    model.train()
    for group in optimiser.param_groups:
        group["lr"] = rate
    n = len(training_images.images)
    indices, state.rest = next_batch(state.rest, n, training["batch_size"], run.rng)
    x = to_float(training_images.images[indices], device)
    y = torch.from_numpy(training_images.masks[indices]).to(device).float()
    annotated = torch.from_numpy(training_images.annotated[indices]).to(device)
    if training["augmentation"] is not None:
        x, y = augment(x, y, training["augmentation"], run.generator)
    with mixed_precision(device, training["precision"]):
        loss = model.loss(x, y, annotated, run.generator)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if training["gradient_clip"] is not None:
        nn.utils.clip_grad_norm_(model.parameters(), training["gradient_clip"])
    optimiser.step()
    state.losses.append(loss.detach())
    state.step += 1


def _record(
    run: checkpoint.Run,
    epoch: float,
    val_loss: float | None,
    rate: float,
    seconds: float,
    what: str,
    training: TrainingSpec,
) -> None:
    """Appends a row to the history, and keeps the weights if they are the best; UserError if a loss is not finite."""
    state = run.state
    train_loss = float(torch.stack(state.losses).mean())
    shown = math.nan if val_loss is None else val_loss
    if not math.isfinite(train_loss) or (val_loss is not None and not math.isfinite(val_loss)):
        facts = f"the loss is {train_loss} in training and {shown} in validation after {state.step} steps"
        raise divergence(what, facts, training)
    state.history.append([state.step, epoch, train_loss, shown, rate, seconds])
    state.losses = []
    if val_loss is not None and val_loss < state.best:
        state.best, state.best_weights, state.since_best = val_loss, copy.deepcopy(run.model.state_dict()), 0
    else:
        state.since_best += 1
