"""Joining what the events of one call say into one Exchange, with the waiting kept as plain data.

Most formats say everything in one event. Bodies sent in parts wait in a ``JoinState`` until all parts are
here; the state goes in and comes out as a value, so it survives batches, restarts and owners.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from chargeback import facts as fact
from chargeback.capture import Capture, Piece
from chargeback.event import Event
from chargeback.facts import Facts
from chargeback.usage import Usage


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
    truncated: bool = False
    cut_bodies: tuple[str, ...] = ()
    """Bodies of which only the beginning is here."""
    notes: tuple[str, ...] = ()


class Waiting(Struct, frozen=True, kw_only=True):
    """A call some of whose parts are here. ``pieces`` is keyed ``body/number``."""

    source_format: str
    facts: Facts
    bodies: tuple[str, ...]
    lengths: Mapping[str, int]
    """How many parts each body seen so far has."""
    pieces: Mapping[str, bytes]
    sequence_number: int
    """Of the last event that changed this call; the charge of an expired call takes its place."""
    index: int
    enqueued_at: datetime | None

    @property
    def is_complete(self) -> bool:
        return all(
            body in self.lengths
            and all(f"{body}/{number}" in self.pieces for number in range(self.lengths[body]))
            for body in self.bodies
        )


class JoinState(Struct, frozen=True):
    """Calls that wait for parts, by request id, in one stream."""

    calls: Mapping[str, Waiting] = {}

    @property
    def is_empty(self) -> bool:
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
        truncated=capture.truncated,
        cut_bodies=(capture.cut_body,) if capture.cut_body else (),
    )


class Join:
    """One batch's work on a stream's join state: made from a state, asked for the new one at the end."""

    def __init__(self, state: JoinState) -> None:
        self._calls = dict(state.calls)

    @property
    def state(self) -> JoinState:
        return JoinState(dict(self._calls))

    def add(self, capture: Capture, piece: Piece, place: Place) -> Exchange | None:
        """Take in one part; return the exchange if it completed the call."""
        key = str(capture.facts.request_id)
        waiting = _extended(self._calls.get(key), capture, piece, place)
        if waiting.is_complete:
            self._calls.pop(key, None)
            return _assemble(waiting, ())
        self._calls[key] = waiting
        return None

    def expire(self, before: datetime | None, note: str) -> tuple[tuple[Waiting, Exchange], ...]:
        """Give up waiting for calls last heard of before an instant, or for all of them if it is None."""
        gone = [key for key, call in self._calls.items() if _is_older(call, before)]
        calls = [self._calls.pop(key) for key in gone]
        return tuple((call, _assemble(call, (note,))) for call in calls)


def _is_older(call: Waiting, before: datetime | None) -> bool:
    return before is None or (call.enqueued_at is not None and call.enqueued_at < before)


def _extended(waiting: Waiting | None, capture: Capture, piece: Piece, place: Place) -> Waiting:
    key = f"{piece.body}/{piece.number}"
    pieces = dict(waiting.pieces) if waiting else {}
    pieces.setdefault(key, piece.data)  # a part sent twice is the same part
    return Waiting(
        source_format=capture.source_format,
        facts=fact.merge(waiting.facts, capture.facts) if waiting else capture.facts,
        bodies=_union(waiting.bodies if waiting else (), piece.bodies),
        lengths={**(waiting.lengths if waiting else {}), piece.body: piece.of},
        pieces=pieces,
        sequence_number=place.event.sequence_number,
        index=place.index,
        enqueued_at=place.event.enqueued_at,
    )


def _union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*first, *second}))


def _assemble(waiting: Waiting, notes: tuple[str, ...]) -> Exchange:
    """Put the parts in order. Where one is missing, what stands before it is a whole beginning."""
    request, request_whole = _body(waiting, "request")
    response, response_whole = _body(waiting, "response")
    return Exchange(
        source_format=waiting.source_format,
        facts=waiting.facts,
        request=request,
        response=response,
        truncated=not waiting.is_complete,
        cut_bodies=(*(() if request_whole else ("request",)), *(() if response_whole else ("response",))),
        notes=notes,
    )


def _body(waiting: Waiting, body: str) -> tuple[str | None, bool]:
    """Return the beginning of a body that is here, and whether it is all of it."""
    if body not in waiting.bodies:
        return None, True
    of = waiting.lengths.get(body)
    data = b""
    for number in range(of or 0):
        piece = waiting.pieces.get(f"{body}/{number}")
        if piece is None:
            return data.decode("utf-8", "replace") or None, False
        data += piece
    return data.decode("utf-8", "replace") or None, of is not None
