"""Active learning: which images are labelled in which round, and the scores and tables of rounds.

Strategies themselves are in `segunc.strategies`, training in `segunc.learning`. `acquisition` and `labelled_set` import
no torch, so that the many small jobs without a model start fast.
"""
