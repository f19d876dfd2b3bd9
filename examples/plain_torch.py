"""Plain PyTorch: a probability map per image, of a small network that is trained on the mean of the annotators.

python examples/plain_torch.py exported predictions/plain/seed0
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

exported, to = Path(sys.argv[1]), Path(sys.argv[2])
with (exported / "images.csv").open(newline="") as file:
    splits = {row["image"]: row["split_seed0"] for row in csv.DictReader(file)}


def tensor(path: Path) -> torch.Tensor:
    """(C, H, W) in [0, 1]; C is 1 or 3."""
    return torch.from_numpy(np.atleast_3d(np.array(Image.open(path), np.float32))).permute(2, 0, 1) / 255


def images_of(*names: str) -> list[tuple[str, torch.Tensor]]:
    return [(name, tensor(exported / f"images/{name}.png")) for name in splits if splits[name] in names]


torch.manual_seed(0)
training = images_of("train")
images = torch.stack([image for _, image in training])
# An annotator without a file did not see the image.
masks = [[tensor(path) for path in exported.glob(f"masks/*/{name}.png")] for name, _ in training]
shares = torch.stack([torch.stack(of_one).mean(dim=0) for of_one in masks])

layers: list[nn.Module] = []
for channels, dilation in ((images.shape[1], 1), (16, 2), (16, 4), (16, 8)):
    layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(16), nn.ReLU()]
network = nn.Sequential(*layers, nn.Conv2d(16, 1, 1))
optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(150):
    batch = torch.randint(len(images), (16,))
    loss = nn.functional.binary_cross_entropy_with_logits(network(images[batch]), shares[batch])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

network.eval()
to.mkdir(parents=True, exist_ok=True)
for name, image in images_of("val", "test"):
    with torch.no_grad():
        probability = network(image[None]).sigmoid()[0, 0]
    np.save(to / f"{name.replace('/', '__')}.npy", probability.numpy())
