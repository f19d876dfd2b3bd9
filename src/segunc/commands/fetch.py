"""`segunc fetch`: downloads public datasets that need no registration.

An interrupted download resumes. Files with a published digest are checked against it; the digest of any other file is
recorded in `<file>.sha256` at its first download, and checked from then on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segunc.commands.download import GoneError, download
from segunc.runtime.errors import UserError


class File(NamedTuple):
    """One file of a dataset."""

    path: str
    """Where to put it, relative to the folder that the user gives."""
    url: str
    sha256: str | None = None
    """Published digest."""


class Dataset(NamedTuple):
    """What `segunc fetch <name>` downloads."""

    what: str
    files: tuple[File, ...]
    licence: str
    citation: str
    page: str
    """Web page that describes the files, and where to find them if an address has changed."""


ISIC = "https://isic-archive.s3.amazonaws.com/challenges"
LIDC_CROPS = "https://storage.googleapis.com/hpunet-data/lidc_crops"
IMA = "https://zenodo.org/records/14201693/files"
ISIC_PAGE = "https://challenge.isic-archive.com/data/"

# ISIC does not publish digests. Those of 2018, and that of segs.zip, come from constantinpape/torch-em,
# torch_em/data/datasets/medical/{isic,ima_plus_plus}.py; independent downloads of the 2018 files agree with them.
ISIC18 = {
    "ISIC2018_Task1-2_Training_Input.zip": "80f98572347a2d7a376227fa9eb2e4f7459d317cb619865b8b9910c81446675f",
    "ISIC2018_Task1_Training_GroundTruth.zip": "99f8b2bb3c4d6af483362010715f7e7d5d122d9f6c02cac0e0d15bef77c7604c",
    "ISIC2018_Task1-2_Validation_Input.zip": "0ea920fcfe512d12a6e620b50b50233c059f67b10146e1479c82be58ff15a797",
    "ISIC2018_Task1_Validation_GroundTruth.zip": "f6911e9c0a64e6d687dd3ca466ca927dd5e82145cb2163b7a1e5b37d7a716285",
    "ISIC2018_Task1-2_Test_Input.zip": "e59ae1f69f4ed16f09db2cb1d76c2a828487b63d28f6ab85997f5616869b127d",
    "ISIC2018_Task1_Test_GroundTruth.zip": "2e8f6edce454a5bdee52485e39f92bd6eddf357e81f39018d05512175238ef82",
}
SEGS = "4141feef60a168d5c699599e0a2089e6c689661ba6630459a138721cbf74ddc2"
CODELLA_2019 = "Codella et al. 2019, arXiv:1902.03368; Tschandl et al. 2018, doi:10.1038/sdata.2018.161"


def _isic(year: int, names: list[str]) -> tuple[File, ...]:
    return tuple(File(name, f"{ISIC}/{year}/{name}", ISIC18.get(name)) for name in names)


DATASETS = {
    "isic16": Dataset(
        "ISIC 2016, training part of task 1: 900 images",
        _isic(2016, ["ISBI2016_ISIC_Part1_Training_Data.zip", "ISBI2016_ISIC_Part1_Training_GroundTruth.zip"]),
        "CC0 1.0",
        "Gutman et al. 2016, arXiv:1605.01397",
        ISIC_PAGE,
    ),
    "isic17": Dataset(
        "ISIC 2017, task 1: 2,000 training, 150 validation and 600 test images",
        _isic(
            2017,
            [
                f"ISIC-2017_{part}_{kind}.zip"
                for part in ("Training", "Validation", "Test_v2")
                for kind in ("Data", "Part1_GroundTruth")
            ],
        ),
        "CC0 1.0",
        "Codella et al. 2017, arXiv:1710.05006",
        ISIC_PAGE,
    ),
    "isic18": Dataset(
        "ISIC 2018, training part of task 1: 2,594 images",
        _isic(2018, list(ISIC18)[:2]),
        "CC BY-NC 4.0",
        CODELLA_2019,
        ISIC_PAGE,
    ),
    "isic18_parts": Dataset(
        "ISIC 2018, task 1: 2,594 training, 100 validation and 1,000 test images",
        _isic(2018, list(ISIC18)),
        "CC BY-NC 4.0",
        CODELLA_2019,
        ISIC_PAGE,
    ),
    "lidc_crops": Dataset(
        "LIDC-IDRI as crops around nodules: 8,843 training, 1,993 validation and 1,980 test images",
        tuple(File(f"lidc_crops/{split}.tar.gz", f"{LIDC_CROPS}/{split}.tar.gz") for split in ("train", "val", "test")),
        "CC BY 3.0",
        "Kohl et al. 2019, arXiv:1905.13077; Armato et al. 2015, doi:10.7937/K9/TCIA.2015.LO9QL9SX; "
        "Armato et al. 2011, Medical Physics 38:915-931; Clark et al. 2013, Journal of Digital Imaging 26:1045-1057",
        "https://github.com/google-deepmind/deepmind-research/tree/master/hierarchical_probabilistic_unet",
    ),
    "ima": Dataset(
        "IMA++, masks and tables only: 17,684 masks of 14,967 images, which the ISIC archive has",
        (
            File("ima/segs.zip", f"{IMA}/segs.zip?download=1", SEGS),
            *(
                File(f"ima/{name}", f"{IMA}/{name}?download=1")
                for name in ("seg_metadata.csv", "seg_metadata_multiannotator_subset.csv", "img_metadata.csv")
            ),
        ),
        "CC BY-NC-ND 4.0 for the masks; each image has its own, listed in img_metadata.csv",
        "Abhishek et al. 2025, arXiv:2512.21472, doi:10.1007/978-3-031-77610-6_3 and doi:10.1007/978-3-032-05825-6_3",
        "https://doi.org/10.5281/zenodo.14201692",
    ),
}


def fetch(name: str, folder: Path) -> list[Path]:
    """Downloads the files of the dataset `name` (one of DATASETS) that are not yet in `folder`; returns all paths.

    Existing files are only checked. Raises UserError if a file cannot be downloaded, or has another digest than the
    published or the recorded one.
    """
    if name not in DATASETS:
        raise UserError(f"unknown dataset '{name}'; choose one of {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    for file in dataset.files:
        try:
            download(file.url, folder / file.path, file.sha256)
        except GoneError as gone:
            raise UserError(
                f"{file.url} cannot be fetched ({gone}); look up its address at {dataset.page} and put the file "
                f"at {folder / file.path}."
            ) from None
    return [folder / file.path for file in dataset.files]


def main(arguments: Sequence[str]) -> int:
    """`segunc fetch <arguments>`."""
    names = "\n".join(f"  {name:13} {dataset.what}" for name, dataset in DATASETS.items())
    parser = argparse.ArgumentParser(
        prog="segunc fetch",
        description="Downloads public datasets; an interrupted download resumes.",
        epilog=f"names:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=DATASETS, metavar="NAME", help="one of the names below")
    parser.add_argument("--to", type=Path, default=Path("data"), metavar="FOLDER", help="destination (default: data)")
    args = parser.parse_args(arguments)
    dataset = DATASETS[args.name]
    print(f"{dataset.what}\nlicence: {dataset.licence}\nplease cite: {dataset.citation}\nabout it: {dataset.page}")
    sys.stdout.flush()
    for path in fetch(args.name, args.to):
        print(path)
    return 0
