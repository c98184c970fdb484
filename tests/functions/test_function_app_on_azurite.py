"""The same app with its ledger in blob storage: same promises, and storage that goes away and comes back."""

import re

import pytest

from chargeback.charge import Charge
from tests.functions import test_function_app as on_files
from tests.functions.test_function_app import (  # noqa: F401  the same tests, with the fixture ``env`` below
    endpoint,
    test_a_poison_event_in_the_middle_is_a_dead_letter_and_the_others_are_billed_and_confirmed,
    test_a_worker_killed_between_batches_leaves_its_parts_to_the_next,
    test_four_partitions_at_once_lose_and_mix_nothing,
    test_with_ingestion_down_the_batch_returns_and_the_backlog_arrives_when_it_is_up,
)
from tests.support import azurite
from tests.support.functions_worker import event_hub_batch, functions_worker
from tests.support.proxy import Proxy
from tests.support.render import render

pytestmark = [pytest.mark.worker, pytest.mark.azurite]


@pytest.fixture(scope="module")
def connection():
    azurite.script_or_skip()
    with azurite.running() as running:
        yield running


@pytest.fixture
def proxy(connection):
    with Proxy(int(re.search(r":(\d+)/", connection)[1])) as running:
        yield running


@pytest.fixture
def env(tmp_path, endpoint, proxy, request, monkeypatch):  # noqa: F811  pytest's fixtures are asked for by name
    """Ledger and rate table in containers; this process reads the same ledger, without the proxy."""
    container = "ledger-" + re.sub(r"[^a-z0-9]+", "", request.node.name)[-40:]
    storage = azurite.connection_string(proxy.port)
    monkeypatch.setenv("AzureWebJobsStorage", storage)
    _upload_rates(storage, container)
    return {
        "AzureWebJobsStorage": storage,
        "CHARGEBACK_LEDGER": container,
        "CHARGEBACK_RATES": f"{container}/tables/rates.yaml",
        "CHARGEBACK_TELEMETRY_DEADLINE": "1",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string,
        "PYTHONPATH": str(on_files.ROOT),
        "HOME": str(tmp_path),
    }


def _upload_rates(storage, container):
    from chargeback.journal import blob

    client = blob.by_connection_string(storage, container)
    table = (on_files.ROOT / "samples" / "rates.yaml").read_bytes()
    blob.BlobObjects(blob.Container(client)).put("tables/rates.yaml", table)
    client.close()


def test_storage_away_raises_and_the_redelivered_batch_is_billed_once(env, proxy):
    [call] = on_files.some_calls(1)
    [body] = render(call, "F1")

    with functions_worker(on_files.ROOT, env) as worker:
        assert worker.invoke("bill_usage", event_hub_batch([body])).ok
        proxy.mode = "refuse"
        down = worker.invoke("bill_usage", event_hub_batch([body], first_sequence_number=1))
        proxy.mode = "open"
        again = worker.invoke("bill_usage", event_hub_batch([body], first_sequence_number=1), retry=(1, -1))

    assert not down.ok
    assert "blob storage" in down.error
    assert "AccountKey" not in down.error
    assert again.ok, again.stack
    assert [row.sequence_number for row in on_files.rows_of(env) if isinstance(row, Charge)] == [0, 1]


def test_an_append_whose_answer_is_lost_is_found_and_not_repeated(env, proxy):
    bodies = [body for call in on_files.some_calls(3) for body in render(call, "F1")]

    with functions_worker(on_files.ROOT, env) as worker:
        assert worker.invoke("bill_usage", event_hub_batch(bodies[:1])).ok
        proxy.mode = "deaf"
        lost = worker.send("bill_usage", event_hub_batch(bodies[1:], first_sequence_number=1))
        proxy.wait_for_cut()
        proxy.mode = "open"
        first = worker.result(lost)
        if not first.ok:
            assert worker.invoke("bill_usage", event_hub_batch(bodies[1:], first_sequence_number=1)).ok

    assert [row.sequence_number for row in on_files.rows_of(env) if isinstance(row, Charge)] == [0, 1, 2]
