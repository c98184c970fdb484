"""Join state between batches: saved before the commit it belongs to, found again by that commit."""

from chargeback.journal import paths
from chargeback.journal.rows import Commit
from chargeback.ports import Objects

_FOLDER = "pending/"
_SUFFIX = ".state"


class Pending:
    """``pending/<folder of the journal>/<position>-<batch id>.state``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def save(self, journal: str, through: int, batch_id: str, state: bytes) -> None:
        # For people and lifecycle tools that look at the storage; the worker goes by the name.
        about = {"holds": "pending", "through": str(through)}
        self._objects.put(_path(journal, through, batch_id), state, about=about)

    def load(self, journal: str, watermark: Commit | None) -> bytes | None:
        if watermark is None:
            return None
        found = self._objects.get(_path(journal, watermark.last_seq, watermark.batch_id))
        return None if found is None else found.body

    def forget(self, journal: str, below: int) -> None:
        folder = _folder(journal)
        for path in self._objects.names(folder):
            if int(path.removeprefix(folder).partition("-")[0]) < below:
                self._objects.delete(path)

    def journals(self) -> list[str]:
        folders = {path.rpartition("/")[0].removeprefix(_FOLDER) for path in self._objects.names(_FOLDER)}
        return sorted(map(paths.journal, folders))


def _folder(journal: str) -> str:
    return f"{_FOLDER}{paths.folder(journal)}/"


def _path(journal: str, through: int, batch_id: str) -> str:
    return f"{_folder(journal)}{through:020}-{paths.escape(batch_id)}{_SUFFIX}"
