"""Ask a hub what it has, and whether it gives its events to the consumer group."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from chargeback.sources import event_hub

if TYPE_CHECKING:
    from azure.eventhub.aio import EventHubConsumerClient

LISTEN_S = 10


class Seen(Struct, frozen=True):
    """A partition as the hub describes it."""

    partition: str
    first: int
    last: int
    at: datetime | None
    """When its newest event came; None: it is empty."""


class NoGroupError(Exception):
    """Nothing comes for this consumer group."""


async def ask(hub: event_hub.Hub, group: str) -> list[Seen]:
    async with event_hub.consumer_client(hub, group, retry_total=0) as client:
        ids = await client.get_partition_ids()
        seen = [_seen(each, await client.get_partition_properties(each)) for each in ids]
        newest = next((each for each in seen if each.at), None)
        if newest and not await _answers(client, newest):
            raise NoGroupError
    return seen


def _seen(partition: str, told: dict[str, object]) -> Seen:
    at = told["last_enqueued_time_utc"]
    return Seen(
        partition=partition,
        first=int(str(told["beginning_sequence_number"])),
        last=int(str(told["last_enqueued_sequence_number"])),
        at=at if isinstance(at, datetime) and not told["is_empty"] else None,
    )


async def _answers(client: "EventHubConsumerClient", last: Seen) -> bool:
    """Read the newest event of a partition again: only reading asks for the group.

    The SDK does not tell why nothing comes. Being displaced by the group's owner is an answer too.
    """
    answered = asyncio.Event()

    async def on_any(*_: object) -> None:
        answered.set()

    reading = asyncio.create_task(
        client.receive(
            on_any,
            partition_id=last.partition,
            starting_position=last.last,
            starting_position_inclusive=True,
            on_error=on_any,
        )
    )
    try:
        async with asyncio.timeout(LISTEN_S):
            await answered.wait()
    except TimeoutError:
        return False
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return True
