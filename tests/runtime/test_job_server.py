"""The job server: jobs run in forks, and nothing about them can be told from jobs that run by themselves."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers.jobs import task, write

from segunc.runtime.handover import SOCKET
from segunc.runtime.job import Task
from segunc.runtime.job_server import libraries

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from segunc.runtime.errors import UserError
from segunc.runtime.stage import Job, stage


@stage
def main(
    job: Job,
    *,
    samples: Path,  # file to write
    then: str = "",  # how the program ends
) -> None:
    facts = os.getcwd(), os.environ.get("FACT"), sys.argv[1:2], os.umask(0o22), sys.stdin.read()
    print(*facts, "numpy" in sys.modules, signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, sep="|", flush=True)
    samples.parent.mkdir(exist_ok=True)
    samples.write_text(str(os.getppid()))
    if then == "wait":
        print("waiting", flush=True)
        time.sleep(60)
    if then == "sentence":
        raise UserError("this is what to do.")
    if then == "defect":
        raise ValueError("a defect")
    if then == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
"""


class Server:
    """A job server whose pipe the test holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "FACT": "one"}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "server/socket"))
            listener.listen()
            number = listener.fileno()
            words = [sys.executable, "-m", "segunc.runtime.job_server", str(number)]
            environment = {name: value for name, value in self.environment.items() if name != "FACT"}
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[number], env=environment)
        self.environment[SOCKET] = str(folder / "server/socket")

    def start(self, of: Task, then: str = "", **environment: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "segunc.runtime.start", "toy", json.dumps(of._asdict())]
        words += ["--samples", of.outputs["cell.h5"], "--then", then]
        pipe = subprocess.PIPE
        variables = {**self.environment, **environment}
        job = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=self.folder, env=variables)
        assert job.stdin is not None
        job.stdin.write("words of stdin")
        job.stdin.close()
        job.stdin = None
        return job

    def run(self, of: Task, then: str = "", **environment: str) -> tuple[int, str, str]:
        job = self.start(of, then, **environment)
        said, wrong = job.communicate(timeout=60)
        return job.returncode, said, wrong

    def templates(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def made(tmp_path: Path) -> Task:
    """A job of a toy program, with one input."""
    (tmp_path / "toy.py").write_text(PROGRAM)
    write(tmp_path, "train", {"weights.pt": "weights"})
    return task(tmp_path, "sample", {"train": "weights.pt"})._replace(anew=True)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    one = Server(tmp_path)
    yield one
    assert one.process.stdin is not None
    one.process.stdin.close()
    assert one.process.wait(timeout=20) == 0
    assert not (tmp_path / "server").exists()


def ran_in(of: Task) -> int:
    """The parent of the process that ran the job."""
    return int(Path(of.outputs["cell.h5"]).read_text())


@pytest.mark.parametrize("then", ["", "sentence", "defect", "killed"])
def test_a_job_ends_as_it_does_by_itself(made: Task, server: Server, then: str) -> None:
    served = server.run(made, then)
    assert ran_in(made) in [template.pid for template in server.templates()]
    alone = server.run(made, then, **{SOCKET: ""})
    assert ran_in(made) == os.getpid()

    def comparable(code: int, said: str, wrong: str) -> tuple[int, str, list[str]]:
        return code, said, wrong.splitlines()[-1:]

    assert comparable(*served) == comparable(*alone)
    assert served[0] == {"": 0, "sentence": 1, "defect": 1, "killed": -signal.SIGKILL}[then]
    assert served[1].startswith(f"{server.folder}|one|['toy']|18|words of stdin|")
    assert Path(made.record).exists() == (then == "")


def test_templates_are_shared_by_libraries_and_environment(made: Task, server: Server, tmp_path: Path) -> None:
    assert server.run(made)[1].split("|")[5] == "False"
    first = ran_in(made)
    assert server.run(made)[0] == 0 and ran_in(made) == first
    # Libraries may read variables when they are imported.
    assert server.run(made, FACT="two")[1].split("|")[1] == "two"
    assert ran_in(made) != first
    # An entry module that imports numpy, as this job's task says.
    with_numpy = made._replace(code="segunc.metrics.ged 0123")
    assert server.run(with_numpy)[1].split("|")[5] == "True"
    assert ran_in(made) != first and len(server.templates()) == 3


def test_what_a_stage_imports_is_found() -> None:
    names = libraries(["segunc.stages.train", "segunc.models.unet"])
    assert {"torch", "torch.nn.functional", "h5py", "numpy"} <= {*names}
    assert not [name for name in names if name.partition(".")[0] in ("segunc", "json", "matplotlib")]
    assert libraries(["segunc.no_such_module"]) == []


def test_each_job_runs_the_sources_of_its_time(made: Task, server: Server, tmp_path: Path) -> None:
    assert server.run(made)[0] == 0
    template = ran_in(made)
    (tmp_path / "toy.py").write_text(PROGRAM.replace("print(*facts", 'print("edited", *facts'))
    assert server.run(made)[1].startswith("edited|") and ran_in(made) == template


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_signals_reach_the_job(made: Task, server: Server, sent: signal.Signals) -> None:
    job = server.start(made, "wait")
    assert job.stdout is not None
    while job.stdout.readline() != "waiting\n":
        assert job.poll() is None
    (running,) = psutil.Process(ran_in(made)).children()
    job.send_signal(sent)
    job.communicate(timeout=20)
    assert job.returncode == (-sent if sent in (signal.SIGINT, signal.SIGKILL) else 128 + sent)
    running.wait(timeout=20)
    assert not Path(made.record).exists()
    assert server.run(made)[0] == 0


def test_ignored_signals_stay_ignored(made: Task, server: Server) -> None:
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert server.run(made)[1].split("|")[6] == "True\n"
    finally:
        signal.signal(signal.SIGHUP, before)
    assert server.run(made)[1].split("|")[6] == "False\n"


def test_jobs_outlive_the_server(made: Task, server: Server) -> None:
    """Snakemake was killed: its jobs end as they would without a server; later ones run by themselves."""
    job = server.start(made, "wait")
    assert job.stdout is not None
    while job.stdout.readline() != "waiting\n":
        assert job.poll() is None
    assert server.process.stdin is not None
    server.process.stdin.close()
    while (server.folder / "server").exists():
        time.sleep(0.05)
    assert job.poll() is None and psutil.pid_exists(ran_in(made))
    job.terminate()
    job.communicate(timeout=20)
    assert job.returncode == 128 + signal.SIGTERM
    assert server.run(made)[0] == 0 and ran_in(made) == os.getpid()


def test_a_template_that_is_killed_is_replaced(made: Task, server: Server) -> None:
    job = server.start(made, "wait")
    assert job.stdout is not None
    while job.stdout.readline() != "waiting\n":
        assert job.poll() is None
    (running,) = psutil.Process(ran_in(made)).children()
    psutil.Process(ran_in(made)).kill()
    assert job.wait(timeout=20) == 1
    running.kill()
    _, wrong = job.communicate(timeout=20)
    assert wrong == "segunc: the process that ran this job was killed; run the same command again.\n"
    assert server.run(made)[0] == 0


@pytest.mark.parametrize("path", ["nowhere", "toy.py"])
def test_without_a_server_a_job_runs_by_itself(made: Task, server: Server, path: str) -> None:
    assert server.run(made, **{SOCKET: str(server.folder / path)})[0] == 0 and ran_in(made) == os.getpid()


def test_another_python_gets_no_fork(made: Task, server: Server) -> None:
    """A job in a conda environment, or with other sources."""
    assert server.run(made, PYTHONPATH=f"{server.folder}:/nowhere")[0] == 0 and ran_in(made) == os.getpid()
