"""Starts a job of the workflow: `python -m segunc.runtime.start <module> <task> <options of the stage>`.

The task is JSON (`segunc.runtime.job.Task`), or `@FILE` with it. The job runs in a process of the job server if there
is one (`segunc.runtime.job_server`), else in this one.
"""

import sys

from segunc.runtime.errors import UserError
from segunc.runtime.handover import run_in_server


def main() -> None:
    words = sys.argv[1:]
    try:
        code = run_in_server(words)
    except UserError as error:
        sys.exit(f"segunc: {error}")
    if code is None:
        from segunc.runtime import job  # takes four times as long to import as the rest

        job.run(words)
    sys.exit(code)


if __name__ == "__main__":
    main()
