"""What the logs of jobs say about their ends."""

from pathlib import Path

from segunc.runtime.errors import printable

TAIL = 20
"""Lines that are shown of a log without a message."""
AGAIN = "run the same command again"
"""Part of the messages about what may not happen again, such as a file that changed while a job read it."""


def message(log: Path) -> str:
    """The last message of segunc in a log, which ends a job that the user has to fix something for; else empty."""
    found = [line.removeprefix("segunc: ") for line in _lines(log) if line.startswith("segunc: ")]
    return printable(found[-1]) if found else ""


def last_line(log: Path) -> str:
    """The last message of segunc in a log if there is one, else the last line."""
    return message(log) or printable(_lines(log)[-1])


def reason(log: Path) -> str:
    """Why a job failed: the last message of segunc, else the last TAIL lines."""
    ended = "it ended without a message of its own; its log ends with:"
    return message(log) or "\n    ".join([ended, *map(printable, _lines(log)[-TAIL:])])


def may_succeed_again(log: Path) -> bool:
    """Whether a failed job may succeed with the same settings: not if segunc named something that has to change."""
    said = message(log)
    return not said or AGAIN in said


def _lines(log: Path) -> list[str]:
    """The lines of a log that are not blank; if there are none, one that says so."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [f"{log} is missing"]
    return [line.strip() for line in text.split("\n") if line.strip()] or [f"{log} is empty"]
