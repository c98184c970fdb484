"""Storage in memory, and storage that fails on purpose: the third adapter of the contract tests."""

from collections.abc import Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count

from chargeback.journal import paths
from chargeback.journal.ledger import JOURNALS, StorageLedger
from chargeback.ports import ABSENT, ANY, Extent, InDoubtError, MovedError, Object


class MemorySegments:
    def __init__(self, *, max_append=4 * 1024 * 1024, max_appends=45_000):
        self.max_append = max_append
        self.max_appends = max_appends
        self.blobs: dict[str, tuple[bytes, int]] = {}

    def names(self):
        return sorted(self.blobs)

    def extent(self, name):
        if name not in self.blobs:
            return None
        data, appends = self.blobs[name]
        return Extent(len(data), appends)

    def create(self, name):
        if name in self.blobs:
            return False
        self.blobs[name] = (b"", 0)
        return True

    def append(self, name, data, at):
        assert 0 < len(data) <= self.max_append
        if name not in self.blobs or len(self.blobs[name][0]) != at:
            raise MovedError("not there")
        old, appends = self.blobs[name]
        self.blobs[name] = (old + data, appends + 1)
        return Extent(at + len(data), appends + 1)

    def read(self, name, start, stop):
        return self.blobs[name][0][start:stop]


class FaultySegments:
    """One writer's view of shared segments; ``plan`` says how its next requests go, else they go well.

    ``late``: no answer now, and the request arrives when ``arrive`` is called, as any condition allows.
    """

    def __init__(self, inner: MemorySegments):
        self.inner = inner
        self.plan: list[str] = []
        self.rivals: list = []
        self.in_flight: list = []
        self.max_append = inner.max_append
        self.max_appends = inner.max_appends
        self.names = inner.names
        self.extent = inner.extent
        self.read = inner.read

    def create(self, name):
        match self._next():
            case "lost" | "torn" | "late":
                raise InDoubtError("no answer")
            case "applied":
                self.inner.create(name)
                raise InDoubtError("no answer")
            case "rival":
                self.rivals.pop()() if self.rivals else None
        return self.inner.create(name)

    def append(self, name, data, at):
        match self._next():
            case "lost":
                raise InDoubtError("no answer")
            case "applied":
                self.inner.append(name, data, at)
                raise InDoubtError("no answer")
            case "torn":
                self.inner.append(name, data[: len(data) * 2 // 3], at)
                raise InDoubtError("no answer")
            case "late":
                self.in_flight.append((name, data, at))
                raise InDoubtError("no answer")
            case "rival":
                self.rivals.pop()() if self.rivals else None
        return self.inner.append(name, data, at)

    def arrive(self):
        for request in self.in_flight:
            with suppress(MovedError):
                self.inner.append(*request)
        self.in_flight.clear()

    def _next(self):
        return self.plan.pop(0) if self.plan else "well"


class MemoryObjects:
    def __init__(self):
        self.objects: dict[str, Object] = {}
        self.times: dict[str, datetime] = {}
        self._tags = count()

    def get(self, path):
        paths.check(path)
        return self.objects.get(path)

    def put(self, path, body, *, about: Mapping[str, str] | None = None, tag=ANY):
        paths.check(path)
        found = self.objects[path].tag if path in self.objects else ABSENT
        if tag not in (ANY, found):
            raise MovedError("changed")
        self.times[path] = datetime.now(UTC)
        self.objects[path] = Object(body, dict(about or {}), str(next(self._tags)))
        return self.objects[path].tag

    def names(self, folder):
        return sorted(path for path in self.objects if path.startswith(folder))

    def written(self, folder):
        return {path: self.times[path] for path in self.names(folder)}

    def delete(self, path):
        self.objects.pop(path, None)


class MemoryLeases:
    def __init__(self):
        self.held: set[str] = set()

    def hold(self, name, seconds):
        if name in self.held:
            return None
        self.held.add(name)
        return self._holding(name)

    @contextmanager
    def _holding(self, name):
        try:
            yield self
        finally:
            self.held.discard(name)

    def renew(self):
        pass


class MemoryStorage:
    """Several ledgers (writers) may be opened on one storage."""

    def __init__(self):
        self.objects = MemoryObjects()
        self.leases = MemoryLeases()
        self.folders: dict[str, MemorySegments] = {}

    def segments(self, folder):
        return self.folders.setdefault(folder, MemorySegments())

    def ledger(self, *, writer, now, **options):
        def ends():
            return {
                name.removeprefix(JOURNALS): str({part: len(data) for part, (data, _) in found.blobs.items()})
                for name, found in self.folders.items()
                if found.blobs
            }

        return StorageLedger(
            self.objects, self.leases, self.segments, ends, writer=writer, now=now, **options
        )
