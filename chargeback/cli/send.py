"""``chargeback send``: captured events to an Event Hub, as they were: bodies, keys, properties, order."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chargeback.cli.progress import QuietOption, remark
from chargeback.errors import RetryError, UsageError
from chargeback.event import Event
from chargeback.sources import capture_files, event_hub
from chargeback.wiring import fetched, hub_of, settings

if TYPE_CHECKING:
    from azure.eventhub import EventData, EventDataBatch
    from azure.eventhub.aio import EventHubProducerClient

_TRIES = 5


def send(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files (.jsonl, .json, .avro) or folders of captured events."),
    ],
    partition: Annotated[
        str | None,
        typer.Option(
            metavar="PARTITION", help="Send everything to this partition; else by each event's key."
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Publish captured events to the hub of EVENT_HUB_CONNECTION, keeping keys and properties.

    Events with one key stay in order; events without a key are spread evenly, as the hub does it.

    Examples:
      chargeback send samples/events/v1.jsonl
      chargeback send captured/ --partition 0
    """
    hub = hub_of(settings())
    with fetched(paths, settings()) as files:
        source = capture_files.find(files)
        count = asyncio.run(_send(hub, capture_files.read(source), partition))
    remark(f"sent {count} events to {hub.name} at {hub.namespace}", quiet=quiet)


async def _send(hub: event_hub.Hub, events: Iterator[Event], partition: str | None) -> int:
    count = 0
    async with event_hub.producer_client(hub) as client:
        for key, group in groupby(events, key=lambda event: None if partition else event.partition_key):
            count += await _send_group(client, key, partition, group)
    return count


async def _send_group(
    client: "EventHubProducerClient", key: str | None, partition: str | None, events: Iterator[Event]
) -> int:
    """Send events of one key in as few batches as the hub allows."""
    count = 0
    batch = await client.create_batch(partition_key=key, partition_id=partition)
    for event in events:
        data = _data(event)
        try:
            batch.add(data)
        except ValueError:
            if not len(batch):
                raise UsageError(
                    f"event {event}: {len(event.body)} bytes are more than the hub takes"
                ) from None
            await _send_batch(client, batch)
            batch = await client.create_batch(partition_key=key, partition_id=partition)
            batch.add(data)
        count += 1
    if len(batch):
        await _send_batch(client, batch)
    return count


def _data(event: Event) -> "EventData":
    from azure.eventhub import EventData  # noqa: PLC0415  half a second, for who sends

    data = EventData(event.body)
    if event.properties:
        data.properties = {name: value for name, value in event.properties.items()}  # noqa: C416  keys may be bytes here
    return data


async def _send_batch(client: "EventHubProducerClient", batch: "EventDataBatch") -> None:
    """The SDK gives up a rejected send after one or two attempts, whatever its retry settings say."""
    from azure.eventhub.exceptions import EventHubError  # noqa: PLC0415  half a second, for who sends

    for attempt in range(1, _TRIES + 1):
        try:
            await client.send_batch(batch)
        except EventHubError as error:
            if attempt == _TRIES:
                raise RetryError(
                    f"the hub refused a batch {_TRIES} times ({type(error).__name__}); check the connection and "
                    "the right to send, then send the rest"
                ) from None
            await asyncio.sleep(2**attempt * 0.1)
        else:
            return
