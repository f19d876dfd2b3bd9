"""What a training asks a scheduler for."""

import json

import pytest

from segunc.workflow import scheduler_resources as resources

SPEC = json.loads("""{"method": "unet", "options": {}, "backbone": {"filters": [8, 16], "convolutions": 3},
                      "training": {"steps": 1000, "epochs": null, "batch_size": 10}}""")


def with_(**changes: object) -> dict:
    return {**SPEC, **{key: {**SPEC[key], **value} for key, value in changes.items()}}  # type: ignore[dict-item]


def test_activations_are_counted_by_level() -> None:
    # 3 convolutions with 8 filters on 64 x 64 pixels and with 16 on 32 x 32.
    assert resources.activations(SPEC, 64) == 3 * (8 * 64**2 + 16 * 32**2)
    assert resources.activations(with_(options={"members": 4}), 64) == 4 * resources.activations(SPEC, 64)


def test_memory_grows_with_the_batch() -> None:
    small, large = (
        resources.training_memory(SPEC, 64),
        resources.training_memory(with_(training={"batch_size": 100}), 64),
    )
    assert resources.BASE_MEMORY < small < large
    assert large - resources.BASE_MEMORY == pytest.approx(10 * (small - resources.BASE_MEMORY), rel=0.1)


def test_time_grows_with_steps_up_to_a_day() -> None:
    more = resources.training_minutes(with_(training={"steps": 20_000}), 128, 1)
    assert resources.training_minutes(SPEC, 128, 1) < more < resources.DAY
    assert resources.training_minutes(with_(training={"steps": 20_000}), 128, 4) < more
    assert resources.training_minutes(with_(training={"steps": 10**9}), 128, 4) == resources.DAY
    assert resources.training_minutes(with_(training={"steps": None, "epochs": 1}), 128, 4) == resources.DAY
