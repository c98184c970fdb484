"""The one algorithm of every journal: exactly one commit for each event, whoever else is writing.

    look at the tail ──> the watermark is still the caller's? ──no──> it covers us: done
          ^                        │ yes                              else: overtaken
          │                        v
          └── moved, in doubt ── append there, only if nothing was added since

An append that got no answer, one that lost a race and one that succeeded all end at the same question,
"what does the tail say now?". So there is one path, and a lost response is nothing special.

Segments are a chain: a full one gets the row ``end {next}``, conditionally like any append, and only then
is ``next`` created. A stale owner still at the old one fails its condition and finds the ``end``. The
chain starts at a fixed name: two first writers on both sides of midnight must meet in one place.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime

from msgspec import Struct
from msgspec.structs import replace

from chargeback.errors import RetryError, StopError
from chargeback.journal import framing
from chargeback.journal.packing import Group, pack
from chargeback.journal.recent import RecentSegments
from chargeback.journal.rows import BillingRow, Commit, End, Gap, encode
from chargeback.ports import (
    Entry,
    Extent,
    InDoubtError,
    MovedError,
    OvertakenError,
    Position,
    Segments,
)

SEGMENT_BYTES = 256 * 1024 * 1024
"""A day of one busy partition fits; a tool that loads whole files still can."""
_ROOT = "date=1970-01-01/000000.ndjson"
_NAME = re.compile(r"date=(\d{4}-\d\d-\d\d)/(\d{6,})\.ndjson")
_TRIES = 8


class _Head(Struct, frozen=True):
    """Where the next append goes, and what it must follow."""

    segment: str
    exists: bool
    extent: Extent
    whole: bool
    watermark: Commit | None
    committed: Position | None


class SegmentedJournal:
    """``writer`` names this process in commits; ``now`` gives the date of new segments."""

    def __init__(
        self,
        name: str,
        segments: Segments,
        *,
        writer: str,
        now: Callable[[], datetime],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.name = name
        self._segments = RecentSegments(segments)
        self._writer = writer
        self._now = now
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._head: _Head | None = None
        """None: look before the next use."""
        self._ends: deque[Position] = deque(maxlen=64)
        """Where the last commits end that this object saw."""

    def watermark(self) -> Commit | None:
        return self._look().watermark

    def refresh(self) -> Commit | None:
        with self._lock:
            self._head = None
            return self._look().watermark

    def committed(self) -> Position | None:
        return self._look().committed

    # ------------------------------------------------------------ writing

    def append(
        self,
        entries: Sequence[Entry],
        *,
        after: Commit | None,
        batch_id: str,
        gaps: Sequence[Gap] = (),
        prepare: Callable[[int], None] | None = None,
    ) -> Commit | None:
        commit = Commit(
            writer=self._writer,
            batch_id=batch_id,
            first_seq=0,
            last_seq=-1 if after is None else after.last_seq,
            last_enqueued_time=None if after is None else after.last_enqueued_time,
            rows=0,
        )
        groups = pack(entries, gaps, commit, self._segments.max_append)
        with self._lock:
            for group in groups:
                self._write(group, after, prepare)
                after = group.commit
            return self._look().watermark

    def _write(self, group: Group, after: Commit | None, prepare: Callable[[int], None] | None) -> None:
        """Return once the watermark covers the group, by our append or a rival's."""
        prepared = prepare is None
        problem: RetryError | None = None
        for _ in range(_TRIES):
            watermark = self._look().watermark
            if watermark is not None and watermark.last_seq >= group.commit.last_seq:
                return
            if watermark != after:
                raise self._overtaken(watermark, after)
            if prepare is not None and not prepared:
                prepare(group.commit.last_seq)
                prepared = True
            problem = self._attempt(group)
        raise RetryError(
            f"journal {self.name}: {_TRIES} appends in a row were overtaken or got no answer ({problem}); "
            "the batch must be delivered again"
        )

    def _attempt(self, group: Group) -> RetryError | None:
        """Append once; on anything but success the head is forgotten, so that the next step looks."""
        head = self._look()
        self._head = None
        try:
            head = self._create(head)
            if self._full(head, len(group.data)):
                head = self._create(self._end(head))
            data = group.data if head.whole else b"\n" + group.data
            extent = self._segments.append(head.segment, data, head.extent.size)
        except (MovedError, InDoubtError) as problem:
            return problem
        committed = Position(head.segment, extent.size)
        self._head = replace(head, extent=extent, whole=True, watermark=group.commit, committed=committed)
        self._ends.append(committed)
        return None

    def _create(self, head: _Head) -> _Head:
        if not head.exists:
            self._segments.create(head.segment)  # False: a rival did, and our append will tell us
        return replace(head, exists=True)

    def _full(self, head: _Head, more: int) -> bool:
        return (
            _dated(head.segment)[0] < self._now().date()
            or head.extent.appends >= self._segments.max_appends
            or 0 < head.extent.size > self._segment_bytes - more
        )

    def _end(self, head: _Head) -> _Head:
        begun, number = _dated(head.segment)
        # Never an earlier date, whatever this machine's clock says: names ascend along the chain.
        following = f"date={max(begun, self._now().date())}/{number + 1:06}.ndjson"
        line = encode(End(next=following))
        self._segments.append(head.segment, line if head.whole else b"\n" + line, head.extent.size)
        return replace(head, segment=following, exists=False, extent=Extent(0, 0), whole=True)

    def _overtaken(self, watermark: Commit | None, after: Commit | None) -> Exception:
        if after is not None and (watermark is None or watermark.last_seq < after.last_seq):
            return StopError(
                f"journal {self.name}: {after.last_seq} was committed, but the storage ends before it now; "
                "it was deleted or restored from an old copy. Restore the newest one, then start again"
            )
        found = "nothing" if watermark is None else f"{watermark.last_seq}, by writer {watermark.writer!r}"
        return OvertakenError(
            f"journal {self.name}: committed through {found}, since this batch was computed; restore that "
            "state and compute the rest, or have the batch delivered again"
        )

    # ------------------------------------------------------------ looking

    def _look(self) -> _Head:
        with self._lock:
            if self._head is None:
                self._head = self._locate()
            return self._head

    def _locate(self) -> _Head:
        """Read the tail of the last segment, and of those before it while there is no commit."""
        head: _Head | None = None
        for name in reversed(self._names()):
            extent = self._segments.extent(name)
            if extent is None:  # pragma: no cover - deleted between two requests
                continue
            tail = framing.tail(self._segments, name, extent.size)
            head = head or _open_end(name, extent, tail)
            if tail.commit is not None:
                committed = Position(name, tail.committed)
                self._ends.append(committed)
                return replace(head, watermark=tail.commit, committed=committed)
        return head or _absent(_ROOT)

    def _names(self) -> list[str]:
        return [name for name in self._segments.names() if _NAME.fullmatch(name)]

    # ------------------------------------------------------------ reading

    def read(
        self, after: Position | None = None, until: Position | None = None
    ) -> Iterator[tuple[Position, BillingRow]]:
        for position, line in self.lines(after, until):
            yield position, framing.row(position.segment, position.offset, line)

    def lines(
        self, after: Position | None = None, until: Position | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        name = after.segment if after else next(iter(self._names()), None)
        start = after.offset if after else 0
        while name is not None:
            if until is not None and until.segment == name and until in self._ends:
                size = until.offset  # a commit ends there: the storage need not be asked how far it goes
            else:
                size = self._size(name, must_exist=after is not None and after.segment == name)
            following: str | None = None
            for offset, line in framing.lines(self._segments, name, start, size):
                if isinstance(line, End):
                    following = line.next
                    break
                position = Position(name, offset)
                if until is not None and position > until:
                    return
                yield position, line
            name, start = following, 0

    def _size(self, name: str, *, must_exist: bool) -> int:
        """Return 0 for a segment whose creator got no further than the ``end`` before it."""
        extent = self._segments.extent(name)
        if extent is not None:
            return extent.size
        if must_exist or any(other > name for other in self._names()):
            raise StopError(
                f"journal {self.name}: segment {name} is missing though it was written; restore it from a backup"
            )
        return 0


def _open_end(name: str, extent: Extent, tail: framing.Tail) -> _Head:
    if tail.end is not None:  # its writer stopped before creating the next one
        return _absent(tail.end.next)
    return _Head(name, exists=True, extent=extent, whole=tail.whole, watermark=None, committed=None)


def _absent(name: str) -> _Head:
    return _Head(name, exists=False, extent=Extent(0, 0), whole=True, watermark=None, committed=None)


def _dated(name: str) -> tuple[date, int]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise StopError(
            f"journal segment {name!r}: expected a name like {_ROOT}; it was changed from outside"
        )
    return date.fromisoformat(found[1]), int(found[2])
