"""What one event says about one call, after its format has been read and its secrets replaced."""

from typing import Any, Literal

from msgspec import Struct

from chargeback.facts import Facts
from chargeback.operations import Effect
from chargeback.usage import Usage

CaptureKind = Literal["call", "identity", "part", "ignored"]
Body = Literal["request", "response"]


class Piece(Struct, frozen=True, kw_only=True):
    """Some of a body, for formats that tell of one call in several events.

    slice    a numbered slice of the bytes; the call is billed when all are here
    side     a whole body; the other one, or the counts, come in another event
    chunk    numbered text of a log that may count the call itself, and does not say how many there are
    """

    kind: Literal["slice", "side", "chunk"] = "slice"
    body: Body
    bodies: tuple[str, ...]
    """Which bodies of the call are sent at all; the call is complete when every part of each is here."""
    number: int = 0
    of: int | None = 1
    data: bytes
    awaits_usage: bool = False
    """Bodies do not complete the call: its counts are expected in an event of their own."""
    frame: tuple[bytes, bytes] = (b"", b"")
    """What makes the pieces, put together, a body again: text before them and behind."""
    cut: bool = False


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
    has_sides: bool = False
    """Other events may hold bodies of this call; with this one they are no longer waited for."""
    effect: Effect = "call"
    """Whether the request makes a model run, fetches what one made, or does neither."""
    background: bool | None = None
    """True: the service answers at once and goes on working; the usage comes with a later fetch."""
    truncated: bool = False
    cut_body: Body | None = None
    """The body the cut is in; what stands before it is whole."""
    estimate_notes: tuple[str, ...] = ()
    """What an estimate from these bodies cannot see; words of ``notes.NOTES``."""
    reason: str | None = None
    """Why nothing is billed, for ``ignored``."""
