"""Cost of each model of the catalogue: parameters, CPU time of a training step and of sampling an image, as CSV.

CPU milliseconds of a step and of an image with 16 samples on one thread, and the same by those of the U-Net.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from training import SHAPES, Shape, least_ms, spec_of, synthetic

from segunc.catalogue.options import options_of
from segunc.learning.build import build, to_float, wrap
from segunc.learning.checkpoint import Run
from segunc.learning.device import select_device
from segunc.learning.training import _step, statistics_of

MODELS = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())["models"]
DRAWS, IMAGES = 16, 32
"""Samples per image, of models whose samples are independent, and images of a pass."""


def functions_of(name: str, shape: Shape, device: torch.device) -> tuple[int, list[Callable[[], Any]]]:
    """Parameters of the trained network; its training step (nothing for a wrapper), and sampling for 32 images."""
    entry = MODELS[name]
    options = entry.get("options", {})
    trained = MODELS[options["of"]] if "of" in options else entry
    images = synthetic(shape.size)
    spec = spec_of(trained["method"], shape)
    spec["options"] = options_of("models", trained["method"], "build")(**trained.get("options", {})).model_dump()
    network = build(spec, statistics_of(images)).to(memory_format=torch.channels_last)
    parameters = sum(weight.numel() for weight in network.parameters())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    run = Run(network, optimiser, torch.Generator().manual_seed(0), np.random.default_rng(0))
    model, x = network, to_float(images.images[:IMAGES], device)
    if trained is not entry:
        chosen = options_of("models", entry["method"], "wrap")(**options).model_dump(exclude={"of"})
        model = wrap({"method": entry["method"], "options": chosen}, network)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        if trained is entry:
            _step(run, spec["training"], images, 1e-4, device)

    @torch.no_grad()
    def sample() -> None:
        model.eval().sample(x, DRAWS, generator)

    return parameters, [step, sample]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="real-small")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args()
    shape, device = SHAPES[options.shape], select_device("cpu", 1)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["model", "parameters", "step_ms", "step_by_unet", "sample_ms", "sample_by_unet"])
    # The U-Net is measured in turn with each model: the speed of a machine changes within minutes.
    _, unet = functions_of("unet", shape, device)
    for name in options.models:
        parameters, functions = functions_of(name, shape, device)
        step, sample, unet_step, unet_sample = least_ms([*functions, *unet], options.repetitions)
        trained = ["", ""] if "of" in MODELS[name].get("options", {}) else [f"{step:.1f}", f"{step / unet_step:.2f}"]
        writer.writerow([name, parameters, *trained, f"{sample / IMAGES:.2f}", f"{sample / unet_sample:.1f}"])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
