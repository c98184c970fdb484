"""One event as it was received: its bytes, and its place in a stream."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct


class Stream(Struct, frozen=True, order=True):
    """One partition of one hub in one life of that hub.

    ``generation`` counts the lives: a re-created hub starts its sequence numbers anew, so an operator
    raises ``CHARGEBACK_GENERATION`` and both lives keep their events apart.
    """

    namespace: str
    event_hub: str
    generation: int
    partition: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.event_hub}/{self.generation}/{self.partition}"


class Event(Struct, frozen=True, kw_only=True):
    """``stream`` and ``sequence_number`` name an event for ever: a redelivery has the same."""

    stream: Stream
    sequence_number: int
    position: int
    """Place in the journal that takes it: the sequence number on a hub, the ordinal in a replay."""
    body: bytes
    enqueued_at: datetime | None
    """Aware UTC; None where the source keeps none (a plain line of a file)."""
    partition_key: str | None = None
    properties: Mapping[str, Any] | None = None
    """What the producer wrote beside the body; billing does not look at it, ``send`` keeps it."""

    def __str__(self) -> str:
        return f"{self.stream}/{self.sequence_number}"
