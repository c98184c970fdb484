"""Whole events into appends: as many as fit, each append ending with its own commit."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from chargeback.errors import StopError
from chargeback.journal.rows import Commit, Gap, encode
from chargeback.ports import Entry, OversizedError

_FAR = datetime.max.replace(tzinfo=UTC)


class Group(Struct, frozen=True):
    commit: Commit
    data: bytes
    """The rows and the commit, as they are appended."""


class _Piece(Struct, frozen=True):
    """One entry, written out; the gaps before it go with it."""

    entry: Entry
    data: bytes
    rows: int


def pack(
    entries: Sequence[Entry], gaps: Sequence[Gap], previous: Commit, max_append: int
) -> tuple[Group, ...]:
    """Split where an append would get too long.

    ``previous`` carries the writer and batch id, and the watermark's last position and time.
    Raises ``OversizedError`` before anything is written.
    """
    pieces = _pieces(entries, gaps, previous.last_seq)
    widest = replace(previous, first_seq=2**63, last_seq=2**63, rows=2**63, last_enqueued_time=_FAR)
    room = max_append - len(encode(widest)) - len(b"\n")  # the newline that may be needed after a torn tail
    groups: list[Group] = []
    start = size = 0
    for index, piece in enumerate(pieces):
        if len(piece.data) > room:
            raise OversizedError(piece.entry.position, _oversized(piece, room))
        if size + len(piece.data) > room:
            groups.append(_group(pieces[start:index], groups[-1].commit if groups else previous))
            start, size = index, 0
        size += len(piece.data)
    if pieces:
        groups.append(_group(pieces[start:], groups[-1].commit if groups else previous))
    return tuple(groups)


def _pieces(entries: Sequence[Entry], gaps: Sequence[Gap], last: int) -> list[_Piece]:
    waiting = sorted(gaps, key=lambda gap: gap.first)
    pieces: list[_Piece] = []
    for entry in entries:
        if entry.position <= last:
            raise StopError(f"entry {entry.position} does not ascend from {last}: admit the batch first")
        last = entry.position
        before = [gap for gap in waiting if gap.last < entry.position]
        waiting = waiting[len(before) :]
        rows = (*before, *entry.rows)
        pieces.append(_Piece(entry, b"".join(map(encode, rows)), len(rows)))
    if waiting:
        raise StopError(
            f"gap {waiting[0].first} to {waiting[0].last} has no event after it: admit the batch first"
        )
    return pieces


def _group(pieces: Sequence[_Piece], previous: Commit) -> Group:
    times = (previous.last_enqueued_time, *(piece.entry.enqueued_at for piece in pieces))
    commit = replace(
        previous,
        first_seq=pieces[0].entry.position,
        last_seq=pieces[-1].entry.position,
        # The latest ever seen: clocks of the hub's nodes differ, and a redelivery must not look newer.
        last_enqueued_time=_latest(times),
        rows=sum(piece.rows for piece in pieces),
    )
    return Group(commit, b"".join(piece.data for piece in pieces) + encode(commit))


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def _oversized(piece: _Piece, room: int) -> str:
    return (
        f"the {piece.rows} rows of the event take {len(piece.data)} bytes, more than the {room} one append "
        "can hold; split the event at its producer (fewer records an event)"
    )
