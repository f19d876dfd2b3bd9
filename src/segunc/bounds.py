"""Bounded types for options; pydantic's `PositiveInt` and `PositiveFloat` are the others."""

from typing import Annotated

from pydantic import Field

Probability = Annotated[float, Field(ge=0, lt=1)]
"""In [0, 1)."""
