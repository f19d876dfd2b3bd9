"""Metrics: pure functions on arrays, one family per module, and one record for each metric in `registry`.

A metric judges the prediction for one image against its annotations. What is said about metrics elsewhere (columns,
tables, directions, descriptions) comes from the registry. Nothing here knows a model, a file or the config.
"""
