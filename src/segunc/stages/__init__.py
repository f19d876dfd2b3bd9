"""The steps of the workflow, one program per rule: which files it reads and writes, and which library does the work.

Each module has the name of its rule. No module imports a stage; shared code is in the library packages.
"""
