"""The whole product as one pure function: events and join state in, rows and new join state out.

What comes out depends on the events, their order, the state and the rate table, and on nothing else;
above all not on where a batch begins or ends.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeGuard

from msgspec import Struct

from chargeback import formats
from chargeback.billing import assign, bill, bill_all, marked_duplicate
from chargeback.capture import Capture, Piece
from chargeback.charge import Charge, charge_id, contradicts, rank, row_id
from chargeback.errors import RejectError
from chargeback.event import Event
from chargeback.exchange import Exchange, Join, JoinState, Place, Waiting, call_of, single
from chargeback.journal.rows import BillingRow, Identity, Ignored, Part, Reject
from chargeback.ports import Entry
from chargeback.privacy import Privacy
from chargeback.rates.table import RateTable

REQUEST_ONLY = "request_without_response"
JOIN_TIMEOUT = timedelta(minutes=15)
"""API Management ends an idle stream after 4 minutes; a part that is 15 minutes late will not come."""
PORTION_EVENTS = 100
PORTION_BYTES = 1024 * 1024
"""Of events that are in memory decoded at the same time; one event may be larger."""


class Context(Struct, frozen=True, kw_only=True):
    """What a batch is processed with: one snapshot for all of it."""

    privacy: Privacy = Privacy()
    table: RateTable | None = None
    join_timeout: timedelta | None = JOIN_TIMEOUT
    """None: wait for ever, where events of different times are mixed (a replay of several files)."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """The bytes of a rejected event and what to keep beside them. Customer text: never logged."""

    path: str
    body: bytes
    reason: str
    message: str


class Outcome(Struct, frozen=True, kw_only=True):
    """Rows grouped by event, so that they can be appended by whole events."""

    entries: tuple[Entry, ...]
    state: JoinState
    dead_letters: tuple[DeadLetter, ...]


def process(events: Sequence[Event], state: JoinState, context: Context) -> Outcome:
    """Bill the events in order. Content never raises: it becomes a ``reject`` row and a dead letter."""
    batch = _Batch(state, context)
    entries = tuple(entry for portion in portions(events) for entry in batch.entries(portion))
    return Outcome(entries=entries, state=batch.join.state, dead_letters=tuple(batch.dead_letters.values()))


def portions(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Cut a batch into pieces small enough to be read as a whole before the first of them is billed."""
    start = size = 0
    for end, event in enumerate(events):
        if end - start == PORTION_EVENTS or size > PORTION_BYTES:
            yield events[start:end]
            start, size = end, 0
        size += len(event.body)
    yield events[start:]


def expire(
    state: JoinState, event_of: Event, before: datetime | None, context: Context, note: str
) -> tuple[tuple[Charge | Ignored, ...], JoinState]:
    """Give up what has waited too long, outside any batch: the timer's and the replay's end. One row a call.

    ``event_of`` lends its stream. The rows get the places of the calls' last parts, so whoever expires a
    call writes the same row.
    """
    join = Join(state)
    rows = tuple(
        _unanswered(_place(call, event_of))
        if call.asked_only
        else bill(exchange, _place(call, event_of), context.table)
        for call, exchange in join.expire(before, note)
    )
    return rows, join.state


class _Batch:
    """One pass over events: the join, and the calls seen so far."""

    def __init__(self, state: JoinState, context: Context) -> None:
        self.join = Join(state)
        self.dead_letters: dict[str, DeadLetter] = {}
        self._context = context
        self._seen: dict[str, Charge] = {}

    def entries(self, events: Sequence[Event]) -> Iterator[Entry]:
        """Yield what the events become, in order.

        Reading, and billing what one event tells whole, looks at no other event: it is done for all events at
        once, a step after the other. A processor's cache for instructions has room for a step and not for
        all of them; event by event it takes half as long again.
        """
        read = [formats.read(event.body, self._context.privacy) for event in events]
        told = [
            (single(capture), Place(event=event, index=index))
            for event, captures in zip(events, read, strict=True)
            for index, capture in enumerate(captures)
            if _is_whole(capture)
        ]
        charges = iter(bill_all(told, self._context.table))
        for event, captures in zip(events, read, strict=True):
            rows = tuple(self._rows(event, captures, charges))
            yield Entry(position=event.position, enqueued_at=event.enqueued_at, rows=rows)

    def _rows(
        self, event: Event, captures: Sequence[Capture | RejectError], charges: Iterator[Charge]
    ) -> list[BillingRow]:
        """``charges`` has one for each capture that is whole."""
        rows = self._expired(event)
        for index, capture in enumerate(captures):
            if _is_whole(capture):
                rows.append(self._once(next(charges)))
            elif isinstance(capture, RejectError):
                rows += self._rejected(capture, Place(event=event, index=index))
            else:
                rows += self._of(capture, Place(event=event, index=index))
        return rows

    def _expired(self, event: Event) -> list[BillingRow]:
        """Bill the calls that were given up when this event came; time is the hub's, not ours."""
        if self.join.is_empty or event.enqueued_at is None or self._context.join_timeout is None:
            return []
        gone = self.join.expire(event.enqueued_at - self._context.join_timeout, "join_timeout")
        return [
            _unanswered(_place(call, event))
            if call.asked_only
            else self._charge(exchange, _place(call, event))
            for call, exchange in gone
        ]

    def _of(self, capture: Capture, place: Place) -> list[BillingRow]:
        if capture.kind == "ignored":
            return [Ignored(row_id=row_id(place.event, place.index), reason=capture.reason or "ignored")]
        if capture.kind == "identity":
            return [self._identity(capture, place)]
        if capture.piece is None:  # the call's counts, and other events may hold its bodies
            return [self._charge(self.join.settle(capture, place), place)]
        if self.join.is_counted(capture):  # the text is not needed any more
            return [self._identity(capture, place)]
        exchange = self.join.add(capture, capture.piece, place)
        part = _part(capture, capture.piece, place)
        return [part] if exchange is None else [part, self._charge(exchange, place)]

    def _identity(self, capture: Capture, place: Place) -> Identity:
        event, facts = place.event, capture.facts
        at = facts.occurred_at or event.enqueued_at
        return Identity(
            charge_id=charge_id(facts, capture.message_id, event, place.index),
            row_id=row_id(event, place.index),
            source_format=capture.source_format,
            rank=rank(truncated=capture.truncated, source="missing", event=event, index=place.index),
            facts=facts,
            cost_centre=assign(facts, self._context.table, at).cost_centre,
        )

    def _charge(self, exchange: Exchange, place: Place) -> Charge:
        return self._once(bill(exchange, place, self._context.table))

    def _once(self, charge: Charge) -> Charge:
        """Mark what repeats a charge of this batch."""
        first = self._seen.setdefault(charge.charge_id, charge)
        if first is charge:
            return charge
        if _repeats(charge, first):
            return marked_duplicate(charge, first)
        self._seen[charge.charge_id] = min(first, charge, key=lambda each: each.rank)
        return charge

    def _rejected(self, error: RejectError, place: Place) -> list[BillingRow]:
        path = str(place.event)
        letter = DeadLetter(path=path, body=place.event.body, reason=error.reason, message=str(error))
        self.dead_letters.setdefault(path, letter)
        return [
            Reject(
                row_id=row_id(place.event, place.index),
                reason=error.reason,
                message=str(error),
                dead_letter=path,
                enqueued_at=place.event.enqueued_at,
            )
        ]


def _is_whole(capture: Capture | RejectError) -> TypeGuard[Capture]:
    """True for a call that its event tells all of, as nearly all do."""
    return (
        not isinstance(capture, RejectError)
        and capture.kind == "call"
        and capture.piece is None
        and not capture.has_sides
    )


def _repeats(charge: Charge, first: Charge) -> bool:
    """True if a reader will drop this row for the first one, and nobody needs to be told of it.

    Two different reported counts of one source are a conflict: both stay visible.
    """
    if charge.rank < first.rank:
        return False
    same_source = charge.source_format == first.source_format and charge.usage_source in (
        "reported",
        "gateway",
    )
    return not (same_source and contradicts(charge, first))


def _place(call: Waiting, event: Event) -> Place:
    last = Event(
        stream=event.stream,
        sequence_number=call.sequence_number,
        position=event.position,
        body=b"",
        enqueued_at=call.enqueued_at,
    )
    return Place(event=last, index=call.index)


def _unanswered(place: Place) -> Ignored:
    """Count a request that was never answered, as far as we heard: it may have been refused."""
    return Ignored(row_id=row_id(place.event, place.index), reason=REQUEST_ONLY)


def _part(capture: Capture, piece: Piece, place: Place) -> Part:
    return Part(
        row_id=f"{row_id(place.event, place.index)}/part",
        call=call_of(capture),
        body=piece.body,
        number=piece.number,
        of=piece.of or 0,  # a log does not say how many chunks there are
        sha256=hashlib.sha256(piece.data).hexdigest(),
    )
