"""Reading CSV files that a stage wrote, whole or not at all."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from segunc.runtime.reading import reading


@contextmanager
def open_csv(path: Path) -> Iterator[TextIO]:
    """The text of a CSV file that a stage wrote, unpacked if its name ends in `.gz`; the block within it parses the
    text and does nothing else.

    Raises UserError if the file is not there, not readable, cut off or otherwise damaged.
    """
    with reading(path):
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        # Stages end each line, so a missing end shows that a number may lack digits.
        if not text.endswith("\n"):
            raise ValueError("its last line is cut off" if text else "it is empty")
        yield io.StringIO(text, newline="")
