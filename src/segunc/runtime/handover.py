"""Hands a job to the job server, if there is one (`segunc.runtime.job_server`), and what both send each other.

Imports little, because every job does it.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from segunc.runtime.errors import UserError

SOCKET = "SEGUNC_JOB_SERVER"
"""Environment variable: path of the server's socket."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a program passes on to its job."""
LENGTH = 8
"""Bytes that give the length of a request, and bytes of an exit status."""


def run_in_server(words: Sequence[str]) -> int | None:
    """Has the server run a job, with the words of `segunc.runtime.start`, and returns its exit code when it has ended.

    Returns None if no server takes the job; then nothing has happened. A job that a signal ended ends this process in
    the same way. Raises UserError if the job ended without a status, because a process of the server was killed.
    """
    path = os.environ.get(SOCKET)
    if not path:
        return None
    ignored = [int(number) for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
    umask = os.umask(0)
    os.umask(umask)
    request = {
        **{"words": list(words), "cwd": os.getcwd(), "environment": dict(os.environ), "python": python()},  # noqa: PTH109
        **{"ignored": ignored, "umask": umask},
    }
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(path)
            send(server, request, [0, 1, 2])
            if server.recv(1) != b"y":
                return None
        except OSError:  # No server, none any more, or a closed standard stream.
            return None

        def forward(number: int, _: Any) -> None:
            with suppress(OSError):  # The job has just ended.
                server.send(bytes([number]))

        for number in {*FORWARDED} - {*ignored}:
            signal.signal(number, forward)
        status = server.recv(LENGTH, socket.MSG_WAITALL)
    if len(status) < LENGTH:
        raise UserError("the process that ran this job was killed; run the same command again.")
    code = int.from_bytes(status, "big", signed=True)
    if code < 0:
        with suppress(OSError):  # Not every signal can be handled.
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def python() -> list[str]:
    """What has to be the same in the program of a job and in the server."""
    return [sys.prefix, sys.version, *sys.path]


def send(to: socket.socket, message: Any, files: Sequence[int]) -> None:
    """Sends a message, as JSON, and open files."""
    data = json.dumps(message).encode()
    socket.send_fds(to, [len(data).to_bytes(LENGTH, "big")], files)
    to.sendall(data)


def receive(source: socket.socket, files: int) -> tuple[Any, list[int]]:
    """A message and at most so many open files; raises EOFError if the other end was closed."""
    length, received, _, _ = socket.recv_fds(source, LENGTH, files)
    data = source.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL) if length else b""
    if not data:
        raise EOFError
    return json.loads(data), list(received)
