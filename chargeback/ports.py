"""What the worker needs from storage: small ports; every adapter passes ``tests/contract``.

The worker is handed one ``Ledger`` and nothing else. Adapters implement the three ports below the
line (``Segments``, ``Objects``, ``Leases``); all the rest is one shared algorithm on top of them:

    Ledger ─┬─ Journal ───────────────────── Segments   append-only, conditional
            ├─ PendingStore  ┐
            ├─ DeadLetters   ├────────────── Objects    small, written whole
            ├─ Cursors       │
            ├─ put_once      ┘
            └─ leases ────────────────────── Leases
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from chargeback.errors import RejectError, RetryError
from chargeback.journal.rows import BillingRow, Commit, Gap


class MovedError(RetryError):
    """The thing was changed by somebody else since the caller looked; nothing was written."""


class InDoubtError(RetryError):
    """Sent, but no answer came: it may have been written, and may still arrive. Look before you retry."""


class OvertakenError(RetryError):
    """Another writer moved the watermark since ``after``: its join state rules now.

    Restore the state of ``Journal.watermark()``, admit the same batch again, compute what remains and
    append that. Letting the host deliver the batch again does the same.
    """


class OversizedError(RejectError):
    """The rows of one event don't fit into one append; nothing of the call was written.

    Keep the event's bytes as a dead letter, put one ``Reject`` row in place of its rows, append again.
    """

    def __init__(self, position: int, message: str) -> None:
        super().__init__("too_large", message)
        self.position = position


class Position(Struct, frozen=True, order=True):
    """Just after a row: reading ``after`` it goes on with the next row, also inside one commit.

    Ordered as the journal is, because the names of segments ascend.
    """

    segment: str
    offset: int
    """Bytes of the segment up to and with the row."""


class Entry(Struct, frozen=True, kw_only=True):
    """All rows of one event: they are appended together or not at all."""

    position: int
    enqueued_at: datetime | None
    rows: tuple[BillingRow, ...]


class Journal(Protocol):
    """The ledger of truth of one stream (or of one source, or one timer)."""

    @property
    def name(self) -> str: ...

    def watermark(self) -> Commit | None:
        """Return the last commit, None before the first; as this object last saw it.

        A stale answer is safe: ``append`` finds out, and skipping below an old watermark is right too.
        """
        ...

    def refresh(self) -> Commit | None:
        """Look again in the storage, and return the watermark."""
        ...

    def committed(self) -> Position | None:
        """Return the place after the last commit this object saw: the end of what counts."""
        ...

    def append(
        self,
        entries: Sequence[Entry],
        *,
        after: Commit | None,
        batch_id: str,
        gaps: Sequence[Gap] = (),
        prepare: Callable[[int], None] | None = None,
    ) -> Commit | None:
        """Write the entries and return the watermark; its ``batch_id`` is ours unless a rival wrote them.

        ``entries`` ascend by position and were computed upon the watermark ``after``. ``batch_id`` names
        this attempt and is never used twice. ``prepare(last_seq)`` runs before each commit: there the
        caller saves what the commit needs, its pending state. Raises ``OvertakenError`` and
        ``OversizedError`` as they say, ``RetryError`` when storage is away.
        """
        ...

    def read(
        self, after: Position | None = None, until: Position | None = None
    ) -> Iterator[tuple[Position, BillingRow]]:
        """Yield the committed rows behind ``after``, up to ``until``, in order, in bounded memory."""
        ...

    def lines(
        self, after: Position | None = None, until: Position | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        """Yield what ``read`` does, each row as the line it was written as, without looking inside."""
        ...


class PendingStore(Protocol):
    """Join state, one opaque value for each commit that left some open.

    A state is named by the very commit it belongs to (last position *and* batch id) and saved before it.
    "The newest at or below" would be wrong: a stale owner that loses the race for the commit has saved a
    state too, which must never count.
    """

    def save(self, journal: str, through: int, batch_id: str, state: bytes) -> None: ...

    def load(self, journal: str, watermark: Commit | None) -> bytes | None:
        """Return the state the watermark's batch saved; None: it left nothing open."""
        ...

    def forget(self, journal: str, below: int) -> None:
        """Delete the states of positions below the watermark's; a newer one may be a rival's next commit."""
        ...

    def journals(self) -> list[str]:
        """Name the journals that have states, for the timer that bills expired parts."""
        ...


class DeadLetters(Protocol):
    """Original bytes of events that could not be billed. They are customer text: never log them."""

    def put(self, path: str, body: bytes, about: Mapping[str, str]) -> None:
        """Keep ``body`` under ``path``, its event's name; again is the same as once.

        ``about``: up to ten words of ``[a-z_]`` with a value each, which is cut after some hundred letters.
        """
        ...

    def get(self, path: str) -> tuple[bytes, Mapping[str, str]] | None: ...

    def list(self, folder: str = "") -> Iterator[str]: ...

    def delete(self, path: str) -> None: ...

    def sweep(self, before: datetime) -> int:
        """Delete what was last kept before then, and return how many."""
        ...


class Cursors(Protocol):
    """How far the outbox of a journal has come."""

    def load(self, journal: str) -> tuple[bytes, str] | None:
        """Return the value and the tag that ``save`` asks for."""
        ...

    def save(self, journal: str, value: bytes, tag: str | None) -> str:
        """Replace the value ``tag`` stands for (None: there is none yet). Raises ``MovedError``."""
        ...


class Lease(Protocol):
    """Held until the ``with`` block ends."""

    def renew(self) -> None:
        """Call it well within the lease's seconds. Raises ``MovedError`` when it is lost."""
        ...


class Ledger(Protocol):
    """One storage, everything in it."""

    @property
    def pending(self) -> PendingStore: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def cursors(self) -> Cursors: ...
    @property
    def leases(self) -> "Leases": ...

    def journal(self, name: str) -> Journal:
        """Return the journal, the same object each time; names are paths like ``source/3f2a``."""
        ...

    def journals(self) -> list[str]:
        """Name every journal that was ever written to, ascending."""
        ...

    def ends(self) -> Mapping[str, str]:
        """Name every journal with a mark that changes whenever it grows: one look at all of them."""
        ...

    def put_once(self, path: str, body: bytes) -> bool:
        """Keep ``body`` for ever; False: something is there already, and stays."""
        ...

    def fetch(self, path: str) -> bytes | None: ...

    def stored(self, folder: str) -> list[str]:
        """Name what ``put_once`` keeps below ``folder``, ascending."""
        ...


# ---------------------------------------------------------------- what an adapter implements


class Extent(Struct, frozen=True):
    """How full a segment is."""

    size: int
    appends: int
    """0 where the storage does not count them."""


class Segments(Protocol):
    """The segments of one journal: each only ever grows, and only where the caller knows its end."""

    @property
    def max_append(self) -> int:
        """Bytes of one append, at most."""
        ...

    @property
    def max_appends(self) -> int:
        """Appends to one segment, at most."""
        ...

    def names(self) -> list[str]:
        """Ascending."""
        ...

    def extent(self, name: str) -> Extent | None:
        """None: there is no such segment."""
        ...

    def create(self, name: str) -> bool:
        """Return False when it is there already."""
        ...

    def append(self, name: str, data: bytes, at: int) -> Extent:
        """Add ``data`` where the segment ends at ``at``.

        Raises ``MovedError`` when it ends elsewhere or is gone, ``InDoubtError`` when the outcome is
        unknown, ``RetryError`` when nothing was sent. A prefix of ``data`` may remain of a failed append.
        """
        ...

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Return these bytes; fewer only at the segment's end."""
        ...


class Object(Struct, frozen=True):
    body: bytes
    about: Mapping[str, str]
    tag: str
    """Changes with the body."""


ANY = "any"
ABSENT = "absent"
"""What ``Objects.put`` may ask of the place it writes to, instead of a tag."""


class Objects(Protocol):
    """Small things written whole. A path is parts of ``[A-Za-z0-9_.=%~-]`` joined by slashes."""

    def get(self, path: str) -> Object | None: ...

    def put(self, path: str, body: bytes, *, about: Mapping[str, str] | None = None, tag: str = ANY) -> str:
        """Write and return the new tag. ``tag``: write only over the object with this tag, or only
        where there is none (``ABSENT``); else ``MovedError``.
        """
        ...

    def names(self, folder: str) -> list[str]:
        """Return the paths below ``folder``, ascending."""
        ...

    def written(self, folder: str) -> dict[str, datetime]:
        """Return the paths below ``folder`` and when each was last written, by the storage's clock."""
        ...

    def delete(self, path: str) -> None:
        """Deleting what is gone is fine."""
        ...


class Leases(Protocol):
    def hold(self, name: str, seconds: int) -> AbstractContextManager[Lease] | None:
        """Return None when somebody else holds it. It ends with the block or its process.

        Where storage can't see a process end, it ends after ``seconds`` (15 to 60) without ``renew``.
        """
        ...
