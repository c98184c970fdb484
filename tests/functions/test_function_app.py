"""The shipped function_app.py in Microsoft's worker library: indexed, invoked, and every promise of a batch."""

import json
import os
from pathlib import Path

import pytest

from chargeback.charge import Charge
from chargeback.journal.rows import Reject
from chargeback.journal.winner import calls
from chargeback.report import ledger_rows
from chargeback.settings import Settings
from chargeback.wiring import open_ledger
from tests.support.azure_bodies import Style
from tests.support.calls import Answer, Message
from tests.support.events import NOON
from tests.support.functions_worker import event_hub_batch, functions_worker, timer_tick
from tests.support.ingestion import IngestionEndpoint
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

pytestmark = pytest.mark.worker

ROOT = Path(__file__).parents[2]
POISON = b'{"prompt": "canary-of-a-prompt"'


def some_calls(count):
    counts = {
        "usage_visible": False,
        "messages": (Message(text="Tell a story."),),
        "answers": (Answer(text="Once."),),
    }
    return [
        a_call(CALLERS["claims"], ROUTES["mini"], NOON, number, **counts) for number in range(1, count + 1)
    ]


@pytest.fixture
def endpoint():
    with IngestionEndpoint() as running:
        yield running


@pytest.fixture
def env(tmp_path, endpoint):
    return {
        "CHARGEBACK_LEDGER": str(tmp_path / "ledger"),
        "CHARGEBACK_RATES": str(ROOT / "samples" / "rates.yaml"),
        "CHARGEBACK_TELEMETRY_DEADLINE": "1",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.connection_string,
        "PYTHONPATH": str(ROOT),
        "HOME": os.environ.get("HOME", "/"),
    }


def ledger_of(env):
    return open_ledger(env["CHARGEBACK_LEDGER"], Settings())


def rows_of(env):
    return list(ledger_rows(ledger_of(env)))


def test_the_app_is_indexed_as_it_must_run(env):
    with functions_worker(ROOT, env) as worker:
        bill = worker.functions["bill_usage"]

        assert bill.trigger["type"] == "eventHubTrigger"
        assert (bill.trigger["cardinality"], bill.trigger["dataType"]) == ("MANY", "BINARY")
        assert bill.retry["max_retry_count"] == -1
        assert worker.functions["settle"].trigger["type"] == "timerTrigger"


def test_indexing_needs_no_settings_no_network_and_no_vocabulary():
    """What fails at import restarts a worker for ever."""
    with functions_worker(ROOT, {"PYTHONPATH": str(ROOT)}) as worker:
        assert set(worker.functions) == {"bill_usage", "settle"}
        assert not [line for line in worker.logs if line.level in ("ERROR", "CRITICAL")]


def test_a_poison_event_in_the_middle_is_a_dead_letter_and_the_others_are_billed_and_confirmed(env, endpoint):
    before, after = some_calls(2)
    bodies = [*render(before, "F1"), b"", POISON, b"\xff\xfe", *render(after, "F1")]

    with functions_worker(ROOT, env) as worker:
        result = worker.invoke("bill_usage", event_hub_batch(bodies, first_sequence_number=7))
        assert result.ok, result.stack
        printed = worker.printed() + "".join(
            line.message + json.dumps(line.fields, default=str) for line in worker.logs
        )

    rows = rows_of(env)
    charges = [row for row in rows if isinstance(row, Charge)]
    rejects = [row for row in rows if isinstance(row, Reject)]
    assert [charge.sequence_number for charge in charges] == [7, 11]
    assert [reject.reason for reject in rejects] == ["empty", "unknown_format", "not_json"]
    assert {charge.charge_id: 1 for charge in charges} == dict(endpoint.accepted)
    letters = ledger_of(env).dead_letters
    assert [letters.get(reject.dead_letter)[0] for reject in rejects] == [b"", POISON, b"\xff\xfe"]
    assert "canary" not in printed
    [line] = [each.message for each in result.logs if each.message.startswith("batch.committed ")]
    told = json.loads(line.removeprefix("batch.committed "))
    assert (told["events"], told["charges"], told["estimated"]) == (5, 2, 2)
    assert told["reasons"] == {"empty": 1, "unknown_format": 1, "not_json": 1}


def test_the_same_batch_again_and_an_overlapping_one_bill_nothing_twice(env, endpoint):
    bodies = [body for call in some_calls(4) for body in render(call, "F1")]

    with functions_worker(ROOT, env) as worker:
        for first, last in ((0, 3), (0, 3), (1, 4)):
            batch = event_hub_batch(bodies[first:last], first_sequence_number=first)
            assert worker.invoke("bill_usage", batch).ok

    assert len([row for row in rows_of(env) if isinstance(row, Charge)]) == 4
    assert set(endpoint.accepted.values()) == {1}


def test_with_ingestion_down_the_batch_returns_and_the_backlog_arrives_when_it_is_up(env, endpoint):
    bodies = [body for call in some_calls(3) for body in render(call, "F1")]
    endpoint.stop()

    with functions_worker(ROOT, env) as worker:
        assert worker.invoke("bill_usage", event_hub_batch(bodies)).ok
        charges = [row for row in rows_of(env) if isinstance(row, Charge)]
        assert len(charges) == 3

        endpoint.start()
        assert worker.invoke("settle", timer_tick()).ok

    assert dict(endpoint.accepted) == {charge.charge_id: 1 for charge in charges}


def test_storage_away_raises_and_the_redelivered_batch_is_billed_once(env, tmp_path):
    """A file where the ledger's folder should be: nothing can be written, nothing may be skipped."""
    [body] = [body for call in some_calls(1) for body in render(call, "F1")]
    obstacle = tmp_path / "ledger"
    obstacle.write_text("in the way")

    with functions_worker(ROOT, env) as worker:
        assert not worker.invoke("bill_usage", event_hub_batch([body])).ok
        obstacle.unlink()
        assert worker.invoke("bill_usage", event_hub_batch([body]), retry=(1, -1)).ok

    assert len([row for row in rows_of(env) if isinstance(row, Charge)]) == 1


def test_a_worker_killed_between_batches_leaves_its_parts_to_the_next(env):
    [call] = some_calls(1)
    parts = render(call, "v1-parts", Style(slice_size=40))
    half = len(parts) // 2

    with functions_worker(ROOT, env) as worker:
        assert worker.invoke("bill_usage", event_hub_batch(parts[:half])).ok
        worker.kill()
    with functions_worker(ROOT, env) as worker:
        assert worker.invoke("bill_usage", event_hub_batch(parts[half:], first_sequence_number=half)).ok

    [charge] = [row for row in rows_of(env) if isinstance(row, Charge)]
    assert (charge.rating, charge.truncated, charge.usage_source) == ("priced", False, "estimated")


def test_four_partitions_at_once_lose_and_mix_nothing(env, endpoint):
    made = some_calls(40)
    with functions_worker(ROOT, env) as worker:
        batches = [
            (
                "bill_usage",
                event_hub_batch(
                    [body for call in made[number::4] for body in render(call, "F1")], partition=str(number)
                ),
            )
            for number in range(4)
        ]
        assert all(result.ok for result in worker.invoke_many(batches))

    found = list(calls(rows_of(env)))
    assert len(found) == 40
    assert {call.charge.partition for call in found} == {"0", "1", "2", "3"}
    assert len(endpoint.accepted) == 40


def test_an_event_without_its_partition_stops_loudly(env):
    batch = event_hub_batch(render(some_calls(1)[0], "F1"))
    del batch.metadata["PartitionContext"]

    with functions_worker(ROOT, env) as worker:
        result = worker.invoke("bill_usage", batch)

    assert not result.ok
    assert "PartitionContext lacks" in result.error


def test_host_json_says_what_the_promises_need():
    host = json.loads((ROOT / "host.json").read_text())

    hubs = host["extensions"]["eventHubs"]
    assert hubs["batchCheckpointFrequency"] == 1
    assert hubs["initialOffsetOptions"] == {"type": "fromStart"}
    assert "eventProcessorOptions" not in hubs
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert {"Event", "Trace"} <= set(sampling["excludedTypes"].split(";"))
    assert host["functionTimeout"]
