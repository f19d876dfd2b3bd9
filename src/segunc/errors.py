"""How a stage ends early: mistakes that a user can mend in one sentence, and being stopped from outside."""

import signal
import sys
from collections.abc import Callable
from functools import wraps


class UserError(Exception):
    """Something about the user's files or config is wrong.

    The message is one sentence: which file or key, what is wrong with it, what to do.
    """


def stage(main: Callable[[], None]) -> Callable[[], None]:
    """Decorates the `main` of a stage: a UserError ends the program with exit code 1 and `segunc: <sentence>`.

    Any other exception keeps its traceback, because it is a defect of segunc and not of the user's files. SIGTERM, with
    which schedulers stop a job, unwinds like Ctrl-C does, so that half-written files are removed.
    """

    @wraps(main)
    def run() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            main()
        except UserError as error:
            sys.exit(f"segunc: {error}")

    return run
