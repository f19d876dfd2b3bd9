"""Starts the server in which the jobs of a run share imported libraries (`segunc.runtime.job_server`)."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from segunc.runtime.handover import SOCKET


def start() -> None:
    """Starts a server that ends with this process, and names its socket in the environment of the jobs.

    If it cannot be started, jobs import their libraries themselves.
    """
    if os.environ.get(SOCKET):  # This run was started by another, which has one.
        return
    folder = Path(tempfile.mkdtemp(prefix="segunc-"))
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "socket"))
            listener.listen(128)
            words = [sys.executable, "-m", "segunc.runtime.job_server", str(listener.fileno())]
            # In a session of its own: Ctrl-C reaches the programs of the jobs, which pass it on.
            server = subprocess.Popen(  # noqa: S603 (this Python and no foreign words)
                words,
                stdin=subprocess.PIPE,  # It ends with this process.
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
    except OSError:
        shutil.rmtree(folder)
    else:
        os.environ[SOCKET] = str(folder / "socket")
        atexit.register(_stop, server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Waits for the server, so that what its processes took counts as Snakemake's, unless a job is still running."""
    assert server.stdin is not None
    server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=2)
