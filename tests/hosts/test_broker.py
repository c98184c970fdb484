"""The test broker against the unmodified SDK: what the consumer's tests lean on is true of the wires."""

import asyncio
from datetime import UTC, datetime

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient as AioConsumerClient
from azure.eventhub.exceptions import ConnectError, EventDataSendError, EventHubError

from tests.support.broker import Refused

HUB = "usage"


@pytest.fixture
def producer(broker):
    with EventHubProducerClient.from_connection_string(broker.connection_string(HUB)) as client:
        yield client


def received(broker, count, *, partition="0", meanwhile=None, **options):
    """Read ``count`` events of a partition with the aio client; ``meanwhile`` runs after the first ones."""

    async def run():
        got, enough, todo = [], asyncio.Event(), [meanwhile] if meanwhile else []
        client = AioConsumerClient.from_connection_string(
            broker.connection_string(HUB), "$Default", retry_total=3
        )

        async def on_batch(context, events):
            got.extend(events)
            if got and todo:
                await asyncio.to_thread(todo.pop())
            if len(got) >= count:
                enough.set()

        async with client:
            task = asyncio.create_task(client.receive_batch(on_batch, partition_id=partition, **options))
            try:
                await asyncio.wait_for(enough.wait(), 20)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return got

    return asyncio.run(run())


def numbers(events):
    return [event.sequence_number for event in events]


def test_ids_and_properties_are_as_created(broker, producer):
    broker.put(HUB, 2, [b"a", b"b"], now_ms=1_780_000_000_000)

    assert producer.get_partition_ids() == ["0", "1", "2", "3"]
    empty, filled = producer.get_partition_properties("0"), producer.get_partition_properties("2")
    assert (empty["is_empty"], empty["last_enqueued_offset"]) == (True, "-1")
    assert (filled["beginning_sequence_number"], filled["last_enqueued_sequence_number"]) == (0, 1)
    assert filled["last_enqueued_time_utc"] == datetime.fromtimestamp(1_780_000_000, UTC)


def test_keys_partitions_and_turns_route_and_everything_comes_back_as_sent(broker, producer):
    batch = producer.create_batch(partition_key="call-1")
    event = EventData(b'{"a": 1}')
    event.properties = {"kind": "usage", "part": 3}
    batch.add(event)
    producer.send_batch(batch)
    producer.send_event(EventData(b"alone"), partition_key="call-1")
    [home] = [number for number, log in enumerate(broker.hubs[HUB].partitions) if log.records]
    fixed = producer.create_batch(partition_id="3")
    fixed.add(EventData(b"fixed"))
    producer.send_batch(fixed)
    for _ in range(4):
        producer.send_batch([EventData(b"in turn")])

    first, alone = received(broker, 2, partition=str(home), starting_position="-1")[:2]
    assert (first.body_as_str(), alone.body_as_str()) == ('{"a": 1}', "alone")
    assert first.properties == {b"kind": b"usage", b"part": 3}
    assert (first.partition_key, alone.partition_key) == (b"call-1", b"call-1")
    assert first.offset != str(first.sequence_number)
    assert [log.records[0].body for log in broker.hubs[HUB].partitions][3 if home != 3 else 2] != b""
    assert sum(len(log.records) for log in broker.hubs[HUB].partitions) == 7


@pytest.mark.parametrize(
    ("position", "inclusive", "expected"),
    [
        ("-1", False, [0, 1, 2, 3]),
        (1, False, [2, 3]),
        (1, True, [1, 2, 3]),
        ("offset of 2", False, [3]),
        (datetime.fromtimestamp(1_780_000_000, UTC), False, [2, 3]),
    ],
    ids=["from the start", "after a number", "at a number", "after an offset", "after a time"],
)
def test_reading_starts_where_it_is_told(broker, position, inclusive, expected):
    broker.put(HUB, 0, [b"0", b"1"], now_ms=1_780_000_000_000)
    broker.put(HUB, 0, [b"2", b"3"], now_ms=1_780_000_001_000)
    if isinstance(position, str) and position != "-1":
        position = str(broker.hubs[HUB].partitions[0].records[2].offset)

    got = received(broker, len(expected), starting_position=position, starting_position_inclusive=inclusive)

    assert numbers(got) == expected


def test_latest_means_from_now_on(broker):
    broker.put(HUB, 0, [b"old"])
    with EventHubConsumerClient.from_connection_string(broker.connection_string(HUB), "$Default") as client:
        got = []

        def on_event(context, event):
            if event is None:
                broker.put(HUB, 0, [b"new"]) if not got else client.close()
            else:
                got.append(event)
                client.close()

        client.receive(on_event, partition_id="0", starting_position="@latest", max_wait_time=0.5)

    assert [event.body_as_str() for event in got] == ["new"]


def test_a_large_event_takes_several_frames_and_a_too_large_one_is_refused(broker, producer):
    producer.send_event(EventData(b"x" * 900_000), partition_id="0")

    [event] = received(broker, 1, starting_position="-1")
    assert len(event.body_as_str()) == 900_000
    with pytest.raises(EventHubError):
        producer.send_event(EventData(b"x" * 1_100_000), partition_id="0")


def test_what_retention_dropped_is_passed_over(broker):
    broker.put(HUB, 0, [b"%d" % number for number in range(10)])
    broker.call(lambda: broker.hubs[HUB].partitions[0].drop_head(6))

    assert numbers(received(broker, 4, starting_position=2)) == [6, 7, 8, 9]


def test_connections_cut_and_links_detached_lose_nothing(broker):
    broker.put(HUB, 0, [b"%d" % number for number in range(2000)])

    def meanwhile():
        broker.detach_readers(HUB, 0)
        broker.kill_connections()

    got = received(broker, 2000, starting_position="-1", meanwhile=meanwhile, prefetch=100)

    assert sorted(set(numbers(got))) == list(range(2000))


def test_an_unknown_hub_and_a_busy_one_say_so(broker, producer):
    with (
        EventHubProducerClient.from_connection_string(
            broker.connection_string("nowhere"), retry_total=0
        ) as other,
        pytest.raises((ConnectError, EventHubError)),
    ):
        other.get_partition_ids()

    def busy(link):
        raise Refused("com.microsoft:server-busy", "try later")

    broker.hook = busy
    with pytest.raises(EventDataSendError):
        producer.send_event(EventData(b"x"), partition_id="0")


def test_a_higher_epoch_takes_a_partition_away(broker):
    """What load balancing builds on: the loser is told and stops."""

    async def run():
        lost, both = asyncio.Event(), asyncio.Event()
        clients = [
            AioConsumerClient.from_connection_string(broker.connection_string(HUB), "$Default")
            for _ in range(2)
        ]

        async def on_batch(context, events):
            if events:
                both.set()

        async def on_error(context, error):
            lost.set()

        broker.put(HUB, 0, [b"x"])
        tasks = [
            asyncio.create_task(
                client.receive_batch(
                    on_batch, partition_id="0", owner_level=level, starting_position="-1", on_error=on_error
                )
            )
            for level, client in enumerate(clients[:1])
        ]
        await asyncio.wait_for(both.wait(), 20)
        tasks.append(
            asyncio.create_task(
                clients[1].receive_batch(on_batch, partition_id="0", owner_level=1, starting_position="-1")
            )
        )
        await asyncio.wait_for(lost.wait(), 20)
        for client in clients:
            await client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())

    assert broker.thefts >= 1
