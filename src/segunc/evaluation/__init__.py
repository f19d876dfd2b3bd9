"""Evaluation: predictions read from files, their scores per image, baselines on the same scale, statistics, tables.

It connects what `segunc.metrics` computes for arrays with stores, samples files and tables. It never runs a network and
imports no torch.
"""
