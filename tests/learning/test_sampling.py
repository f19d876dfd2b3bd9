"""The samples file is written while the network is sampled."""

import json
import weakref
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.training import CPU, images, spec

from segunc.data.store import ImageRecord, write_store
from segunc.learning import passes, sampling, training
from segunc.learning.weights import write_weights
from segunc.runtime.errors import UserError

SIZE = 16


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with a U-Net, and a store with 7 test images and 3 validation images."""
    made = images(10)
    records = (ImageRecord(made.images[i], list(made.masks[i]), f"i{i}", f"g{i}", f"p{i}") for i in range(10))
    write_store(tmp_path / "store.h5", records, lambda patients, published: ["test"] * 7 + ["val"] * 3, {})
    weights, _ = training.train(spec(), made, images(4, seed=1), CPU, "test")
    write_weights(tmp_path / "weights.pt", weights)
    return tmp_path


def written(folder: Path, **changes: Any) -> dict[str, Any]:
    path, spec = folder / "samples.h5", {"draws": 4, "seed": 0, **changes}
    sampling.write_samples(path, folder / "store.h5", folder / "weights.pt", spec, CPU, "test")
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


@pytest.mark.parametrize("batch", [1, 3])
def test_the_file_does_not_depend_on_the_passes(trained: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    whole = written(trained)
    monkeypatch.setitem(passes.SAMPLING_PIXELS, "cpu", batch * SIZE**2)
    in_parts = written(trained)
    assert list(in_parts) == list(whole)
    for name, values in whole.items():
        assert in_parts[name].dtype == values.dtype and in_parts[name].shape == values.shape
        if values.dtype.kind == "f":
            np.testing.assert_allclose(in_parts[name], values, atol=2e-3)
        elif name != "samples":
            assert np.array_equal(in_parts[name], values)
    # Rounding may move a pixel across the threshold.
    assert np.bitwise_count(in_parts["samples"] ^ whole["samples"]).sum() <= 2


def test_memory_does_not_grow_with_the_number_of_images(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a batch is summarised, the arrays of at most one earlier batch still exist."""
    monkeypatch.setitem(passes.SAMPLING_PIXELS, "cpu", SIZE**2)
    summarise, made = sampling.summarise_samples, []

    def spy(samples: Any) -> dict[str, np.ndarray]:
        summary = summarise(samples)
        assert sum(array() is not None for array in made) <= len(summary)
        made.extend(weakref.ref(array) for array in summary.values())
        return summary

    monkeypatch.setattr(sampling, "summarise_samples", spy)
    written(trained)
    assert len(made) > 7 * 5


def test_a_wrapper_samples_from_the_same_weights(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight outcomes of the U-Net; the file says which wrapper. It is tried first, on the middle of two images."""
    wrapper = {"method": "tta", "options": {"views": 8}}
    own, views = written(trained), written(trained, wrapper=wrapper)
    assert own["samples"].shape[1] == 1 and views["samples"].shape[1] == 8
    # The first view is the image itself.
    assert np.array_equal(views["samples"][:, :1], own["samples"])
    assert not np.allclose(views["mean_probability"], own["mean_probability"], atol=1e-3)
    assert not np.allclose(views["validation_probability"], own["validation_probability"], atol=1e-3)
    with h5py.File(trained / "samples.h5") as file:
        assert file.attrs["draws"] == "exact" and json.loads(file.attrs["spec"])["sample"]["wrapper"] == wrapper
    monkeypatch.setattr("segunc.models.tta.transformed_back", lambda samples, view: samples + 1)
    with pytest.raises(
        UserError, match=r"models/tta\.py breaks the contract of models .* probabilities are in \[0, 1\]"
    ):
        written(trained, wrapper=wrapper)
