"""Event Hubs over the SDK: its events as ours, and clients made from settings.

The SDK's shapes differ from the Functions host's: partition keys are bytes, enqueue times are aware.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from chargeback.errors import RetryError, StopError
from chargeback.event import Event, Stream

if TYPE_CHECKING:
    from azure.eventhub import EventData
    from azure.eventhub.aio import CheckpointStore, EventHubConsumerClient, EventHubProducerClient

_PATIENCE_S = 60


class Hub(Struct, frozen=True, kw_only=True):
    """Which hub, and how to get in."""

    namespace: str
    """Its host name, in lower case."""
    name: str
    connection: str | None
    credential: str | None
    client_id: str | None


def consumer_client(
    hub: Hub, group: str, store: "CheckpointStore | None" = None, **options: Any
) -> "EventHubConsumerClient":
    """Return an aio client; ``options`` are the SDK's."""
    from azure.eventhub.aio import EventHubConsumerClient  # noqa: PLC0415  half a second, for who uses a hub

    if hub.connection is not None:
        return EventHubConsumerClient.from_connection_string(
            hub.connection, group, eventhub_name=hub.name, checkpoint_store=store, **options
        )
    return EventHubConsumerClient(
        hub.namespace, hub.name, group, _identity(hub), checkpoint_store=store, **options
    )


def producer_client(hub: Hub) -> "EventHubProducerClient":
    """Return an aio client."""
    from azure.eventhub.aio import EventHubProducerClient  # noqa: PLC0415  half a second, for who uses a hub

    if hub.connection is not None:
        return EventHubProducerClient.from_connection_string(hub.connection, eventhub_name=hub.name)
    return EventHubProducerClient(hub.namespace, hub.name, _identity(hub))


def _identity(hub: Hub) -> Any:
    from azure.identity.aio import (  # noqa: PLC0415  brings msal; keyed set-ups never need it
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    if (hub.credential or "").lower() == "managedidentity":
        return ManagedIdentityCredential(client_id=hub.client_id)
    return DefaultAzureCredential(managed_identity_client_id=hub.client_id)


def stream_of(hub: Hub, generation: int, partition: str) -> Stream:
    return Stream(hub.namespace, hub.name, generation, partition)


def events(batch: "Sequence[EventData]", stream: Stream) -> list[Event]:
    """Return a batch's events. Raises StopError for one the service did not number."""
    return [_event(each, stream) for each in batch]


def _event(data: "EventData", stream: Stream) -> Event:
    number = data.sequence_number
    if number is None:
        raise StopError(f"an event of {stream} has no sequence number; it cannot be billed once")
    key = data.partition_key
    return Event(
        stream=stream,
        sequence_number=number,
        position=number,
        body=body_of(data),
        enqueued_at=data.enqueued_time,
        partition_key=key.decode("utf-8", "replace") if key else None,
    )


def body_of(data: "EventData") -> bytes:
    """Return the bytes of an event, however its producer packed them."""
    body: Any = data.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, Mapping):
        return data.body_as_str().encode()
    parts: Iterable[Any] = body
    return b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)


async def read_range(hub: Hub, group: str, stream: Stream, first: int, last: int) -> list[Event]:
    """Read these numbers of a partition again, as far as the hub still has them.

    Raises RetryError when the hub stays silent. A group whose consumers own their partitions refuses other readers:
    ``group`` must be another one.
    """
    found: list[Event] = []
    done = asyncio.Event()
    refused: list[Exception] = []

    async def on_batch(_: Any, batch: "list[EventData]") -> None:
        found.extend(events(batch, stream))
        if found and found[-1].sequence_number >= last:
            done.set()

    async def on_error(_: Any, error: Exception) -> None:
        refused.append(error)
        done.set()

    async with consumer_client(hub, group) as client:
        known = await client.get_partition_properties(stream.partition)
        oldest, newest = int(known["beginning_sequence_number"]), int(known["last_enqueued_sequence_number"])
        first, last = max(first, oldest), min(last, newest)
        if first > last:
            return []
        receiving = asyncio.create_task(
            client.receive_batch(
                on_batch,
                partition_id=stream.partition,
                starting_position=first,
                starting_position_inclusive=True,
                on_error=on_error,
                max_wait_time=1,
            )
        )
        try:
            async with asyncio.timeout(_PATIENCE_S + (last - first) / 100):
                await done.wait()
        except TimeoutError:
            raise RetryError(f"hub {hub.name}, partition {stream.partition}: no answer; try again") from None
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    if refused:
        raise RetryError(
            f"hub {hub.name}, partition {stream.partition}: the hub refused a reader ({type(refused[0]).__name__}); "
            f"consumer group {group!r} may be owned by running consumers: name another one with --consumer-group"
        )
    return [event for event in found if first <= event.sequence_number <= last]
