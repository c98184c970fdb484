"""A batch of the Event Hub trigger as our events.

What the host hands over differs from the SDK's shapes: times are naive and mean UTC, the offset is a number
of no use, and the partition is in the metadata all events of a batch share.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import azure.functions as func

from chargeback.errors import StopError
from chargeback.event import Event, Stream
from chargeback.strangers import as_object


def events(batch: Sequence[func.EventHubEvent], generation: int) -> list[Event]:
    """Return the batch's events. Raises StopError when the host does not say which partition it is."""
    if not batch:
        return []
    stream = _stream(batch[0], generation)
    return [_event(each, stream) for each in batch]


def _stream(first: func.EventHubEvent, generation: int) -> Stream:
    metadata = cast("Mapping[str, Any]", first.metadata or {})
    context = as_object(metadata.get("PartitionContext")) or {}
    names = ("FullyQualifiedNamespace", "EventHubName", "PartitionId")
    missing = [name for name in names if context.get(name) in (None, "")]
    if missing:
        raise StopError(
            f"trigger metadata: PartitionContext lacks {', '.join(missing)}; without them an event has no name, "
            "and billing would guess. Check the version of the Event Hubs extension bundle in host.json"
        )
    namespace, hub, partition = (str(context[name]) for name in names)
    return Stream(namespace.lower(), hub.lower(), generation, partition)


def _event(event: func.EventHubEvent, stream: Stream) -> Event:
    number = event.sequence_number
    if number is None:
        raise StopError(
            f"trigger metadata: an event of {stream} has no SequenceNumber; it cannot be billed once"
        )
    return Event(
        stream=stream,
        sequence_number=number,
        position=number,
        body=event.get_body(),
        enqueued_at=_utc(event.enqueued_time),
        partition_key=event.partition_key,
    )


def _utc(instant: datetime | None) -> datetime | None:
    """The extension sends UTC without a zone; newer ones may add it."""
    if instant is None:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
