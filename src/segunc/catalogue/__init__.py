"""Catalogues of raw formats, models and strategies: which there are, and which options each has.

An entry is a module found by the name of its file. Its options are read from the source text, so that neither the
config nor the rules import torch. Here belongs what reads such files, and the types with which they annotate options;
nothing that knows the config.
"""
