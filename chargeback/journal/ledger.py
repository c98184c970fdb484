"""The whole storage as the worker sees it, put together from the three ports an adapter brings."""

from collections.abc import Callable, Mapping
from datetime import datetime

from chargeback.journal import paths
from chargeback.journal.journal import SEGMENT_BYTES, SegmentedJournal
from chargeback.ports import ABSENT, Leases, MovedError, Objects, Segments
from chargeback.sinks.cursors import CursorBox
from chargeback.sinks.dead_letters import DeadLetterBox
from chargeback.sinks.pending import Pending

JOURNALS = "journal/"
"""Folder of all journals; adapters keep segments below ``JOURNALS + paths.folder(name)``."""


class StorageLedger:
    """``segments`` opens those of one folder; ``ends`` tells the folders below ``JOURNALS`` that have some.

    Each with a mark that changes when one of them grows.
    """

    def __init__(
        self,
        objects: Objects,
        leases: Leases,
        segments: Callable[[str], Segments],
        ends: Callable[[], Mapping[str, str]],
        *,
        writer: str,
        now: Callable[[], datetime],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._objects = objects
        self._segments = segments
        self._ends = ends
        self._writer = writer
        self._now = now
        self._segment_bytes = segment_bytes
        self._journals: dict[str, SegmentedJournal] = {}
        self.leases = leases
        self.pending = Pending(objects)
        self.dead_letters = DeadLetterBox(objects)
        self.cursors = CursorBox(objects)

    def journal(self, name: str) -> SegmentedJournal:
        if name not in self._journals:
            fresh = SegmentedJournal(
                name,
                self._segments(JOURNALS + paths.folder(name)),
                writer=self._writer,
                now=self._now,
                segment_bytes=self._segment_bytes,
            )
            # One object a journal, also when two threads ask at once.
            self._journals.setdefault(name, fresh)
        return self._journals[name]

    def journals(self) -> list[str]:
        return sorted(self.ends())

    def ends(self) -> dict[str, str]:
        return {paths.journal(folder): mark for folder, mark in self._ends().items()}

    def put_once(self, path: str, body: bytes) -> bool:
        try:
            self._objects.put(paths.escape_all(path), body, tag=ABSENT)
        except MovedError:
            return False
        return True

    def stored(self, folder: str) -> list[str]:
        return [paths.unescape_all(path) for path in self._objects.names(paths.escape_all(folder))]

    def fetch(self, path: str) -> bytes | None:
        found = self._objects.get(paths.escape_all(path))
        return None if found is None else found.body
