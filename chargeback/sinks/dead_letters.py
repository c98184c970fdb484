"""The original bytes of events that could not be billed, for the operator and for ``requeue``."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from urllib.parse import quote

from chargeback.journal import paths
from chargeback.ports import Objects

_FOLDER = "dead-letters/"
# Metadata of a blob holds 8 KiB in all, percent-encoded; this is room for ten values.
_LONGEST_VALUE = 700


class DeadLetterBox:
    """``dead-letters/<path>``, each part of the path escaped.

    Nothing here logs or raises what a body or ``about`` says.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, path: str, body: bytes, about: Mapping[str, str]) -> None:
        short = {key: _short(value) for key, value in about.items()}
        self._objects.put(_FOLDER + paths.escape_all(path), body, about=short)

    def get(self, path: str) -> tuple[bytes, Mapping[str, str]] | None:
        found = self._objects.get(_FOLDER + paths.escape_all(path))
        return None if found is None else (found.body, found.about)

    def list(self, folder: str = "") -> Iterator[str]:
        below = f"{_FOLDER}{paths.escape_all(folder.rstrip('/'))}/" if folder else _FOLDER
        for path in self._objects.names(below):
            yield paths.unescape_all(path.removeprefix(_FOLDER))

    def sweep(self, before: datetime) -> int:
        old = [path for path, at in self._objects.written(_FOLDER).items() if at < before]
        for path in old:
            self._objects.delete(path)
        return len(old)

    def delete(self, path: str) -> None:
        self._objects.delete(_FOLDER + paths.escape_all(path))


def _short(value: str) -> str:
    while (length := len(quote(value))) > _LONGEST_VALUE:
        value = value[: len(value) * _LONGEST_VALUE // length]
    return value
