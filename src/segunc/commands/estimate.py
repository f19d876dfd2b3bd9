"""`segunc plan`: prints what a run would take."""

from collections.abc import Sequence

from segunc.plan.report import report


def plan(arguments: Sequence[str]) -> int:
    """Estimates what `snakemake <arguments>` takes: jobs, hours, disk usage and minimum wall time."""
    print(report(arguments))
    return 0
