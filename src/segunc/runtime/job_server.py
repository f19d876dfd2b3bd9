"""Runs jobs in forks of processes that have imported their libraries, which takes longer than many a small job.

`segunc.workflow.job_server` starts one server per run of Snakemake on one machine. A job's program
(`segunc.runtime.handover`) connects to its socket, and passes on its words, environment, working directory and open
files. The server has one *template* per environment and set of libraries whose versions a record lists: a process that
forks for each job, and before that imports what no earlier job needed. Templates import nothing of segunc, so that each
job runs the sources as they are when it starts.

The program stays until its job ends, ends as the job did, and passes signals on. If it is killed, so is its job. The
server ends with Snakemake; templates end when their last job has.
"""

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segunc.runtime.code_digest import closure, import_statements
from segunc.runtime.errors import UserError
from segunc.runtime.handover import FORWARDED, LENGTH, python, receive, send
from segunc.runtime.records import LIBRARIES


def serve(listener: socket.socket, alive: int) -> None:
    """Passes each request on to a template, until the file `alive` ends: it is a pipe from Snakemake."""
    # SLURM sends them to all processes of a job, where a training run needs its template until its checkpoint is there.
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)
    templates: dict[str, socket.socket] = {}
    while alive not in select.select([listener.fileno(), alive], [], [])[0]:
        program, _ = listener.accept()
        with program, suppress(OSError, EOFError):
            request, files = receive(program, 3)
            try:
                if request["python"] == python():
                    _pass_on(request, [*files, program.fileno()], templates, listener)
            finally:
                for file in files:
                    os.close(file)


def _pass_on(request: Any, files: list[int], templates: dict[str, socket.socket], listener: socket.socket) -> None:
    request["libraries"] = names = libraries(_entries(request["words"]))
    listed = sorted({name.partition(".")[0] for name in names} & {*LIBRARIES})
    key = json.dumps([listed, request["environment"]], sort_keys=True)
    if key in templates:
        try:
            return send(templates[key], request, files)
        except OSError:  # It was killed.
            templates.pop(key).close()
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        for inherited in (listener, ours, *templates.values()):
            inherited.close()
        for file in files:
            os.close(file)
        _exit_with(lambda: Template(theirs, request["environment"]).serve())
    theirs.close()
    templates[key] = ours
    send(ours, request, files)


def _entries(words: Sequence[str]) -> list[str]:
    """The entry modules of a job, from its task."""
    task = words[1]
    text = Path(task[1:]).read_text(encoding="utf-8") if task.startswith("@") else task
    return json.loads(text)["code"].split()[:-1]


def libraries(entries: Iterable[str]) -> list[str]:
    """Modules of libraries, and names that may be such, which modules of segunc and all that they import import.

    Empty if a source file is not valid: then its job says so.
    """
    found = set()
    try:
        for module in {module for entry in entries for module in closure(entry)}:
            for _, origin, names in import_statements(module):
                if origin.partition(".")[0] not in {"segunc", *sys.stdlib_module_names}:
                    found |= {origin, *(f"{origin}.{name}" for name in names)}
    except UserError:
        return []
    return sorted(found)


class Template:
    """A process that has imported libraries and forks for each job."""

    def __init__(self, server: socket.socket, environment: dict[str, str]) -> None:
        self.server = server
        self.imported: set[str] = set()
        self.jobs: dict[int, tuple[int, socket.socket]] = {}
        """By the read end of a pipe that ends with the job: its process, and the connection to its program."""
        # Libraries read some variables when they are imported, such as OMP_NUM_THREADS.
        os.environ.clear()
        os.environ.update(environment)

    def serve(self) -> None:
        accepting = True
        while accepting or self.jobs:
            programs = {job[1].fileno(): job for job in self.jobs.values() if job[1].fileno() >= 0}
            server = [self.server.fileno()] if accepting else []
            # One at a time: a job that ends closes the connection to its program.
            ready = select.select([*self.jobs, *programs, *server], [], [])[0][0]
            if ready in self.jobs:
                self._end(ready)
            elif ready in programs:
                self._signal(*programs[ready])
            else:
                accepting = self._start()

    def _start(self) -> bool:
        """Starts the next job; returns whether there was one."""
        try:
            request, files = receive(self.server, 4)
        except (EOFError, OSError):
            return False
        program = socket.socket(fileno=files.pop())
        self._import(request["libraries"])
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            for inherited in (self.server, program, *(other for _, other in self.jobs.values())):
                inherited.close()
            for file in (read, *self.jobs):
                os.close(file)
            _exit_with(lambda: _run_job(request, files))
        for file in (write, *files):
            os.close(file)
        self.jobs[read] = process, program
        with suppress(OSError):  # Its program was killed, which is noticed next.
            program.send(b"y")
        return True

    def _import(self, names: Sequence[str]) -> None:
        if missing := [name for name in names if name not in self.imported]:
            for name in missing:
                _import(name)
            self.imported.update(missing)
            gc.freeze()  # Collecting garbage in a fork would copy the memory of what is imported.

    def _signal(self, process: int, program: socket.socket) -> None:
        """Passes signals on to a job, or kills it if its program was killed."""
        try:
            numbers = program.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            program.close()
        for number in numbers or [signal.SIGKILL]:
            os.kill(process, number)

    def _end(self, pipe: int) -> None:
        process, program = self.jobs.pop(pipe)
        os.close(pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with program, suppress(OSError):
            program.send(code.to_bytes(LENGTH, "big", signed=True))


def _import(name: str) -> None:
    """Imports a module, or the one that contains what is called so; a job that needs what is not there says so."""
    origin, _, last = name.rpartition(".")
    with suppress(Exception):
        if origin not in sys.modules or not hasattr(sys.modules[origin], last):
            importlib.import_module(name)


def _run_job(request: Any, files: Sequence[int]) -> None:
    """Turns this process into the one that `python -m segunc.runtime.start` would be, and runs the job."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    for number in FORWARDED:
        handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else handler)
    sys.argv[1:] = request["words"]
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    # Sources may have been edited since the server started.
    for module in [name for name in sys.modules if name.partition(".")[0] == "segunc"]:
        del sys.modules[module]
    importlib.import_module("segunc.runtime.job").run(request["words"])


def _exit_with(work: Callable[[], None]) -> None:
    """Does the work, and ends this process, a fork, as Python would end it."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        traceback.print_exc()
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        code = 1
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """`python -m segunc.runtime.job_server <number of the listening socket>`, with a pipe from Snakemake as stdin."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    folder = Path(listener.getsockname()).parent
    try:
        serve(listener, sys.stdin.fileno())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # Only then does their CPU time count as that of this process.
    with suppress(ChildProcessError):
        while True:
            os.wait()


if __name__ == "__main__":
    main()
