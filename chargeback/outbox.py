"""Journal rows to confirmed customEvents, in their own time: telemetry never holds up billing.

The cursor is a journal position: everything before it was confirmed or refused for good. What was sent
and not confirmed is sent again, under the same id.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Protocol

import msgspec
from msgspec import Struct

from chargeback import observe
from chargeback.custom_events import alias_event, custom_event
from chargeback.journal.rows import BillingRow, encode
from chargeback.ports import Journal, Ledger, MovedError, Position
from chargeback.telemetry import CustomEvent, Delivery, Refusal

CHUNK = 1000
"""Rows between two moves of the cursor: what is sent again after a crash, at most."""


class Sender(Protocol):
    """Confirms events one by one; see ``sinks.application_insights``."""

    def send(self, events: list[CustomEvent]) -> Delivery: ...


class WithAlias:
    """Sends every charge a second time, as the second published sample's event.

    To the caller both are one: confirmed when both are, unconfirmed when one is, else refused.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, events: list[CustomEvent]) -> Delivery:
        aliases = {place: alias for place, event in enumerate(events) if (alias := alias_event(event))}
        delivery = self._sender.send([*events, *aliases.values()])
        place_of = [*range(len(events)), *aliases]
        unconfirmed = {place_of[index] for index in delivery.unconfirmed}
        refused: dict[int, Refusal] = {}
        for refusal in delivery.refused:
            place = place_of[refusal.index]
            if place not in unconfirmed:
                refused.setdefault(place, msgspec.structs.replace(refusal, index=place))
        return msgspec.structs.replace(
            delivery,
            sent=len(events),
            refused=tuple(refused[place] for place in sorted(refused)),
            unconfirmed=tuple(sorted(unconfirmed)),
        )


class Cursor(Struct, frozen=True):
    """Where a journal's outbox stands, as it is stored; ``tag`` is what the next save asks for."""

    position: Position | None
    tag: str | None


class Drained(Struct, frozen=True, kw_only=True):
    """What one drain did, and what it left."""

    cursor: Cursor | None = None
    """What the next drain may begin with instead of looking; None: it must look."""
    confirmed: int = 0
    refused: int = 0
    is_empty: bool = True
    """False: rows remain that are not confirmed."""
    oldest_at: datetime | None = None
    """When the hub got the event of the first row that remains; None when unknown or empty."""
    alarm: str | None = None
    is_slow: bool = False
    """All was confirmed as far as time allowed: nothing is wrong, there is only more."""


class _Chunk(Struct, frozen=True):
    before: Position | None
    rows: list[tuple[Position, BillingRow]]


def drain(
    journal: Journal,
    ledger: Ledger,
    sender: Sender,
    *,
    may_go_on: Callable[[], bool],
    until: Position | None = None,
    cursor: Cursor | None = None,
) -> Drained:
    """Send what the journal holds behind the cursor, until the end, a refusal to answer, or ``may_go_on``.

    ``until``: the end the caller knows of. ``cursor``: of the last drain; the storage is not asked then, and
    when it has moved on, saving fails and the rows of one chunk were sent twice.
    """
    cursor = cursor or _stored(ledger, journal.name)
    done = Drained(cursor=cursor)
    for chunk in _chunks(journal, cursor.position, until):
        if not may_go_on():
            first = _enqueued_at(chunk.rows[0][1])
            return msgspec.structs.replace(done, is_empty=False, oldest_at=first, is_slow=True)
        step, through = _send(chunk, journal.name, ledger, sender)
        try:
            if through is not None and through != chunk.before:
                tag = ledger.cursors.save(journal.name, msgspec.json.encode(through), cursor.tag)
                cursor = Cursor(through, tag)
        except MovedError:
            return _add(done, step)  # another drain of this journal is at work and goes on
        done = msgspec.structs.replace(_add(done, step), cursor=cursor)
        if not step.is_empty:
            return done
    return done


def _stored(ledger: Ledger, journal: str) -> Cursor:
    loaded = ledger.cursors.load(journal)
    return Cursor(_decode(loaded[0]), loaded[1]) if loaded else Cursor(None, None)


def _decode(value: bytes) -> Position:
    return msgspec.json.decode(value, type=Position)


def _chunks(journal: Journal, cursor: Position | None, until: Position | None) -> Iterator[_Chunk]:
    rows = journal.read(after=cursor, until=until)
    while chunk := list(islice(rows, CHUNK)):
        yield _Chunk(cursor, chunk)
        cursor = chunk[-1][0]


def _send(chunk: _Chunk, journal: str, ledger: Ledger, sender: Sender) -> tuple[Drained, Position | None]:
    """Return what became of a chunk, and the position up to which nothing is open."""
    events: list[CustomEvent] = []
    places: list[int] = []
    for place, (_, row) in enumerate(chunk.rows):
        event = custom_event(row)
        if event is not None:
            events.append(event)
            places.append(place)
    delivery = sender.send(events) if events else Delivery(sent=0)
    for refusal in delivery.refused:
        _keep_refused(ledger, journal, chunk.rows[places[refusal.index]][1], refusal.status, refusal.message)
    if delivery.alarm:
        observe.log("outbox.alarm", journal=journal, alarm=delivery.alarm)
    first_open = places[delivery.unconfirmed[0]] if delivery.unconfirmed else len(chunk.rows)
    through = chunk.rows[first_open - 1][0] if first_open else chunk.before
    open_row = chunk.rows[first_open][1] if delivery.unconfirmed else None
    step = Drained(
        confirmed=delivery.sent - len(delivery.refused) - len(delivery.unconfirmed),
        refused=len(delivery.refused),
        is_empty=open_row is None,
        oldest_at=_enqueued_at(open_row) if open_row else None,
        alarm=delivery.alarm,
    )
    return step, through


def _keep_refused(ledger: Ledger, journal: str, row: BillingRow, status: int, message: str) -> None:
    """Keep the row as a dead letter: refused for telemetry is not refused for the bill."""
    name = getattr(row, "row_id", "row")
    about = {"reason": "telemetry_refused", "status": str(status), "message": message, "journal": journal}
    ledger.dead_letters.put(f"telemetry/{name}", encode(row), about)
    observe.log("outbox.refused", journal=journal, row_id=name, status=status, message=message)


def _add(done: Drained, step: Drained) -> Drained:
    return msgspec.structs.replace(
        step, confirmed=done.confirmed + step.confirmed, refused=done.refused + step.refused
    )


def _enqueued_at(row: BillingRow) -> datetime | None:
    return getattr(row, "enqueued_at", None)
