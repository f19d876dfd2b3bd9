"""What the rules and the commands need around Snakemake: its undocumented parts, resources, reasons, partial outputs.

Nothing here computes a result, and no stage imports it.
"""
