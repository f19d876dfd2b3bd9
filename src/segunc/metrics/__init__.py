"""Metrics, one family per file: pure functions on arrays."""
