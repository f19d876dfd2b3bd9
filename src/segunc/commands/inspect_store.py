"""`segunc inspect`: prints what a dataset's store contains."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from segunc.data.overview import describe
from segunc.runtime.errors import printable


def main(arguments: Sequence[str]) -> int:
    """`segunc inspect <arguments>`."""
    parser = argparse.ArgumentParser(
        prog="segunc inspect",
        description="Prints what the store of a dataset contains: images, patients and masks per split.",
    )
    parser.add_argument("store", type=Path, nargs="+", help="the HDF5 file of a prepared dataset")
    print(printable("\n\n".join(describe(path) for path in parser.parse_args(arguments).store)))
    return 0
