"""Plain progress lines on stderr: readable in a log file, on a terminal and in a cluster's output."""

import sys
import time

FIRST, LONGEST, GROWTH = 5.0, 60.0, 1.5
"""Seconds between two lines: at first, at most, and by how much they grow from line to line."""


class Progress:
    """Reports the progress of a long piece of work, at first every 5 seconds, then more and more rarely.

    `what` names the work (`train lidc unet seed 0`), `total` is the number of its parts, None if unknown.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self.what = what
        self.total = total
        self.start = self.last = time.monotonic()
        self.pause = FIRST
        self.first: int | None = None

    def update(self, done: int, note: str = "") -> None:
        """Prints `what: done/total (percent), time left, note` unless the last line is too recent.

        The time left is extrapolated from the first update on, so that resumed work does not look fast.
        """
        now = time.monotonic()
        if self.first is None:
            self.first, self.start = done, now
        if now - self.last < self.pause:
            return
        self.last, self.pause = now, min(GROWTH * self.pause, LONGEST)
        print(f"{self.what}: {', '.join(self._facts(done, now - self.start, note))}", file=sys.stderr, flush=True)

    def _facts(self, done: int, seconds: float, note: str) -> list[str]:
        if self.total is None:
            facts = [str(done)]
        else:
            facts = [f"{done}/{self.total} ({done / max(self.total, 1):.0%})"]
            recent = done - (self.first or 0)
            if recent > 0 and done < self.total:
                facts.append(f"{clock(seconds / recent * (self.total - done))} left")
        return [*facts, note] if note else facts


def clock(seconds: float) -> str:
    """Seconds as `m:ss`, or `h:mm:ss` from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
