"""Reading files that segunc wrote: whatever a damaged one raises becomes one sentence."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from segunc.runtime.errors import UserError

LONGEST = 160
"""Characters of a library's message that are quoted."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """The block within it reads `path` and does nothing else, because any of its errors is taken for damage.

    Raises UserError if the block fails, and if the file is not there, not a regular file (a pipe would be waited for)
    or may not be read. A UserError of the block is passed on.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path} is not a regular file; put one in its place.")
        yield
    except (UserError, MemoryError):
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run snakemake, which makes it.") from None
    except Exception as error:
        # Errors of the system have a number; those of libraries about the contents have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(
                f"{path} cannot be read ({os.strerror(error.errno)}); make it readable and run again."
            ) from error
        reason = shorten(str(error), LONGEST, placeholder=" ...") or type(error).__name__
        raise UserError(f"{path} is damaged ({reason}); run snakemake, which makes it anew.") from error
