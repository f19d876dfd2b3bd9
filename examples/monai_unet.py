"""MONAI's U-Net: 16 samples per image by dropout at test time.

python examples/monai_unet.py exported predictions/monai/seed0
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    RandFlipd,
    RandRotate90d,
    ScaleIntensityRanged,
)
from monai.utils import set_determinism

SAMPLES, EPOCHS = 16, 10
exported, to = Path(sys.argv[1]), Path(sys.argv[2])
set_determinism(0)
with (exported / "images.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))


def items(split: str, with_masks: bool) -> list[dict[str, str]]:
    """Files of a split: each annotator of an image is an item of its own."""
    found = []
    for name in (row["image"] for row in rows if row["split_seed0"] == split):
        item = {"name": name, "image": str(exported / f"images/{name}.png")}
        masks = sorted(exported.glob(f"masks/*/{name}.png")) if with_masks else []
        found += [item | {"mask": str(mask)} for mask in masks] or [item]
    return found


def loader(split: str, with_masks: bool) -> DataLoader:
    keys = ["image", "mask"] if with_masks else ["image"]
    steps = [
        # MONAI's axes are exchanged unless it is told not to: (H, W), as segunc reads predictions.
        LoadImaged(keys, reader="PILReader", reverse_indexing=False),
        EnsureChannelFirstd(keys),
        ScaleIntensityRanged(keys, 0, 255, 0, 1),
    ]
    augmentation = [RandFlipd(keys, 0.5, 0), RandFlipd(keys, 0.5, 1), RandRotate90d(keys, 0.5)] if with_masks else []
    data = CacheDataset(items(split, with_masks), Compose([*steps, *augmentation]), progress=False)
    return DataLoader(data, batch_size=16, shuffle=with_masks)


training = loader("train", with_masks=True)
channels = next(iter(training))["image"].shape[1]
# With residual units, the single map of logits would be normalised near the end, in each image.
network = UNet(2, channels, 1, channels=(16, 32, 64), strides=(2, 2), norm="batch", dropout=0.3)
optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
loss_of = DiceCELoss(sigmoid=True, batch=True)  # over a batch, as many masks are empty
for _ in range(EPOCHS):
    for batch in training:
        loss = loss_of(network(batch["image"]), batch["mask"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

network.eval()
for module in network.modules():
    if isinstance(module, torch.nn.Dropout):
        module.train()
to.mkdir(parents=True, exist_ok=True)
for split in ("val", "test"):
    for batch in loader(split, with_masks=False):
        with torch.no_grad():
            samples = torch.stack([network(batch["image"]).sigmoid()[:, 0] for _ in range(SAMPLES)], dim=1)
        for name, of_one in zip(batch["name"], samples, strict=True):
            np.save(to / f"{name.replace('/', '__')}.npy", of_one.numpy())
