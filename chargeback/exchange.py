"""Joining what the events of one call say into one Exchange, with the waiting kept as plain data.

Most formats say everything in one event. What comes in pieces waits in a ``JoinState``; the state goes in and
comes out as a value, so it survives batches, restarts and owners.

pieces                          wait until                 given up, what is here is
slices of v1                    all are here               billed as truncated
the sides of a split call       both are here, or counts   billed as estimated; a lone request is no call
chunks of API Management's log  the log's counts           billed as estimated; a lone request is no call
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from chargeback import facts as fact
from chargeback.capture import Capture, Piece
from chargeback.event import Event
from chargeback.facts import Facts
from chargeback.operations import Effect
from chargeback.pieces import Pieces
from chargeback.usage import Usage

COUNTED_KEPT = 2_000
"""So many counted calls are remembered, to know late bodies by; a forgotten one costs a needless estimate."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a row comes from: one Capture of one event."""

    event: Event
    index: int


class Exchange(Struct, frozen=True, kw_only=True):
    """Everything known of one call, ready to be measured."""

    source_format: str
    facts: Facts
    message_id: str | None = None
    request: Any = None
    response: Any = None
    usage: Usage | None = None
    effect: Effect = "call"
    background: bool | None = None
    truncated: bool = False
    cut_bodies: tuple[str, ...] = ()
    """Bodies of which only the beginning is here."""
    notes: tuple[str, ...] = ()
    estimate_notes: tuple[str, ...] = ()
    """Notes that hold only if the usage has to be estimated."""


class Waiting(Struct, frozen=True, kw_only=True):
    """A call some of whose pieces are here."""

    kind: str
    source_format: str
    facts: Facts
    message_id: str | None
    pieces: Pieces
    awaits_usage: bool
    estimate_notes: tuple[str, ...]
    sequence_number: int
    """Of the last event that changed this call; the charge of an expired call takes its place."""
    index: int
    enqueued_at: datetime | None

    @property
    def is_complete(self) -> bool:
        return not self.awaits_usage and self.pieces.all_here

    @property
    def asked_only(self) -> bool:
        """True if no answer was heard of, in a format that tells of refused calls in the same way."""
        return self.kind != "slice" and not self.pieces.has("response")


class JoinState(Struct, frozen=True):
    """What one stream remembers, by key of the call: its format and the id its events share."""

    calls: Mapping[str, Waiting] = {}
    """Calls that wait for more."""
    counted: Mapping[str, datetime | None] = {}
    """When calls were counted whose bodies may still be on their way, oldest first."""

    @property
    def is_empty(self) -> bool:
        """True if nothing would be lost with it: what was counted is remembered for thrift only."""
        return not self.calls


def encode(state: JoinState) -> bytes:
    """Return the state as MessagePack, for pending storage. It holds customer text."""
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> JoinState:
    """Read what ``encode`` wrote."""
    return msgspec.msgpack.decode(data, type=JoinState)


def single(capture: Capture) -> Exchange:
    """Make the exchange of a capture that waits for nothing."""
    return Exchange(
        source_format=capture.source_format,
        facts=capture.facts,
        message_id=capture.message_id,
        request=capture.request,
        response=capture.response,
        usage=capture.usage,
        effect=capture.effect,
        background=capture.background,
        truncated=capture.truncated,
        cut_bodies=(capture.cut_body,) if capture.cut_body else (),
        estimate_notes=capture.estimate_notes,
    )


def key_of(capture: Capture) -> str:
    """Name the call among those that wait: what two formats say of one call is not one body."""
    return f"{capture.source_format}/{call_of(capture)}"


def call_of(capture: Capture) -> str:
    """Return the id that the events of a call share in their format."""
    return (capture.facts.request_id or capture.message_id or "").lower()


class Join:
    """One batch's work on a stream's join state: made from a state, asked for the new one at the end."""

    def __init__(self, state: JoinState) -> None:
        self._calls = dict(state.calls)
        self._counted = dict(state.counted)
        self._not_before = _first_heard(self._calls)
        """No waiting call was last heard of before; None: of none is known when."""

    @property
    def state(self) -> JoinState:
        return JoinState(dict(self._calls), dict(self._counted))

    @property
    def is_empty(self) -> bool:
        """True if there is nothing that time could end."""
        return not self._calls and not self._counted

    def is_counted(self, capture: Capture) -> bool:
        """True if the counts of the call came before this piece of a body: it has nothing to add but facts."""
        return bool(self._counted) and key_of(capture) in self._counted

    def add(self, capture: Capture, piece: Piece, place: Place) -> Exchange | None:
        """Take in one piece; return the exchange if it completed the call."""
        key = key_of(capture)
        waiting = _extended(self._calls.get(key), capture, piece, place)
        if waiting.is_complete:
            self._calls.pop(key, None)
            return _assemble(waiting, ())
        self._calls[key] = waiting
        heard_at = waiting.enqueued_at
        if heard_at is not None and (self._not_before is None or heard_at < self._not_before):
            self._not_before = heard_at
        return None

    def settle(self, capture: Capture, place: Place) -> Exchange:
        """Take the call's counts: nothing is waited for any more, and what waits adds who and where."""
        key = key_of(capture)
        waiting = self._calls.pop(key, None)
        self._counted[key] = place.event.enqueued_at
        while len(self._counted) > COUNTED_KEPT:
            del self._counted[next(iter(self._counted))]
        exchange = single(capture)
        if waiting is None:
            return exchange
        return msgspec.structs.replace(exchange, facts=fact.merge(exchange.facts, waiting.facts))

    def expire(self, before: datetime | None, note: str) -> tuple[tuple[Waiting, Exchange], ...]:
        """Give up waiting for calls last heard of before an instant, or for all of them if it is None."""
        self._forget(before)
        if before is not None and not _is_older(self._not_before, before):
            return ()  # asked for every event: the calls are looked through only when one may be due
        gone = [key for key, call in self._calls.items() if _is_older(call.enqueued_at, before)]
        calls = [self._calls.pop(key) for key in gone]
        self._not_before = _first_heard(self._calls)
        return tuple((call, _assemble(call, (note,))) for call in calls)

    def _forget(self, before: datetime | None) -> None:
        while self._counted:
            oldest = next(iter(self._counted))
            if not _is_older(self._counted[oldest], before):
                return
            del self._counted[oldest]


def _first_heard(calls: Mapping[str, Waiting]) -> datetime | None:
    return min((call.enqueued_at for call in calls.values() if call.enqueued_at is not None), default=None)


def _is_older(heard_at: datetime | None, before: datetime | None) -> bool:
    return before is None or (heard_at is not None and heard_at < before)


def _extended(waiting: Waiting | None, capture: Capture, piece: Piece, place: Place) -> Waiting:
    return Waiting(
        kind=piece.kind,
        source_format=capture.source_format,
        facts=fact.merge(waiting.facts, capture.facts) if waiting else capture.facts,
        message_id=capture.message_id,
        pieces=(waiting.pieces if waiting else Pieces()).plus(piece),
        awaits_usage=piece.awaits_usage,
        estimate_notes=capture.estimate_notes,
        sequence_number=place.event.sequence_number,
        index=place.index,
        enqueued_at=place.event.enqueued_at,
    )


def _assemble(waiting: Waiting, notes: tuple[str, ...]) -> Exchange:
    """Put the pieces in order. Where one is missing, what stands before it is a whole beginning."""
    sliced = waiting.kind == "slice"
    texts: dict[str, str | None] = {}
    cut: list[str] = []
    for body in waiting.pieces.bodies:
        if sliced or waiting.pieces.has(body):  # a side that never came is missing, not cut
            texts[body], whole = waiting.pieces.text(body)
            cut += [] if whole else [body]
    return Exchange(
        source_format=waiting.source_format,
        facts=waiting.facts,
        message_id=waiting.message_id,
        request=texts.get("request"),
        response=texts.get("response"),
        truncated=bool(cut),
        cut_bodies=tuple(cut),
        notes=(*notes, "usage_event_missing") if waiting.awaits_usage else notes,
        estimate_notes=waiting.estimate_notes,
    )
