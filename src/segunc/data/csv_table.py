"""Reading a CSV as editors and spreadsheets save it: all its rows, or an error in one sentence."""

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segunc.runtime.errors import UserError

Columns = Mapping[str, Sequence[str]]
"""Accepted names of a column in the header (case does not matter), by the name under which it is returned."""


def read_table(path: Path, needed: Columns, optional: Columns | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values of each row; `needed` values are never empty, missing `optional` ones are.

    The separator is the most frequent of comma, semicolon and tab in the header. Text is UTF-8 with or without a
    byte-order mark. Values are stripped and in the normal form NFC. Empty rows are skipped.

    Raises UserError if the file cannot be read or lacks a needed column or value.
    """
    rows = _rows(path)
    line, header = next(rows, (1, []))
    place: dict[str, int] = {}
    for column, accepted in {**needed, **(optional or {})}.items():
        fits = [position for position, name in enumerate(header) if name.lower() in [n.lower() for n in accepted]]
        if len(fits) > 1 or (not fits and column in needed):
            problem = "several columns" if fits else "no column"
            raise UserError(f"{path} has {problem} called {' or '.join(accepted)}; its first line names the columns.")
        if fits:
            place[column] = fits[0]
    for line, fields in rows:
        if not any(fields):
            continue
        if any(fields[len(header) :]):
            raise UserError(f"line {line} of {path} has more fields than the header; correct it.")
        fields += [""] * (len(header) - len(fields))
        values = {column: fields[position] for column, position in place.items()}
        for column in needed:
            if not values[column]:
                raise UserError(f"line {line} of {path} has nothing in the column {header[place[column]]}; fill it in.")
        yield line, {**dict.fromkeys(optional or {}, ""), **values}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = unicodedata.normalize("NFC", path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); replace it.") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # as in UTF-16; text never contains it, and HDF5 cannot store it
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        for fields in reader:
            yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise UserError(f"line {reader.line_num} of {path} cannot be read ({error}); correct it.") from None
