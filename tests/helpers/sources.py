"""A package `segunc` of a few modules, in place of the real sources."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from segunc.runtime import code_digest
from segunc.workflow import broken_code

CACHED = (
    *(code_digest.closure, code_digest.digest, code_digest.tree),
    *(code_digest.imported_modules, code_digest.import_statements),
    *(broken_code._checked, broken_code._nodes_of, broken_code._names_in, broken_code._is_installed),
)


def write_package(folder: Path, files: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the modules (text by file), of which digests and checks are taken from now on."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(code_digest, "PACKAGE", folder)
    forget()


def edit(folder: Path, file: str, change: Callable[[str], str]) -> None:
    """Edits a module as if the program started anew afterwards."""
    path = folder / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    forget()


def forget() -> None:
    """Forgets what is known about sources."""
    for function in CACHED:
        function.cache_clear()
