"""Figures: one program per figure, and what figures share.

The module `X` is run by the rule `plot_X`. It has a function `plot`, which turns tables or images and the spec into a
matplotlib figure, and a `main`, which reads the files and writes a PNG and a PDF. Shared are `style` (look, labels),
`specs` (settings), `panels` (rows of panels), `examples` (single images) and `distributions`. Figures read stores,
samples, tables and labelled sets, and compute no scores. They may import `data`, `metrics`, `evaluation`,
`active.labelled_set`, `cells` and `runtime`, but neither commands nor stages nor the workflow.
"""
