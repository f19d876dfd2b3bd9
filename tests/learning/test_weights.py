"""`weights.pt` as it was written, damaged, and written by somebody else."""

import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from segunc.learning.build import restore
from segunc.learning.weights import load_weights, write_weights
from segunc.runtime.errors import UserError

WEIGHTS = {"spec": "{}", "data": {"mean": [0.5]}, "state": {"a": torch.arange(1000.0)}}


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_what_is_written_is_read(tmp_path):
    write_weights(tmp_path / "weights.pt", WEIGHTS)
    read = load_weights(tmp_path / "weights.pt")
    assert (read["spec"], read["data"]) == (WEIGHTS["spec"], WEIGHTS["data"])
    assert torch.equal(read["state"]["a"], WEIGHTS["state"]["a"])


@pytest.mark.parametrize("damage", ["empty", "cut", "cut at the end", "zeros", "first byte", "pickle", "tensor", "end"])
def test_damage_is_one_sentence(tmp_path, damage):
    path = tmp_path / "weights.pt"
    write_weights(path, WEIGHTS)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        starts = {name.rpartition("/")[2]: archive.getinfo(name).header_offset for name in archive.namelist()}
    if damage in ("empty", "cut", "cut at the end"):
        content = content[: {"empty": 0, "cut": len(content) // 2, "cut at the end": len(content) - 1}[damage]]
    elif damage == "zeros":
        content = content[:1000] + bytes(len(content) - 1000)
    else:
        at = {
            "first byte": 0,
            "pickle": starts["data.pkl"] + 80,
            "tensor": starts["0"] + 1000,
            "end": len(content) - 22,
        }
        content[at[damage]] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{path} is damaged \(.+\); run snakemake, which makes it anew"):
        load_weights(path)


def test_what_is_in_a_foreign_file_is_not_executed(tmp_path):
    path, trace = tmp_path / "weights.pt", tmp_path / "executed"
    malice = Malice(trace)
    for content in (malice, {**WEIGHTS, "state": malice}, {**WEIGHTS, "spec": [malice]}):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=r"weights\.pt is damaged \(File is not a zip file\)"):
            load_weights(path)
        for zipped in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(
                UserError, match=r"weights\.pt is damaged \((it contains more than plain|File is not a zip)"
            ):
                load_weights(path)
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file")
def test_other_files_of_torch(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(UserError, match=r"weights\.pt is damaged \(it has no weights of a network of segunc\)"):
        load_weights(path)
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))
    with pytest.raises(UserError, match=r"weights\.pt is damaged"):
        load_weights(path)


@pytest.mark.parametrize(
    "spec",
    [
        "no JSON",
        "[]",
        "{}",
        '{"method": "../../os"}',
        '{"method": "os.path"}',
        '{"method": "__init__", "backbone": {}}',
    ],
)
def test_a_network_that_segunc_does_not_have(spec):
    with pytest.raises(UserError, match="the weights are not those of a network of segunc"):
        restore({**WEIGHTS, "spec": spec}, torch.device("cpu"))
