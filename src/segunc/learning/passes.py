"""How many images go through a network at a time, and how often. Without torch, so that costs can be estimated."""

SAMPLING_BATCH = 32
"""Images per pass of sampling."""
VALIDATION_BATCH = 64
"""Images per pass of a validation."""
VALIDATION_DRAWS = 8
"""Samples per image whose mean is validated."""
