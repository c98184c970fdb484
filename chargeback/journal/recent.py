"""The last bytes this process appended, kept for the outbox, which reads them next.

What was appended never changes, so a copy is as good as the storage's. Anything else is read there.
"""

import threading
from collections import deque

from chargeback.ports import Extent, Segments

KEPT_BYTES = 2 * 1024 * 1024
"""A journal's, at most: a second or two of a busy partition."""


class RecentSegments:
    """``inner``, with a short memory. Safe for one thread that appends and others that read."""

    def __init__(self, inner: Segments) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._name = ""
        self._pieces: deque[tuple[int, bytes]] = deque()
        """Of segment ``_name``: offset and bytes, each where the one before it ends."""

    @property
    def max_append(self) -> int:
        return self._inner.max_append

    @property
    def max_appends(self) -> int:
        return self._inner.max_appends

    def names(self) -> list[str]:
        return self._inner.names()

    def extent(self, name: str) -> Extent | None:
        return self._inner.extent(name)

    def create(self, name: str) -> bool:
        return self._inner.create(name)

    def append(self, name: str, data: bytes, at: int) -> Extent:
        extent = self._inner.append(name, data, at)
        with self._lock:
            follows = self._pieces and self._name == name and _end(self._pieces[-1]) == at
            if not follows:
                self._pieces.clear()
            self._name = name
            self._pieces.append((at, data))
            while self._pieces and _end(self._pieces[-1]) - self._pieces[0][0] > KEPT_BYTES:
                self._pieces.popleft()
        return extent

    def read(self, name: str, start: int, stop: int) -> bytes:
        return self._remembered(name, start, stop) or self._inner.read(name, start, stop)

    def _remembered(self, name: str, start: int, stop: int) -> bytes | None:
        """None unless every byte is here. What lies before ``start`` was read, and goes."""
        with self._lock:
            if self._name != name or not self._pieces:
                return None
            first = self._pieces[0][0]
            if not first <= start < stop <= _end(self._pieces[-1]):
                return None
            while _end(self._pieces[0]) <= start:
                self._pieces.popleft()
            first, pieces = self._pieces[0][0], [data for _, data in self._pieces]
        return b"".join(pieces)[start - first : stop - first]


def _end(piece: tuple[int, bytes]) -> int:
    return piece[0] + len(piece[1])
