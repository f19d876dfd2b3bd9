"""Runs Python modules in forks of one process that has imported Snakemake, which saves each run more than a second.

A program: it reads one request per line from stdin, JSON with `module`, `words`, `cwd`, `path` (to be put first in
`sys.path`), and `output` and `errors`, the files for stdout and stderr; it answers each with the exit code.
"""

import json
import os
import runpy
import sys
import traceback

# What Snakemake and the rules import, but nothing of segunc: a run takes that from its own checkout.
import pydantic  # noqa: F401
import smart_open  # noqa: F401
import snakemake.cli
import snakemake.report.html_reporter  # noqa: F401
import yaml  # noqa: F401


def run(module: str, words: list[str], cwd: str, path: list[str], output: str, errors: str) -> int:
    """Runs the module as `python -m` does, in this process."""
    for number, file in ((1, output), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(cwd)
    sys.path[:0] = path
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            code = run(**json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
