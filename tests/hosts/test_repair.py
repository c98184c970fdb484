"""What the platform skipped is found, read again from the hub or from Capture, and billed once."""

import asyncio
from datetime import timedelta

import fastavro
import pytest
from typer.testing import CliRunner

from chargeback import wiring
from chargeback.charge import Charge
from chargeback.cli.commands import app
from chargeback.event import Stream
from chargeback.journal.gaps import OpenGap, open_gaps, runs, without
from chargeback.journal.local import ledger as local_ledger
from chargeback.journal.winner import calls
from chargeback.repair import repair
from chargeback.report import ledger_rows
from chargeback.sources import event_hub
from chargeback.stream_worker import StreamWorker
from tests.support import oracle
from tests.support.azure_bodies import Style
from tests.support.calls import Counts
from tests.support.charges import CONTEXT
from tests.support.consuming import HUB, opened, positions, running, until
from tests.support.events import NOON, STREAM, events_of
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

SCHEMA = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {
            "name": "SystemProperties",
            "type": {"type": "map", "values": ["long", "double", "string", "bytes"]},
        },
        {
            "name": "Properties",
            "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]},
        },
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}


def call(number, **told):
    return a_call(
        CALLERS["shop"], ROUTES["mini"], NOON, number, usage=Counts(prompt=90, completion=9), **told
    )


def bodies(count, first=1):
    return [render(call(number), "v1")[0] for number in range(first, first + count)]


def journal(ledger):
    return StreamWorker(ledger.journal(f"stream/{STREAM}"), ledger, lambda: CONTEXT)


@pytest.fixture
def ledger(tmp_path):
    return local_ledger(tmp_path / "ledger", writer="test", now=lambda: NOON)


def test_ranges():
    assert without((5, 20), [(1, 5), (9, 10), (20, 30)]) == [(6, 8), (11, 19)]
    assert without((5, 20), [(5, 20)]) == []
    assert without((5, 20), [(30, 40)]) == [(5, 20)]
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    assert runs([]) == []


def test_a_repaired_gap_is_no_longer_open_and_a_half_repaired_one_is_half_open(ledger):
    events = events_of(bodies(30))
    worker = journal(ledger)
    worker.handle(events[:10])
    worker.handle(events[20:])
    [gap] = open_gaps(ledger)

    half = repair(ledger, gap, events[:15], CONTEXT)
    rest = open_gaps(ledger)
    repair(ledger, rest[0], events, CONTEXT)
    repair(ledger, gap, events, CONTEXT)  # once more changes nothing

    assert (gap, gap.count) == (OpenGap(str(STREAM), 10, 19), 10)
    assert (half.found, half.missing) == (5, 5)
    assert rest == [OpenGap(str(STREAM), 15, 19)]
    assert open_gaps(ledger) == []
    assert sorted(each.charge.sequence_number for each in calls(ledger_rows(ledger))) == list(range(30))


def test_a_call_whose_parts_lie_on_both_sides_of_the_gaps_edge_is_put_together(ledger):
    told = {"usage_visible": False}
    parts = render(call(7, **told), "v1-parts", Style(slice_size=40))
    events = events_of([*bodies(3, 100), *parts, *bodies(3, 200)])
    edge = 3 + len(parts) // 2
    worker = journal(ledger)
    worker.handle(events[: edge - 1])
    worker.handle(events[edge + 1 :])

    [gap] = open_gaps(ledger)
    done = repair(ledger, gap, events, CONTEXT)

    assert (gap.count, done.charges) == (2, 1)
    [joined] = [each.charge for each in calls(ledger_rows(ledger)) if each.charge.usage_source == "estimated"]
    assert not joined.truncated


def test_capture_files_close_a_gap_by_the_command(ledger, tmp_path, monkeypatch):
    made = bodies(20)
    events = events_of(made)
    worker = journal(ledger)
    worker.handle(events[:5])
    worker.handle(events[12:])
    file = tmp_path / "contoso" / "usage" / "0" / "2026" / "11" / "18" / "12" / "00" / "00.avro"
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        fastavro.writer(out, SCHEMA, [_record(number, body) for number, body in enumerate(made)])
    monkeypatch.setenv("CHARGEBACK_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("CHARGEBACK_RATES", str(oracle.SAMPLE_RATES))
    wiring.settings.cache_clear()

    listed = CliRunner().invoke(app, ["repair", "--dry-run"])
    repaired = CliRunner().invoke(app, ["repair", str(tmp_path / "contoso")])
    again = CliRunner().invoke(app, ["repair"])
    wiring.settings.cache_clear()

    assert (listed.exit_code, repaired.exit_code, again.exit_code) == (1, 0, 0), repaired.output
    assert "5 to 11: 7 events" in listed.output
    assert "no gaps" in again.output
    assert sorted(each.charge.sequence_number for each in calls(ledger_rows(ledger))) == list(range(20))


def _record(number, body):
    at = NOON + timedelta(seconds=number)
    return {
        "SequenceNumber": number,
        "Offset": str(number * 100),
        "EnqueuedTimeUtc": f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S} PM",
        "SystemProperties": {},
        "Properties": {},
        "Body": body,
    }


@pytest.mark.azurite
def test_a_skipped_batch_is_found_as_a_gap_and_repaired_from_the_hub(broker, settings_for):
    """The checkpoint advanced without processing, as Functions does on time-outs."""
    settings = settings_for()
    ledger = opened(settings)
    broker.put(HUB, 2, bodies(10))

    async def consume_around_a_skipped_batch():
        async with running(settings):
            await until(lambda: positions(ledger).get("2") == list(range(10)))
        broker.put(HUB, 2, bodies(30, 50))
        await _skip_to(settings, broker, "2", 24)
        async with running(settings) as consumer:
            await until(lambda: positions(ledger)["2"][-1] == 39)
            # The worker's own group is owned: the repair reads with another one, while it runs.
            [gap] = open_gaps(ledger)
            hub, stream = wiring.hub_of(settings), Stream(broker.namespace, HUB, 1, "2")
            events = await event_hub.read_range(hub, "other", stream, gap.first - 5, gap.last + 5)
            assert consumer.status.healthy
            return gap, events

    gap, events = asyncio.run(consume_around_a_skipped_batch())
    assert (gap.first, gap.last) == (10, 24)
    assert [event.sequence_number for event in events] == list(range(5, 30))
    done = repair(ledger, gap, events, CONTEXT)

    assert (done.found, done.missing, open_gaps(ledger)) == (15, 0, [])
    numbers = [row.sequence_number for row in ledger_rows(ledger) if isinstance(row, Charge)]
    assert sorted(numbers) == list(range(40))


async def _skip_to(settings, broker, partition, number):
    from chargeback.checkpoints import checkpoint_store

    store = await checkpoint_store(settings)
    record = broker.hubs[HUB].partitions[int(partition)].records[number]
    async with store:
        await store.update_checkpoint(
            {
                "fully_qualified_namespace": "localhost",
                "eventhub_name": HUB,
                "consumer_group": "$Default",
                "partition_id": partition,
                "sequence_number": number,
                "offset": str(record.offset),
            }
            | {"fully_qualified_namespace": await _namespace(store, broker)}
        )


async def _namespace(store, broker):
    """As the SDK names it in the store: with or without the port, whichever has checkpoints."""
    for name in (broker.namespace, "localhost"):
        if await store.list_checkpoints(name, HUB, "$Default"):
            return name
    raise AssertionError("no checkpoints")


def test_what_the_hub_has_dropped_stays_missing(ledger):
    events = events_of(bodies(30))
    worker = journal(ledger)
    worker.handle(events[:10])
    worker.handle(events[20:])
    [gap] = open_gaps(ledger)

    done = repair(ledger, gap, events[:10] + events[20:], CONTEXT)

    assert (done.found, done.missing) == (0, 10)
    assert open_gaps(ledger) == [gap]
