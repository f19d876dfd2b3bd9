import pytest
from helpers.study import write_dataset

from segunc.commands import inspect_store
from segunc.runtime.errors import UserError


def test_several_stores(tmp_path, capsys):
    for name in ("lung", "skin"):
        write_dataset(tmp_path / f"{name}.h5", annotators=4 if name == "lung" else 1)
    inspect_store.main([str(tmp_path / "lung.h5"), str(tmp_path / "skin.h5")])
    lung, skin = capsys.readouterr().out.split("\n\n")
    assert lung.startswith("lung: grey images of 9x7 pixels, 4 slots for annotators\n")
    assert skin.startswith("skin: grey images of 9x7 pixels, 1 slot for annotators\n")


def test_a_missing_store(tmp_path):
    with pytest.raises(UserError, match=r".*gone.h5 does not exist; run snakemake, which makes it."):
        inspect_store.main([str(tmp_path / "gone.h5")])
