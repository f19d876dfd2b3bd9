"""Estimates for a grid before anything runs: its jobs, their durations and costs, and the report of `segunc plan`.

Nothing here computes a result, and no stage imports it.
"""
