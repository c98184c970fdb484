"""What one event says about one call, after its format has been read and its secrets replaced."""

from typing import Any, Literal

from msgspec import Struct

from chargeback.facts import Facts
from chargeback.usage import Usage

CaptureKind = Literal["call", "identity", "part", "ignored"]


class Piece(Struct, frozen=True, kw_only=True):
    """One numbered slice of a body, for formats that split bodies over events."""

    body: Literal["request", "response"]
    bodies: tuple[str, ...]
    """Which bodies of the call are sent at all; the call is complete when every part of each is here."""
    number: int
    of: int
    data: bytes


class Capture(Struct, frozen=True, kw_only=True):
    """One event may yield several; their order in the event is their ``index``."""

    source_format: str
    kind: CaptureKind = "call"
    facts: Facts
    message_id: str | None = None
    """Joins the events of formats that split a call; not an id of the gateway or the service."""
    request: Any = None
    """Body as it stood in the event: text, a JSON value, or None."""
    response: Any = None
    usage: Usage | None = None
    """Counts that stand in the event itself, outside any body."""
    piece: Piece | None = None
    truncated: bool = False
    cut_body: Literal["request", "response"] | None = None
    """The body the cut is in; what stands before it is whole."""
    reason: str | None = None
    """Why nothing is billed, for ``ignored``."""
