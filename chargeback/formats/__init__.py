"""Which format an event is written in: one table, first match wins.

A format joins with one module that reads it and one row here. Names are compared without case. A row's
``needs`` must all be there; ``when_cut`` is what suffices in an event that was cut before the rest.
"""

from collections.abc import Callable
from difflib import SequenceMatcher

from msgspec import Struct

from chargeback.capture import Capture
from chargeback.errors import RejectError
from chargeback.formats import bodies, flat_usage, own
from chargeback.formats.fields import Fields
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded, decode


class Format(Struct, frozen=True, kw_only=True):
    """One family of events: how to tell it, how to read it, and what it is called in ``source_format``."""

    name: str
    title: str
    needs: frozenset[str]
    when_cut: frozenset[str]
    read: Callable[[Fields, Privacy], Capture]


TABLE: tuple[Format, ...] = (
    Format(
        name="v1",
        title="This project's own policy fragments: usage, identity and numbered body parts",
        needs=frozenset({"v", "kind", "request_id"}),
        when_cut=frozenset({"v", "kind"}),
        read=own.read,
    ),
    Format(
        name="F1",
        title="Request and response bodies with `apiOperation`",
        needs=frozenset({"request", "response", "apioperation"}),
        when_cut=frozenset({"eventtime", "apioperation"}),
        read=bodies.read_with_operation,
    ),
    Format(
        name="F2",
        title="Request and response bodies without an operation",
        needs=frozenset({"request", "response"}),
        when_cut=frozenset({"eventtime", "appsubscriptionkey"}),
        read=bodies.read_without_operation,
    ),
    Format(
        name="F5",
        title="Token counts by subscription key, perhaps with the deployment",
        needs=frozenset({"appsubscriptionkey", "completiontokens"}),
        when_cut=frozenset({"timestamp", "appsubscriptionkey"}),
        read=flat_usage.read_by_subscription_key,
    ),
    Format(
        name="F4",
        title="Token counts by `AppKey`",
        needs=frozenset({"appkey"}),
        when_cut=frozenset({"appkey"}),
        read=flat_usage.read_by_app_key,
    ),
)


def read(body: bytes, privacy: Privacy) -> tuple[Capture | RejectError, ...]:
    """Return what the event says, one Capture a call, in the order of the event; never raises for content.

    A RejectError in place of a Capture says why that part of the event cannot be billed; its neighbours can.
    """
    try:
        decoded = decode(body)
    except RejectError as error:
        return (error,)
    elements = _elements(decoded) if isinstance(decoded.value, list) else (decoded,)
    if not elements:
        return (RejectError("empty", "the body is an empty array; expected events"),)
    return tuple(_read_one(element, privacy) for element in elements)


def recognise(fields: Fields) -> Format:
    """Return the row of the table an event belongs to. Raises RejectError (``unknown_format``)."""
    names = fields.names
    for row in TABLE:
        if row.needs <= names or (fields.cut and row.when_cut <= names):
            return row
    raise RejectError("unknown_format", _unknown(names, cut=fields.cut))


def _read_one(decoded: Decoded, privacy: Privacy) -> Capture | RejectError:
    try:
        fields = Fields(decoded)
        return recognise(fields).read(fields, privacy)
    except RejectError as error:
        return error


def _elements(decoded: Decoded) -> list[Decoded]:
    """Take a top-level array as several events in one; only its last element can be cut."""
    last = len(decoded.value) - 1
    return [
        Decoded(element, decoded.open_path[1:], cut=True)
        if decoded.cut and index == last and decoded.open_path[:1] == (last,)
        else Decoded(element)
        for index, element in enumerate(decoded.value)
    ]


def _unknown(names: frozenset[str], *, cut: bool) -> str:
    """Name what was seen, names only: a value of a stranger's event may be a prompt or a key."""
    shown = sorted(name for name in names if name.isidentifier() or name.replace("-", "_").isidentifier())[
        :12
    ]
    seen = ", ".join(name[:40] for name in shown) or "no member names"
    where = "the event was cut before its format could be told; " if cut else ""
    nearest = max(TABLE, key=lambda row: _likeness(names, row.needs))
    return (
        f"{where}no known format has these members: {seen}; nearest is {nearest.name}, "
        f"which needs {', '.join(sorted(nearest.needs))} (see docs/formats.md)"
    )


def _likeness(names: frozenset[str], needs: frozenset[str]) -> float:
    return SequenceMatcher(None, sorted(names)[:50], sorted(needs)).ratio() + len(names & needs) / len(needs)
