"""Starts a job of the workflow: `python -m segunc.runtime.start <module> <task> <options of the stage>`.

The task is JSON (`segunc.runtime.job.Task`), or `@FILE` with it. Results that are kept are restored before the module
is imported, which takes a tenth of a second.
"""

import json
import sys
from pathlib import Path

from segunc.runtime import job
from segunc.runtime.job import Source, Task
from segunc.runtime.stage import Job, ends_in_words


def read_task(text: str) -> Task:
    """The task of a job from JSON, or from the file that `@FILE` names."""
    task = Task(**json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text))
    return task._replace(inputs=[Source(*source) for source in task.inputs])


def main() -> None:
    module, text, *words = sys.argv[1:]
    with ends_in_words():
        started = job.start(read_task(text))
        if job.restore(started):
            what = job.name_of(started.task)
            print(f"{what}: restored, as computed before from the same settings, code and inputs", flush=True)
            return
        of_stage = Job(started.task.spec, started.code)
        job.import_program(started, module).main(words, of_stage)
        job.finish(started)
        of_stage.run_afterwards()


if __name__ == "__main__":
    main()
