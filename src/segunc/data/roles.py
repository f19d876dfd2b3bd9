"""Which file has which role in a dataset, such as a mask's: one file per role, and no file without one."""

import hashlib
import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from segunc.data.archive import Files, listed
from segunc.runtime.errors import UserError

Role = TypeVar("Role", bound=Hashable)

NO_DATA = re.compile(
    r"\.(csv|tsv|txt|md|rst|rtf|json|xml|xsd|ya?ml|html?|pdf|docx?|xlsx?|ods|bib|log|py|ipynb|sh|md5|sha256|tcia)$"
    r"|(^|/)\.[^./]",
    re.IGNORECASE,
)
"""Documents, and hidden files and folders."""
PACKED = re.compile(r"(?P<folder>.+)\.(zip|tar|tar\.gz|tgz)", re.IGNORECASE)


def one_each(
    files: Files, claims: Mapping[Role, Sequence[str]], source: Path | str | None = None, of: str = "id"
) -> dict[Role, str]:
    """The name of one file per role, from those of all files that claim it: the first of identical ones.

    Raises UserError with the names of all files that claim one role, but differ; `of` is what they have in common.
    """
    differing = [names for names in claims.values() if len(names) > 1 and len({_sha256(files, n) for n in names}) > 1]
    if differing:
        groups = listed([listed(names, " and ") for names in differing])
        place = f" in {source}" if source else ""
        raise UserError(f"{groups}{place} have the same {of}, but differ; keep one file per {of}.")
    return {role: names[0] for role, names in claims.items()}


def _sha256(files: Files, name: str) -> bytes:
    return hashlib.sha256(files.read(name)).digest()


def refuse_others(files: Files, used: Collection[str], layout: str, source: Path | str) -> None:
    """Raises UserError if there are `others`; `layout` is what their names should be like."""
    if found := others(files, used):
        raise UserError(
            f"{source} has {len(found)} file(s) other than {layout}, such as {found[0]}; rename or remove them."
        )


def others(files: Files, used: Collection[str]) -> list[str]:
    """The names not in `used` that may belong to an image or a mask, which must not be lost silently.

    These are all but documents, hidden files, and archives beside the folder that was unpacked from them.
    """
    folders = _folders(files.names)

    def beside_its_folder(name: str) -> bool:
        match = PACKED.fullmatch(name)
        return match is not None and match["folder"] in folders

    rest = (name for name in files.names if name not in used and not NO_DATA.search(name))
    return [name for name in rest if not beside_its_folder(name)]


def _folders(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found
