"""Join state between batches: saved before the commit it belongs to, found again by that commit."""

from chargeback.journal import paths
from chargeback.journal.rows import Commit
from chargeback.ports import Objects

_FOLDER = "pending/"
_SUFFIX = ".state"
LOOK_EVERY = 100
"""Times ``forget`` is called for a journal between two looks at what is really there."""


class Pending:
    """``pending/<folder of the journal>/<position>-<batch id>.state``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._saved: dict[str, dict[str, int]] = {}
        """By journal: path and position of what this process saved and has not deleted yet."""
        self._forgotten: dict[str, int] = {}

    def save(self, journal: str, through: int, batch_id: str, state: bytes) -> None:
        # For people and lifecycle tools that look at the storage; the worker goes by the name.
        about = {"holds": "pending", "through": str(through)}
        path = _path(journal, through, batch_id)
        self._saved.setdefault(journal, {})[path] = through
        self._objects.put(path, state, about=about)

    def load(self, journal: str, watermark: Commit | None) -> bytes | None:
        if watermark is None:
            return None
        found = self._objects.get(_path(journal, watermark.last_seq, watermark.batch_id))
        return None if found is None else found.body

    def forget(self, journal: str, below: int) -> None:
        known = self._saved.setdefault(journal, {})
        times = self._forgotten[journal] = self._forgotten.get(journal, -1) + 1
        # A listing finds what owners before us and rivals have left; in between, our own are known by name.
        found = self._found(journal) if times % LOOK_EVERY == 0 else known
        for path in [path for path, through in found.items() if through < below]:
            self._objects.delete(path)
            known.pop(path, None)

    def _found(self, journal: str) -> dict[str, int]:
        folder = _folder(journal)
        names = self._objects.names(folder)
        return {path: int(path.removeprefix(folder).partition("-")[0]) for path in names}

    def journals(self) -> list[str]:
        folders = {path.rpartition("/")[0].removeprefix(_FOLDER) for path in self._objects.names(_FOLDER)}
        return sorted(map(paths.journal, folders))


def _folder(journal: str) -> str:
    return f"{_FOLDER}{paths.folder(journal)}/"


def _path(journal: str, through: int, batch_id: str) -> str:
    return f"{_folder(journal)}{through:020}-{paths.escape(batch_id)}{_SUFFIX}"
