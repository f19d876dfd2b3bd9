"""Ids and labels in tables: a row `<model>+levels` is about the level sets of a model's mean probability.

No id in the config has a `+`.
"""

from collections.abc import Mapping

SUFFIX = "+levels"


def levels_of(model: str) -> str:
    """The id of the level sets of a model.

    >>> levels_of("unet")
    'unet+levels'
    """
    return model + SUFFIX


def is_levels(name: str) -> bool:
    """Whether an id is one of level sets."""
    return name.endswith(SUFFIX)


def with_levels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of models by id, followed by those of their level sets.

    >>> with_levels({"unet": "U-Net"})
    {'unet': 'U-Net', 'unet+levels': 'level sets of U-Net'}
    """
    return {**labels, **{levels_of(model): f"level sets of {label}" for model, label in labels.items()}}
