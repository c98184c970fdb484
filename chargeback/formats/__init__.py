"""Which format an event is written in: one table, first match wins.

A format joins with one row (``row.Row``), and a few lines beside it where a row cannot say everything. The
order matters: names are compared without case, and what tells more comes first.
"""

from difflib import get_close_matches
from functools import lru_cache
from itertools import islice

from chargeback.capture import Capture
from chargeback.errors import RejectError
from chargeback.formats import (
    batch_output,
    bodies,
    flat_usage,
    gateway_log,
    hub_usage,
    others,
    own,
    split_events,
)
from chargeback.formats.fields import Fields
from chargeback.formats.row import Row, read_row
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded, decode

TABLE: tuple[Row, ...] = (
    own.OWN,
    gateway_log.GATEWAY_LOG,
    others.WRAPPED,
    others.LOG_PROXY,
    others.PROXY_EVENTS,
    others.TOTAL_ONLY,
    others.STREAM_PRODUCER,
    split_events.PAIR_REQUEST,
    split_events.PAIR_RESPONSE,
    split_events.REQUEST,
    split_events.RESPONSE,
    split_events.COUNTED,
    others.HISTORICAL,
    others.BODIES_AND_URL,
    others.POSTED,
    bodies.WITH_OPERATION,
    bodies.WITHOUT_OPERATION,
    hub_usage.HUB_USAGE,
    others.BY_APP_AND_KEY,
    flat_usage.BY_SUBSCRIPTION_KEY,
    flat_usage.BY_APP_KEY,
    batch_output.BATCH_OUTPUT,
)


MOST_CALLS = 10_000
"""Of one event. A hub's largest event has room for a few thousand real records; more is a bomb of empty ones."""


def read(body: bytes, privacy: Privacy) -> tuple[Capture | RejectError, ...]:
    """Return what the event says, one Capture a call, in the order of the event; never raises for content.

    A RejectError in place of a Capture says why that part of the event cannot be billed; its neighbours can.
    """
    try:
        decoded = decode(body)
    except RejectError as error:
        return (error,)
    if isinstance(decoded.value, list):
        elements = _elements(decoded)
        if not elements:
            return (RejectError("empty", "the body is an empty array; expected events"),)
        captures = (capture for element in elements for capture in _read_one(element, privacy))
        found = tuple(islice(captures, MOST_CALLS + 1))
    else:
        found = _read_one(decoded, privacy)
    if len(found) > MOST_CALLS:
        return (
            RejectError(
                "too_many_records",
                f"the event holds more than {MOST_CALLS} records; no gateway sends so many",
            ),
        )
    return found


def recognise(fields: Fields) -> Row:
    """Return the row of the table an event belongs to. Raises RejectError (``unknown_format``)."""
    for row in _candidates(fields.names, cut=fields.cut):
        if row.fits(fields):
            return row
    raise RejectError("unknown_format", _unknown(fields.names, cut=fields.cut))


@lru_cache(maxsize=256)
def _candidates(names: frozenset[str], *, cut: bool) -> tuple[Row, ...]:
    """Return the rows that events of these names can belong to: a hub sees few sets of names, again and again."""
    return tuple(row for row in TABLE if row.may_fit(names, cut=cut))


def _read_one(decoded: Decoded, privacy: Privacy) -> tuple[Capture | RejectError, ...]:
    try:
        fields = Fields(decoded)
        row = recognise(fields)
        if row.read is not None:
            return row.read(row, fields, privacy)
        capture = read_row(row, fields, privacy)
    except RejectError as error:
        return (error,)
    return batch_output.split(capture) if batch_output.is_output(capture.response) else (capture,)


def _elements(decoded: Decoded) -> list[Decoded]:
    """Take a top-level array as several events in one; only its last element can be cut."""
    last = len(decoded.value) - 1
    return [
        Decoded(element, decoded.open_path[1:], cut=True)
        if decoded.cut and index == last and decoded.open_path[:1] == (last,)
        else Decoded(element)
        for index, element in enumerate(decoded.value)
    ]


@lru_cache(maxsize=64)
def _unknown(names: frozenset[str], *, cut: bool) -> str:
    """Name what was seen, names only: a value of a stranger's event may be a prompt or a key."""
    shown = sorted(name for name in names if name.replace("-", "_").isidentifier())[:12]
    seen = ", ".join(name[:40] for name in shown) or "no member names"
    where = "the event was cut before its format could be told; " if cut else ""
    nearest = max(TABLE, key=lambda row: _likeness(shown, row))
    return (
        f"{where}no known format has these members: {seen}; nearest is {nearest.name}, "
        f"which needs {', '.join(sorted(nearest.marks))} (see docs/formats.md)"
    )


def _likeness(names: list[str], row: Row) -> float:
    """Compare an event's names with a format's, misspelt ones included; those it is told by weigh more."""
    members = row.reads
    found = {match for name in names for match in get_close_matches(name[:40], members, n=1, cutoff=0.8)}
    return len(found) / len(members.union(names)) + len(found & row.marks) / len(row.marks or members)
