"""The types of specs against what the config writes."""

import json
from typing import Any, get_type_hints

import pytest
from helpers.config import read_config

from segunc.active.acquisition import AcquireSpec
from segunc.active.training_pool import StartSpec
from segunc.cells import Cell
from segunc.config import specs
from segunc.config.load import load_with_device
from segunc.learning.train_spec import AugmentationSpec, BackboneSpec, SampleSpec, TrainingSpec, TrainSpec

CELL = Cell("phantom_lung", "ensemble", "entropy", 0, 1)


def written(name: str, cell: Cell = CELL) -> dict[str, Any]:
    return json.loads(getattr(specs, name)(load_with_device(read_config())[1], cell))


def keys(spec: type) -> set[str]:
    return set(get_type_hints(spec))


@pytest.mark.parametrize("step", ["train", "active_train"])
def test_training(step: str) -> None:
    found = written(step)
    assert set(found) == keys(TrainSpec)
    assert set(found["training"]) == keys(TrainingSpec)
    assert set(found["backbone"]) == keys(BackboneSpec)
    assert set(found["training"]["augmentation"]) == keys(AugmentationSpec)


def test_samples_and_acquisition() -> None:
    assert set(written("sample")) == SampleSpec.__required_keys__ == keys(SampleSpec) - {"wrapper"}
    assert set(written("active_start")) == keys(StartSpec)
    assert set(written("active_acquire")) == keys(AcquireSpec)
    without = written("active_acquire", CELL._replace(strategy="random"))
    assert keys(AcquireSpec) - set(without) == {"draws"} == AcquireSpec.__optional_keys__
