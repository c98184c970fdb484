"""Events as a hub numbers them, for tests that hold bodies."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chargeback.event import Event, Stream

STREAM = Stream("contoso.servicebus.windows.net", "usage", 1, "0")
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


def events_of(
    bodies: Iterable[bytes],
    *,
    first: int = 0,
    stream: Stream = STREAM,
    start: datetime = NOON,
    every: timedelta = timedelta(seconds=1),
) -> list[Event]:
    """Number the bodies densely from ``first``, one ``every`` so often."""
    return [
        Event(
            stream=stream,
            sequence_number=number,
            position=number,
            body=body,
            enqueued_at=start + (number - first) * every,
        )
        for number, body in enumerate(bodies, first)
    ]
