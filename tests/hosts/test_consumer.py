"""The standalone consumer on real wires: every event once, whoever owns its partition, whatever goes away."""

import asyncio
import importlib
import re
import threading
import time
import urllib.error
import urllib.request
from contextlib import AsyncExitStack

import pytest

from chargeback.charge import Charge
from chargeback.errors import StopError
from chargeback.health import serving
from chargeback.journal.rows import Gap
from chargeback.journal.winner import calls
from chargeback.report import ledger_rows
from tests.support import azurite
from tests.support.calls import Counts
from tests.support.consuming import HUB, opened, positions, running, until
from tests.support.events import NOON
from tests.support.proxy import Proxy
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

pytestmark = pytest.mark.azurite


def bodies(count, first=1):
    usage = Counts(prompt=100, completion=20)
    numbers = range(first, first + count)
    return [render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, n, usage=usage), "v1")[0] for n in numbers]


def fill(broker, each, first=1):
    """Put so many events on each of the four partitions."""
    for partition in range(4):
        broker.put(HUB, partition, bodies(each, first + partition * 10_000))


def complete(ledger, each):
    return lambda: positions(ledger) == {str(number): list(range(each)) for number in range(4)}


def test_everything_on_the_hub_is_billed_once_confirmed_and_checkpointed(broker, ingestion, settings_for):
    settings = settings_for(ingestion.connection_string)
    ledger = opened(settings)
    fill(broker, 60)

    async def run():
        async with running(settings) as consumer:
            await until(complete(ledger, 60))
            await until(lambda: len(ingestion.accepted) == 240)
            assert (consumer.status.events, consumer.status.lag, consumer.status.healthy) == (240, 0, True)
        async with running(settings) as consumer:  # goes on at its checkpoints
            broker.put(HUB, 0, bodies(1, 99_000))
            await until(lambda: len(ingestion.accepted) == 241)
            assert consumer.status.events == 1

    asyncio.run(run())

    found = list(calls(ledger_rows(ledger)))
    assert len(found) == 241
    assert {call.charge.rating for call in found} == {"priced"}
    assert set(ingestion.accepted) == {call.charge.charge_id for call in found}


@pytest.mark.parametrize("count", [2, 3])
def test_consumers_share_four_partitions_and_hand_over_without_loss_or_double_rows(
    broker, settings_for, count
):
    settings = settings_for()
    ledger = opened(settings)
    rounds = iter(range(1, 100))

    async def more():
        """Twenty events more on each partition, and all of them committed."""
        number = next(rounds)
        fill(broker, 20, first=number * 100_000)
        await until(complete(ledger, 20 * number))

    async def run():
        at_work = []
        async with AsyncExitStack() as stack:
            for _ in range(count):
                at_work.append(await stack.enter_async_context(running(settings)))
                await until(lambda: all(consumer.status.partitions for consumer in at_work))
                await more()
            await until(lambda: shared([consumer.status.partitions for consumer in at_work]))
        async with running(settings):
            await more()

    asyncio.run(run())

    rows = list(ledger_rows(ledger))
    assert not [row for row in rows if isinstance(row, Gap)]
    assert len([row for row in rows if isinstance(row, Charge)]) == 4 * 20 * (count + 1)


def shared(owned):
    """Four partitions, nobody without one, nobody with more than two."""
    return sum(owned) == 4 and min(owned) >= 1 and max(owned) <= 2


def test_a_batch_that_raises_is_read_again_and_the_other_partitions_go_on(broker, settings_for):
    settings = settings_for()
    ledger = opened(settings)
    fill(broker, 10)
    failures = []

    class Failing:
        def __init__(self, worker):
            self._worker = worker

        def __getattr__(self, name):
            return getattr(self._worker, name)

        def commit(self, events):
            if events[0].stream.partition == "2" and len(failures) < 3:
                failures.append(events)
                raise OSError("storage with a secret in its text")
            return self._worker.commit(events)

    async def run():
        async with running(settings, Failing) as consumer:
            await until(complete(ledger, 10))
            assert consumer.status.redelivered == 3

    asyncio.run(run())


def test_a_checkpoint_that_fails_after_the_commit_costs_nothing_but_reading_again(
    broker, settings_for, monkeypatch
):
    settings = settings_for()
    ledger = opened(settings)
    store = importlib.import_module("azure.eventhub.extensions.checkpointstoreblobaio").BlobCheckpointStore
    tried = []

    async def away(_, checkpoint, **__):
        tried.append(checkpoint["partition_id"])
        raise OSError("storage with a secret in its text")

    async def run():
        fill(broker, 10)
        with monkeypatch.context() as patched:
            patched.setattr(store, "update_checkpoint", away)
            async with running(settings) as consumer:
                await until(lambda: consumer.status.events == 40)
                await until(lambda: len(tried) > 8)  # tried again while nothing comes in
                status = consumer.status
        async with running(settings) as consumer:
            await until(lambda: consumer.status.skipped == 40)
        return status

    status = asyncio.run(run())

    assert complete(ledger, 10)()
    assert (status.charges, status.redelivered, status.partitions, status.healthy) == (40, 0, 4, True)


def test_a_stop_finishes_the_batch_and_writes_its_checkpoint(broker, settings_for):
    settings = settings_for()
    ledger = opened(settings)
    broker.put(HUB, 0, bodies(30))
    begun = threading.Event()

    class Slow:
        def __init__(self, worker):
            self._worker = worker

        def __getattr__(self, name):
            return getattr(self._worker, name)

        def commit(self, events):
            begun.set()
            time.sleep(0.5)
            return self._worker.commit(events)

    async def run():
        async with running(settings, Slow):
            await until(begun.is_set)
        assert positions(ledger)["0"]
        async with running(settings) as consumer:
            await until(lambda: positions(ledger) == {"0": list(range(30))})
            return consumer.status.events

    assert asyncio.run(run()) < 30, "what was committed before the stop was not read again"


def test_a_re_created_hub_stops_with_its_remedy(broker, settings_for):
    settings = settings_for()
    ledger = opened(settings)
    broker.put(HUB, 1, bodies(20), now_ms=int(time.time() * 1000) - 3_600_000)

    async def run():
        async with running(settings):
            await until(lambda: positions(ledger) == {"1": list(range(20))})

        def create_anew():
            log = broker.hubs[HUB].partitions[1]
            log.records.clear()
            log.first = 0

        broker.call(create_anew)
        broker.put(HUB, 1, bodies(5, 500))
        async with running(settings) as consumer:
            await until(consumer._stop.is_set)

    with pytest.raises(StopError, match="CHARGEBACK_GENERATION"):
        asyncio.run(run())
    assert positions(ledger) == {"1": list(range(20))}


def test_a_folder_is_ledger_enough_and_its_journals_are_the_checkpoints(broker, settings_for, tmp_path):
    settings = settings_for(CHARGEBACK_LEDGER=str(tmp_path / "ledger"))
    ledger = opened(settings)
    fill(broker, 15)

    async def run():
        async with running(settings):
            await until(complete(ledger, 15))
        fill(broker, 5, first=70_000)
        async with running(settings) as consumer:
            await until(complete(ledger, 20))
            return consumer.status.events

    assert asyncio.run(run()) == 20


@pytest.mark.parametrize(("healthy", "code"), [(True, 200), (False, 503)])
def test_the_health_endpoint_says_in_its_status_what_it_says_in_its_body(healthy, code):
    async def run():
        async with serving("127.0.0.1:0", lambda: {"healthy": healthy, "lag": 3}) as port:
            return await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/health")

    status, body = asyncio.run(run())
    assert status == code
    assert b'"lag": 3' in body


def _get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_ingestion_down_for_longer_than_any_retry_holds_up_nothing_and_everything_arrives_later(
    broker, ingestion, settings_for
):
    settings = settings_for(ingestion.connection_string, CHARGEBACK_TELEMETRY_DEADLINE="0.5")
    ledger = opened(settings)
    ingestion.stop()

    async def run():
        async with running(settings) as consumer:
            for number in range(4):  # eight times the deadline of a send
                fill(broker, 10, first=number * 100_000 + 1)
                await until(complete(ledger, 10 * (number + 1)))
                await asyncio.sleep(1)
            assert not ingestion.accepted
            await until(lambda: consumer.status.backlog and consumer.status.oldest_unsent_s)
            ingestion.start()
            await until(lambda: len(ingestion.accepted) == 160)
            await until(lambda: consumer.status.backlog == 0)
            return consumer.status

    status = asyncio.run(run())

    assert (status.events, status.redelivered) == (160, 0)
    assert set(ingestion.accepted) == {
        row.charge_id for row in ledger_rows(ledger) if isinstance(row, Charge)
    }


def test_a_process_that_starts_in_an_outage_waits_for_its_end(broker, storage, settings_for):
    with Proxy(int(re.search(r":(\d+)/", storage)[1])) as proxy:
        settings = settings_for(AzureWebJobsStorage=azurite.connection_string(proxy.port))
        fill(broker, 5)

        async def run():
            proxy.mode = "refuse"
            end_of_the_outage = asyncio.create_task(open_when_cut(proxy))
            async with running(settings):
                await until(complete(opened(settings), 5))
            await end_of_the_outage

        async def open_when_cut(proxy):
            await asyncio.to_thread(proxy.wait_for_cut)
            proxy.mode = "open"

        asyncio.run(run())
