"""`segunc export`: writes a prepared dataset as files, for training elsewhere."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from segunc.data.export import Label, export_images, export_nnunet
from segunc.runtime.errors import printable


def main(arguments: Sequence[str]) -> int:
    """`segunc export <arguments>`."""
    parser = argparse.ArgumentParser(
        prog="segunc export",
        description="Writes the images, masks and splits of a prepared dataset as files, for training elsewhere.",
    )
    parser.add_argument("store", type=Path, help="the HDF5 file of a prepared dataset")
    parser.add_argument("--to", type=Path, required=True, help="folder to create")
    parser.add_argument(
        "--layout", choices=("images", "nnunet"), default="images", help="PNG files and a CSV, or nnU-Net's raw dataset"
    )
    nnunet = parser.add_argument_group("with --layout nnunet")
    nnunet.add_argument("--label", choices=get_args(Label), default="majority", help="label map of a training case")
    nnunet.add_argument("--seed", type=int, default=0, help="whose split becomes training and test")
    given = parser.parse_args(arguments)
    if given.layout == "images":
        written = f"{export_images(given.store, given.to)} images"
    else:
        written = f"{export_nnunet(given.store, given.to, given.label, given.seed)} cases"
    print(printable(f"{written} of {given.store} are in {given.to}."))
    return 0
