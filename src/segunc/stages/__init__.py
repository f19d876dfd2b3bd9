"""The steps of the workflow, one program per rule: which files it reads and writes, and which library does the work.

A module is called like its rule, and nothing imports it: what others need is in a library.
"""
