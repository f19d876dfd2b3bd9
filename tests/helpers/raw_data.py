"""Raw data as releases have it: images, archives, small datasets."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, pixels: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def zipped(folder: Path) -> Path:
    """A zip beside the folder, with the folder inside, as releases have it."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder.parent))
    return target


def tarred(folder: Path, suffix: str = ".tar.gz", **options) -> Path:
    """A tar beside the folder, with the folder inside, its files in no order; gzipped unless `suffix` is `.tar`."""
    target = folder.parent / (folder.name + suffix)
    with tarfile.open(target, "w" if suffix == ".tar" else "w:gz", **options) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.add(file, file.relative_to(folder.parent), recursive=False)
    return target


def write_lidc_slices(folder: Path) -> None:
    """Three patients with one nodule of 11 slices each, 4 annotators; nobody marked slice-10 of the first patient."""
    rng = np.random.default_rng(0)
    for patient in range(1, 4):
        nodule = folder / f"LIDC-IDRI-{patient:04}" / "nodule-0"
        for k in range(11):
            save(nodule / "images" / f"slice-{k}.png", rng.integers(0, 256, (20, 20), np.uint8))
            for annotator in range(4):
                mask = np.zeros((20, 20), np.uint8)
                if annotator <= k % 4 and (patient, k) != (1, 10):
                    mask[8:12, 8 : 10 + annotator] = 255
                save(nodule / f"mask-{annotator}" / f"slice-{k}.png", mask)
    (folder / "ATTRIBUTION.txt").write_text("somebody")
