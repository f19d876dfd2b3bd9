"""The configuration of an experiment: its schema, its validation, and the specs derived from it.

`schema` defines the keys, `load` validates them and reports each mistake in one sentence, `specs` gives each job the
settings that its result depends on, `raw_data` finds a dataset's files, `acquisition` selects the job that chooses a
round's images. Here belongs what depends on the config alone; nothing that trains, computes or knows paths of results.
"""
