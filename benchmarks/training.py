"""CPU time of a training step: of segunc's loop, of the bare step, and of a usual U-Net of the same shape."""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segunc.catalogue.options import options_of
from segunc.data.store import Images
from segunc.learning.build import build, to_float
from segunc.learning.checkpoint import Run
from segunc.learning.device import select_device
from segunc.learning.train_spec import TrainSpec
from segunc.learning.training import _step, statistics_of
from segunc.networks.shape import Backbone
from segunc.networks.work import work_of

METHODS = ["unet", "ensemble", "mc_dropout", "prob_unet"]


class Shape(NamedTuple):
    """Of the networks and of what they are trained on."""

    filters: list[int]
    convolutions: int
    size: int
    """Of the images, in pixels."""
    batch_size: int


SHAPES = {
    "study": Shape([32, 64, 128, 192], 3, 128, 12),
    "real-small": Shape([8, 16, 32, 48], 2, 64, 16),
    "default": Shape([8, 16, 32], 2, 32, 8),
}
LOOP_LIMIT = 1.05
"""Most CPU time of the loop beside the bare step."""


class UsualUNet(nn.Module):
    """The U-Net as it is usually written: contiguous tensors, no attention to deterministic results."""

    def __init__(self, filters: list[int], convolutions: int) -> None:
        super().__init__()
        down, up = zip([1, *filters], filters, strict=False), zip(filters[:0:-1], filters[-2::-1], strict=True)
        self.down = nn.ModuleList(self.block(a, b, convolutions) for a, b in down)
        self.up = nn.ModuleList(self.block(a + b, b, convolutions) for a, b in up)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.head = nn.Conv2d(filters[0], 1, 1)

    @staticmethod
    def block(c_in: int, c_out: int, convolutions: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(convolutions):
            convolution = nn.Conv2d(c_out if i else c_in, c_out, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(torch.cat([self.upsample(x), skips.pop()], dim=1))
        return self.head(x)


def synthetic(size: int) -> Images:
    """48 images of noise and a disc that four annotators mark."""
    rng, count = np.random.default_rng(0), 48
    y, x = np.mgrid[:size, :size]
    disc = np.hypot(x - size / 2, y - size / 2) < size / 6
    ids = np.arange(count).astype(str)
    images = (80 * disc + rng.integers(0, 100, (count, 1, size, size))).astype(np.uint8)
    masks = np.broadcast_to(disc, (count, 4, size, size)).astype(np.uint8)
    return Images(images, masks, np.ones((count, 4), bool), ids, ids, ids, None)


def spec_of(method: str, shape: Shape) -> TrainSpec:
    return {
        "method": method,
        "options": options_of("models", method, "build")().model_dump(),
        "backbone": {"filters": shape.filters, "convolutions": shape.convolutions, "normalisation": "batch"},
        "training": {
            **{"steps": 1000, "epochs": None, "validate_every": None, "patience": None},
            **{"batch_size": shape.batch_size, "learning_rate": 1e-4, "warmup_steps": 0, "schedule": "constant"},
            **{"gradient_clip": 5, "annotators": "shuffled", "precision": "float32"},
            "augmentation": {"flip": True, "rotation": 180, "scale": [0.9, 1.1]},
        },
        "seed": 0,
    }


def steps_of(method: str, shape: Shape, device: torch.device) -> list[Callable[[], Any]]:
    """A step of the loop, a bare one, and one of the usual U-Net."""
    batch_size = shape.batch_size
    images, spec = synthetic(shape.size), spec_of(method, shape)
    x, y = to_float(images.images[:batch_size], device), torch.from_numpy(images.masks[:batch_size]).float()
    annotated, generator = torch.ones(batch_size, 4, dtype=torch.bool), torch.Generator().manual_seed(0)
    model = build(spec, statistics_of(images)).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    run = Run(model, optimiser, generator, np.random.default_rng(0))
    usual = UsualUNet(shape.filters, shape.convolutions).train()
    usual_optimiser = torch.optim.Adam(usual.parameters(), lr=1e-4)

    def loop() -> None:
        _step(run, spec["training"], images, 1e-4, device)

    def bare() -> None:
        optimiser.zero_grad(set_to_none=True)
        model.loss(x, y, annotated, generator).backward()
        optimiser.step()

    def usual_step() -> None:
        torch.use_deterministic_algorithms(False)
        usual_optimiser.zero_grad(set_to_none=True)
        F.binary_cross_entropy_with_logits(usual(x), y[:, :1]).backward()
        usual_optimiser.step()
        torch.use_deterministic_algorithms(True, warn_only=True)

    return [loop, bare, usual_step]


def least_ms(functions: list[Callable[[], Any]], repetitions: int) -> list[float]:
    """Least CPU milliseconds of each function, called in turn after a first call that does not count."""
    best = [float("inf")] * len(functions)
    for repetition in range(repetitions + 1):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            if repetition:
                best[i] = min(best[i], 1000 * (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--repetitions", type=int, help="default: 5 of the study's nets, 30 of the others")
    options = parser.parse_args()
    device = select_device("cpu", 1)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print("CPU-ms per step, one thread; usual: a plain U-Net, times the multiply-adds of the method over those of one")
    print("shape      method         loop    bare  loop/bare   usual  usual/loop")
    slow = False
    for name in options.shapes:
        shape = SHAPES[name]
        repetitions = options.repetitions or (5 if name == "study" else 30)
        for method in options.methods:
            loop, bare, usual = least_ms(steps_of(method, shape, device), repetitions)
            chosen = options_of("models", method, "build")().model_dump()
            work = work_of(method, chosen, Backbone(shape.filters, shape.convolutions, "batch"), 1, shape.size)
            usual *= work.training.multiply_adds / work.unet.multiply_adds
            numbers = f"{loop:8.1f}{bare:8.1f}{loop / bare:11.3f}{usual:8.1f}{usual / loop:12.2f}"
            print(f"{name:10} {method:11}{numbers}", flush=True)
            slow |= loop > LOOP_LIMIT * bare
    if slow:
        sys.exit(f"a loop takes more than {LOOP_LIMIT:g} times its bare step")


if __name__ == "__main__":
    main()
