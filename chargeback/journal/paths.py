"""Names of journals as Hive-style folders and back, safe on every file system and in every blob name.

``stream/ns/hub/1/0`` <-> ``kind=stream/namespace=ns/hub=hub/generation=1/partition=0``. A column's name
in the path is for query engines only; the way back just drops it, so new kinds need no row here.
"""

import re
from urllib.parse import quote, unquote

from chargeback.errors import StopError

_PART = r"[A-Za-z0-9_=%~-][A-Za-z0-9_.=%~-]*"
_SAFE = re.compile(rf"{_PART}(/{_PART})*")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "stream": ("namespace", "hub", "generation", "partition"),
    "expiry": ("namespace", "hub", "generation", "partition"),
    "repair": ("namespace", "hub", "generation", "partition"),
    "source": ("source",),
}


def folder(journal: str) -> str:
    kind, *values = journal.split("/")
    if not all((kind, *values)):
        raise StopError(
            f"journal name {journal!r}: expected parts joined by single slashes, like source/3f2a"
        )
    columns = _COLUMNS.get(kind, ())
    named = (*columns, *(f"part{number}" for number in range(len(columns), len(values))))
    pairs = zip(("kind", *named), (kind, *values), strict=False)
    return "/".join(f"{column}={escape(value)}" for column, value in pairs)


def journal(folder: str) -> str:
    """Undo ``folder``."""
    return "/".join(unquote(part.partition("=")[2]) for part in folder.split("/"))


def escape(part: str) -> str:
    """Percent-encode whatever is not a letter, digit, ``_``, ``.``, ``-`` or ``~``.

    A leading dot too: such files are hidden, and ``..`` would climb.
    """
    quoted = quote(part, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def escape_all(path: str) -> str:
    return "/".join(escape(part) for part in path.split("/"))


def unescape_all(path: str) -> str:
    return "/".join(unquote(part) for part in path.split("/"))


def check(path: str) -> None:
    """Refuse what an adapter would have to escape, and what would climb out of its folder."""
    if not _SAFE.fullmatch(path):
        raise StopError(
            f"storage path {path!r}: expected parts of letters, digits and _.=%~-, none empty or hidden"
        )
