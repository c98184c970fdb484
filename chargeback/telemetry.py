"""What telemetry carries: events to send and what became of them, free of any package's envelope."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

NAME_LIMIT = 512
KEY_LIMIT = 150
VALUE_LIMIT = 8192


class CustomEvent(Struct, frozen=True, kw_only=True):
    """One customEvent. ``event_id`` is the same on every resend, so readers can drop copies."""

    name: str
    event_id: str
    occurred_at: datetime
    """Aware UTC. Envelope time is this, or the send time when the service would refuse it as too old or too new."""
    properties: Mapping[str, str]
    measurements: Mapping[str, float] = {}


class Refusal(Struct, frozen=True, kw_only=True):
    """An item the service will never accept: by its place in what was sent, with status and message."""

    index: int
    status: int
    message: str


class Delivery(Struct, frozen=True, kw_only=True):
    """What became of the events handed to one ``send``: every index is in exactly one of three places.

    Confirmed is whatever is neither refused nor unconfirmed.
    """

    sent: int
    refused: tuple[Refusal, ...] = ()
    unconfirmed: tuple[int, ...] = ()
    """Indexes of which nothing certain is known, ascending. They must be sent again later."""
    retry_after_s: float | None = None
    """How long the service asked to wait; None when it did not say."""
    alarm: str | None = None
    """A configuration fault an operator must see (``daily_cap``, ``unauthorized``, ``sampled``, ``wrong_endpoint``, ``foreign_redirect``)."""
