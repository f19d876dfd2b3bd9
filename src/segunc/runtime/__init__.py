"""What runs a stage and computes nothing: arguments, signals, errors, progress, atomic files, records, code digests.

It imports neither another package of segunc nor numpy, and is left out of code digests, so that an edit here reruns
nothing. Whatever could change a result belongs elsewhere.
"""
