"""Types of options with bounds, in addition to pydantic's `PositiveInt` and `PositiveFloat`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

Probability = Annotated[float, Field(ge=0, lt=1)]
"""In [0, 1)."""

Paths = Path | list[Path]
"""A file or folder of raw data, or several that are read as one."""


def _rising(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        found = validate(value)
        if found == "minmax" or found[0] < found[1]:
            return found
    except ValidationError:  # one per member of the union
        pass
    raise ValueError("give minmax, or [low, high] with low below high")


Intensity = Annotated[Literal["minmax"] | tuple[float, float], WrapValidator(_rising)]
"""The values that become black and white: two given ones, or the smallest and largest of each image."""
