"""What a training run requests from a scheduler."""

import json
from typing import Any

import pytest

from segunc.workflow.scheduler_resources import BASE_MEMORY, DAY, Demand, demand

SPEC: dict[str, Any] = {
    "method": "unet",
    "options": {},
    "backbone": {"filters": [8, 16], "convolutions": 3, "normalisation": "batch"},
    "training": {"steps": 1000, "epochs": None, "batch_size": 10},
}


def of(size: int = 64, method: str = "unet", options: dict[str, Any] | None = None, **training: int | None) -> Demand:
    changed = {"method": method, "options": options or {}, "training": {**SPEC["training"], **training}}
    return demand(json.dumps({**SPEC, **changed}), size)


def activations(found: Demand) -> int:
    return found.memory - BASE_MEMORY


def test_memory_is_that_of_the_activations_of_a_batch() -> None:
    # 3 convolutions with 8 filters on 64 x 64 pixels, down and up, and with 16 on 32 x 32: 12 bytes of each value.
    assert activations(of(batch_size=1000)) == pytest.approx(12e-3 * 3 * (2 * 8 * 64**2 + 16 * 32**2), abs=1)
    small, large = (activations(of(batch_size=size)) for size in (1000, 10_000))
    assert large == pytest.approx(10 * small, rel=0.01)


def test_memory_is_that_of_all_networks_of_a_model() -> None:
    one, four, latent = (
        activations(of(method=method, options=options, batch_size=1000))
        for method, options in (("unet", {}), ("ensemble", {"members": 4}), ("prob_unet", {"latent": 6}))
    )
    assert four == pytest.approx(4 * one, rel=0.01)
    assert one < latent < 3 * one


def test_time_grows_with_steps_up_to_a_day() -> None:
    more = of(128, steps=20_000)
    assert of(128).minutes(1) < more.minutes(1) < DAY
    assert more.minutes(4) < more.minutes(1)
    assert of(128, steps=10**9).minutes(4) == DAY
    assert of(128, steps=None, epochs=1).minutes(4) == DAY
