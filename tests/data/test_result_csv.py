"""CSV files of stages that were cut off or overwritten."""

import gzip
import os

import numpy as np
import pytest

from segunc.active import labelled_set
from segunc.active.round_scores import COLUMNS as ROUND_COLUMNS
from segunc.active.tables import read_rounds
from segunc.data.result_csv import open_csv
from segunc.data.result_table import read_table
from segunc.evaluation.scores import COLUMNS
from segunc.evaluation.tables import entropy_histograms, read_cells
from segunc.runtime.errors import UserError

READERS = {
    "images.csv": lambda path: read_cells([path], ["lidc"]),
    "pixels.csv.gz": lambda path: entropy_histograms([path], []),
    "labelled.csv": lambda path: labelled_set.read(path, np.array(["a", "b"])),
    "scores of a round": lambda path: read_rounds([path]),
    "summary.csv": read_table,
}
WHOLE = {
    "images.csv": f"{','.join(COLUMNS)}\nlidc,unet,{','.join(['0.25'] * (len(COLUMNS) - 2))}\n".encode(),
    "pixels.csv.gz": gzip.compress(b"dataset,model,seed,image_id,group,bin,pixels\n" * 9),
    "labelled.csv": b"image_id,round\na,0\nb,10\n",
    "scores of a round": f"{','.join(ROUND_COLUMNS)}\n{','.join(['0.25'] * 12)}\n".encode(),
    "summary.csv": b"dataset,mean\nlidc,0.125\n",
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "damage", ["empty", "within a number", "within the header", "zeros", "garbage", "other columns"]
)
def test_damage_is_one_sentence(tmp_path, name, damage):
    whole = WHOLE[name]
    path = tmp_path / name
    path.write_bytes(
        {
            "empty": b"",
            "within a number": whole[:-2],
            "within the header": whole[:12],
            "zeros": whole[:10] + bytes(len(whole) - 10),
            "garbage": b"\xff\xfe" + os.urandom(100) + b"\n",
            "other columns": gzip.compress(b"x,y\n1,2\n") if name.endswith("gz") else b"x,y\n1,2\n",
        }[damage]
    )
    if (name, damage) == ("summary.csv", "other columns"):
        assert list(read_table(path)) == ["x", "y"]
        return
    with pytest.raises(UserError, match=rf"^{path} is damaged \(.+\); run snakemake, which makes it anew"):
        READERS[name](path)


def test_what_is_whole_is_read(tmp_path):
    for name in ("labelled.csv", "pixels.csv.gz"):
        (tmp_path / name).write_bytes(WHOLE[name])
    with open_csv(tmp_path / "labelled.csv") as file:
        assert file.read() == WHOLE["labelled.csv"].decode()
    with open_csv(tmp_path / "pixels.csv.gz") as file:
        assert file.readline().startswith("dataset,model")
