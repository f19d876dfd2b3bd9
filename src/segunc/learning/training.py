"""Training of one network: to its last weights or, with early stopping, to the best on the validation images.

Validation is the same for every model (`segunc.learning.validation`): what a model is evaluated on, not its training
loss.
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
import torch._dynamo  # Adam imports it with its first step. Named here, the job server imports it once for all jobs.
from torch import Tensor, nn

from segunc.data.augment import augment
from segunc.data.store import Images
from segunc.learning import checkpoint, contract
from segunc.learning.build import build, file_of, to_float
from segunc.learning.device import log_precision, mixed_precision
from segunc.learning.passes import selection_begins, step_budget, steps_per_epoch, validation_interval
from segunc.learning.train_spec import TrainingSpec, TrainSpec
from segunc.learning.validation import Validation, validate
from segunc.networks.shape import DataStatistics
from segunc.runtime.errors import UserError
from segunc.runtime.progress import Progress


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


def train(
    spec: TrainSpec,
    training_images: Images,
    validation_images: Images | None,
    device: torch.device,
    what: str,
    checkpoints: Path | None = None,
    code: str = "",
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Trains one network; returns the content of `weights.pt` and the rows of `history.csv`, by column.

    The weights are the last ones. With early stopping (`patience`), they are those with the best validation after the
    first quarter of the budget, and training ends after `patience` validations without an improvement. Without
    validation images there is no early stopping, and the columns of validation are NaN. `what` names the run in
    progress lines. Equal seeds give equal results on the same machine with the same threads.

    With a folder for `checkpoints`, the run resumes from the checkpoint that an equal run with equal `code` left there.
    SIGTERM, SIGINT and SIGHUP then end the program after the current step and a checkpoint, with code 128 + signal.

    Raises UserError if the loss is not finite, if the training masks are all empty or all full, or if the model breaks
    the contract of models (`segunc.learning.contract`).
    """
    training = spec["training"]
    log_precision(what, device, training["precision"])
    rng = np.random.default_rng([spec["seed"], 1])
    generator = torch.Generator(device).manual_seed(spec["seed"])
    torch.manual_seed(spec["seed"])
    if training["annotators"] == "shuffled":
        training_images = shuffle_annotators(training_images, rng)
    data = statistics_of(training_images)
    model = build(spec, data)
    contract.check(model, file_of(spec), *_trial_batch(spec, training_images, device), training["precision"])
    model = model.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=training["learning_rate"], fused=True)
    run = checkpoint.Run(model, optimiser, generator, rng)

    n = len(training_images.images)
    steps, every = step_budget(training, n), validation_interval(training, n)
    patience = training["patience"]
    path = None
    if checkpoints is not None:
        splits = [training_images] if validation_images is None else [training_images, validation_images]
        path = checkpoints / checkpoint.name(spec, code, splits, device)
        if checkpoint.load(path, run):
            print(f"{what}: resuming at step {run.state.step}/{steps}", file=sys.stderr, flush=True)

    state, progress, saved = run.state, Progress(what, steps), time.monotonic()
    started = saved - state.seconds
    with checkpoint.postponed([] if path is None else [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]) as signals:
        while state.step < steps and (patience is None or state.since_best < patience):
            rate = learning_rate(state.step, steps, training)
            _step(run, training, training_images, rate, device)
            if state.step % every == 0 or state.step == steps:
                validation = None
                if validation_images is not None:
                    validation = validate(model, validation_images, training["precision"], device)
                epoch, seconds = state.step / steps_per_epoch(training, n), time.monotonic() - started
                _record(run, epoch, validation, rate, seconds, what, training)
                if validation is not None and patience is not None and state.step > selection_begins(steps):
                    _select(run, validation.criterion)

            # Read once: a signal that arrives during the save is handled after the next step.
            stopping = bool(signals)
            if path is not None and (stopping or time.monotonic() - saved >= checkpoint.CHECKPOINT_SECONDS):
                state.seconds = time.monotonic() - started
                checkpoint.save(path, run)
                saved = time.monotonic()
            if stopping:
                print(f"{what}: stopped after step {state.step} of {steps}", file=sys.stderr, flush=True)
                sys.exit(128 + signals[0])
            progress.update(state.step, f"best validation {state.best:.4f}" if state.best < math.inf else "")
    kept = model.state_dict() if state.best_weights is None else state.best_weights
    weights = {"spec": json.dumps(spec, sort_keys=True), "data": data._asdict(), "state": kept}
    return weights, state.history


def _batch(images: Images, indices: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images, masks and which of them exist, on the device, as `loss` of a model takes them (`segunc.models`)."""
    return (
        to_float(images.images[indices], device),
        torch.from_numpy(images.masks[indices]).to(device).float(),
        torch.from_numpy(images.annotated[indices]).to(device),
    )


def _trial_batch(spec: TrainSpec, images: Images, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """What the contract of a model is checked on: the centres of the first images, small for the sake of time."""
    x, y, annotated = _batch(images, np.arange(contract.IMAGES) % len(images.images), device)
    levels = len(spec["backbone"]["filters"])
    return contract.centres(x, levels), contract.centres(y, levels), annotated


def _step(
    run: checkpoint.Run, training: TrainingSpec, training_images: Images, rate: float, device: torch.device
) -> None:
    """One gradient step with the learning rate `rate`."""
    model, optimiser, state = run.model, run.optimiser, run.state
    if not model.training:
        model.train()
    (group,) = optimiser.param_groups
    group["lr"] = rate
    n = len(training_images.images)
    indices, state.rest = next_batch(state.rest, n, training["batch_size"], run.rng)
    x, y, annotated = _batch(training_images, indices, device)
    if training["augmentation"] is not None:
        x, y = augment(x, y, training["augmentation"], run.generator)
    with mixed_precision(device, training["precision"]):
        loss = model.loss(x, y, annotated, run.generator)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if training["gradient_clip"] is not None:
        nn.utils.clip_grad_norm_(group["params"], training["gradient_clip"])
    optimiser.step()
    state.losses.append(loss.detach())
    state.step += 1


def _record(
    run: checkpoint.Run,
    epoch: float,
    validation: Validation | None,
    rate: float,
    seconds: float,
    what: str,
    training: TrainingSpec,
) -> None:
    """Appends a row to the history; UserError if a loss is not finite."""
    state = run.state
    train_loss = float(torch.stack(state.losses).mean())
    found = Validation(math.nan, math.nan, []) if validation is None else validation
    if not math.isfinite(train_loss) or (validation is not None and not math.isfinite(validation.criterion)):
        facts = f"the loss is {train_loss} in training and {found.cross_entropy} in validation after {state.step} steps"
        raise divergence(what, facts, training)
    row = {
        **{"step": state.step, "epoch": epoch, "train_loss": train_loss},
        **{"val_cross_entropy": found.cross_entropy, "val_ged": found.ged},
        **{"learning_rate": rate, "seconds": seconds},
        **{f"kl_{dimension}": value for dimension, value in enumerate(found.divergence)},
    }
    state.history.append(row)
    state.losses = []


def _select(run: checkpoint.Run, criterion: float) -> None:
    """Keeps the weights if they are the best so far."""
    state = run.state
    if criterion < state.best:
        state.best, state.best_weights, state.since_best = criterion, copy.deepcopy(run.model.state_dict()), 0
    else:
        state.since_best += 1
