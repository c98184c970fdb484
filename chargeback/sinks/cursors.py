"""How far a journal's outbox has come: one small value, replaced only by who has seen the last one."""

from chargeback.journal import paths
from chargeback.ports import ABSENT, Objects


class CursorBox:
    """``cursors/<folder of the journal>/cursor.json``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def load(self, journal: str) -> tuple[bytes, str] | None:
        found = self._objects.get(_path(journal))
        return None if found is None else (found.body, found.tag)

    def save(self, journal: str, value: bytes, tag: str | None) -> str:
        return self._objects.put(_path(journal), value, tag=ABSENT if tag is None else tag)


def _path(journal: str) -> str:
    return f"cursors/{paths.folder(journal)}/cursor.json"
