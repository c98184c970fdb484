"""What Microsoft's worker library accepts and refuses, on tiny apps: the rules function_app.py is written by.

A refused app has no functions at all in Azure and says so only in start-up logs, so each rule is held here
against the library itself; a new version of it that changes one turns a line of this file red.
"""

import json

import pytest

from tests.support.functions_worker import (
    AppRejectedError,
    WorkerGoneError,
    event_hub_batch,
    functions_worker,
    timer_tick,
)

pytestmark = pytest.mark.worker

HEADER = """
import json
import logging
import typing
import azure.functions as func
app = func.FunctionApp()
"""
TRIGGER = """
@app.function_name("bill_usage")
@app.event_hub_message_trigger(arg_name="events", event_hub_name="%EVENT_HUB_NAME%",
    connection="EVENT_HUB_CONNECTION", consumer_group="%EVENT_HUB_CONSUMER_GROUP%",
    cardinality="many", data_type="binary")
"""
RETRY = """
@app.retry(strategy="exponential_backoff", max_retry_count="-1",
    minimum_interval="00:00:05", maximum_interval="00:05:00")
"""
SIGNATURE = "def bill_usage(events: typing.List[func.EventHubEvent], context: func.Context) -> None:\n"
# Tells the test what the function saw, through the log.
REPORT = """
    logging.info("seen", extra={"events": [
        {"body": e.get_body().decode("latin-1"), "sequence": e.sequence_number, "key": e.partition_key,
         "offset": e.offset, "enqueued": e.enqueued_time.isoformat()} for e in events],
        "partition": events[0].metadata.get("PartitionContext", {}).get("PartitionId"),
        "properties": events[0].metadata["PropertiesArray"],
        "keys": events[0].metadata["PartitionKeyArray"],
        "retry": [context.retry_context.retry_count, context.retry_context.max_retry_count]})
"""
OURS = HEADER + TRIGGER + RETRY + SIGNATURE + REPORT


@pytest.fixture
def app(tmp_path):
    """Write an app and start the worker on it."""

    def start(source, env=None):
        (tmp_path / "function_app.py").write_text(source, "utf-8")
        return functions_worker(tmp_path, env)

    return start


def seen(result):
    assert result.ok, result.error
    return next(line.fields for line in result.logs if line.message == "seen")


# Indexing


def test_our_declaration_is_indexed_as_written(app):
    with app(OURS) as worker:
        function = worker.functions["bill_usage"]

    assert list(worker.functions) == ["bill_usage"]
    assert function.trigger == {
        "type": "eventHubTrigger",
        "direction": "IN",
        "name": "events",
        "eventHubName": "%EVENT_HUB_NAME%",
        "connection": "EVENT_HUB_CONNECTION",
        "consumerGroup": "%EVENT_HUB_CONSUMER_GROUP%",
        "cardinality": "MANY",
        "dataType": "BINARY",
    }
    assert function.retry == {
        "max_retry_count": -1,
        "retry_strategy": "exponential_backoff",
        "minimum_interval": "5s",
        "maximum_interval": "300s",
    }


BLUEPRINT = f"""
{HEADER.replace("app = func.FunctionApp()", "bp = func.Blueprint()")}
{TRIGGER.replace("@app", "@bp")}
{SIGNATURE}    pass
app = func.FunctionApp()
app.register_functions(bp)
"""
ACCEPTED = {
    "typing.List": HEADER + TRIGGER + SIGNATURE + "    pass",
    "typing.List under postponed annotations": "from __future__ import annotations\n"
    + HEADER
    + TRIGGER
    + SIGNATURE
    + "    pass",
    "typing.Sequence": HEADER + TRIGGER + SIGNATURE.replace("List", "Sequence") + "    pass",
    "no annotation": HEADER + TRIGGER + "def bill_usage(events): pass",
    "async def": HEADER + TRIGGER + "async " + SIGNATURE + "    pass",
    "retry above the trigger": HEADER + RETRY + TRIGGER + SIGNATURE + "    pass",
    "a blueprint": BLUEPRINT,
    "max_retry_count as a number": HEADER + TRIGGER + RETRY.replace('"-1"', "-1") + SIGNATURE + "    pass",
}


@pytest.mark.parametrize("source", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(app, source):
    with app(source) as worker:
        assert list(worker.functions) == ["bill_usage"]


BODY = SIGNATURE + "    pass"
REJECTED = {
    "list[...], the builtin generic": (
        HEADER + TRIGGER + BODY.replace("typing.List", "list"),
        "invalid non-type annotation",
    ),
    "a plain list": (
        HEADER + TRIGGER + BODY.replace("typing.List[func.EventHubEvent]", "list"),
        "do not match",
    ),
    "a parameter more, even with a default": (
        HEADER + TRIGGER + BODY.replace("func.Context)", "func.Context, store=None)"),
        "store",
    ),
    "context of another type": (HEADER + TRIGGER + BODY.replace("func.Context)", "dict)"), "context"),
    "a second name for the app": (HEADER + TRIGGER + BODY + "\nalso = app", "More than one FunctionApp"),
    "fixedDelay, as host.json writes it": (
        HEADER + TRIGGER + RETRY.replace("exponential_backoff", "fixedDelay") + BODY,
        "fixedDelay",
    ),
    "fixed_delay without its interval": (
        HEADER + TRIGGER + '@app.retry(strategy="fixed_delay", max_retry_count="3")\n' + BODY,
        "strptime",
    ),
    "an import error": ("import a_package_nobody_has\n" + HEADER + TRIGGER + BODY, "a_package_nobody_has"),
    "no app": ("import azure.functions", "Could not find top level function app"),
}


@pytest.mark.parametrize(("source", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_rejected(app, source, reason):
    with pytest.raises(AppRejectedError, match=reason), app(source):
        pass


# Invocations


def test_a_value_returned_fails_the_invocation_after_its_work(app):
    with app(HEADER + TRIGGER + SIGNATURE + "    logging.warning('billed')\n    return 1") as worker:
        result = worker.invoke("bill_usage", event_hub_batch([b"{}"]))

    assert not result.ok
    assert "returned a non-None value" in result.error
    assert "billed" in [line.message for line in result.logs]


def test_one_event_as_the_type_is_indexed_but_every_invocation_fails(app):
    source = HEADER + TRIGGER + "def bill_usage(events: func.EventHubEvent): events.get_body()"
    with app(source) as worker:
        result = worker.invoke("bill_usage", event_hub_batch([b"{}"]))

    assert "'list' object has no attribute 'get_body'" in result.error


def test_binary_keeps_empty_and_undecodable_bodies_in_their_places(app):
    bodies = [b'{"v":1}', b"", b"\xff\xfe", b"{"]
    with app(OURS) as worker:
        events = seen(worker.invoke("bill_usage", event_hub_batch(bodies, first_sequence_number=40)))[
            "events"
        ]

    assert [event["body"].encode("latin-1") for event in events] == bodies
    assert [event["sequence"] for event in events] == [40, 41, 42, 43]


def test_string_fails_the_whole_batch_for_one_empty_body(app):
    with app(OURS.replace("binary", "string")) as worker:
        result = worker.invoke("bill_usage", event_hub_batch([b"{}", b"", b"{}"], data_type="string"))

    assert "Number of bodies and metadata mismatched" in result.error


def test_enqueued_time_is_naive_or_aware_as_the_extension_wrote_it(app):
    written = ["2026-11-20T21:00:00.123", "2026-11-20T21:00:00.123Z", "2026-11-20T21:00:00.123+00:00"]
    with app(OURS) as worker:
        events = seen(worker.invoke("bill_usage", event_hub_batch([b""] * 3, enqueued=written)))["events"]

    assert [event["enqueued"] for event in events] == [
        "2026-11-20T21:00:00.123000",
        "2026-11-20T21:00:00.123000+00:00",
        "2026-11-20T21:00:00.123000+00:00",
    ]


def test_keys_come_per_event_and_the_key_array_is_not_aligned(app):
    batch = event_hub_batch(
        [b"1", b"2", b"3"], keys=[None, "", "call-7"], properties=[{"kind": "part"}, {}, {}]
    )
    with app(OURS) as worker:
        told = seen(worker.invoke("bill_usage", batch))

    assert [event["key"] for event in told["events"]] == [None, "", "call-7"]
    assert told["keys"] == ["call-7"]
    assert told["properties"] == [{"kind": "part"}, {}, {}]


def test_the_partition_stands_in_the_partition_context_only(app):
    with_context = event_hub_batch([b"{}"], partition="3")
    without = event_hub_batch([b"{}"], partition="3")
    del without.metadata["PartitionContext"]
    with app(OURS) as worker:
        first, second = worker.invoke_many([("bill_usage", with_context), ("bill_usage", without)])

    assert seen(first)["partition"] == "3"
    assert seen(second)["partition"] is None


@pytest.mark.parametrize(
    ("offset", "decoded"), [(-1, -1), ("340", 340)], ids=["geo-replicated", "numeric string"]
)
def test_offset_decodes_to_a_number(app, offset, decoded):
    with app(OURS) as worker:
        events = seen(worker.invoke("bill_usage", event_hub_batch([b"{}"], offsets=[offset])))["events"]

    assert events[0]["offset"] == decoded


def test_an_offset_that_is_no_number_fails_the_whole_batch(app):
    with app(OURS) as worker:
        result = worker.invoke("bill_usage", event_hub_batch([b"{}", b"{}"], offsets=["1:2:3", 4096]))

    assert not result.ok
    assert result.error.startswith("ValueError")


def test_retry_context_counts_from_zero(app):
    with app(OURS) as worker:
        first = worker.invoke("bill_usage", event_hub_batch([b"{}"]))
        third = worker.invoke("bill_usage", event_hub_batch([b"{}"]), retry=(2, -1))

    assert seen(first)["retry"] == [0, 0]
    assert seen(third)["retry"] == [2, -1]


def test_an_exception_fails_the_invocation_and_the_next_one_runs(app):
    body = "    if events[0].get_body() == b'bad': raise ConnectionError('storage is away')\n"
    with app(HEADER + TRIGGER + RETRY + SIGNATURE + body) as worker:
        bad = worker.invoke("bill_usage", event_hub_batch([b"bad"]))
        good = worker.invoke("bill_usage", event_hub_batch([b"good"]))

    assert bad.error == "ConnectionError: storage is away"
    assert "function_app.py" in bad.stack
    assert good.ok


def test_a_sync_function_runs_four_partitions_at_the_same_time(app):
    """Each of the four waits for the others: one after another they would never end."""
    source = (
        HEADER
        + "import threading\nmeeting = threading.Barrier(4, timeout=20)\n"
        + TRIGGER
        + SIGNATURE
        + "    meeting.wait()\n"
        + REPORT
    )
    batches = [event_hub_batch([b"{}"], partition=str(number)) for number in range(4)]
    with app(source, {"PYTHON_THREADPOOL_THREAD_COUNT": "4"}) as worker:
        results = worker.invoke_many([("bill_usage", batch) for batch in batches])

    assert [seen(result)["partition"] for result in results] == ["0", "1", "2", "3"]


def test_a_timer_stands_beside_the_trigger(app):
    timer = """
@app.timer_trigger(schedule="0 */5 * * * *", arg_name="tick", run_on_startup=False)
def expire(tick: func.TimerRequest) -> None:
    logging.info("tick", extra={"late": tick.past_due, "status": tick.schedule_status})
"""
    with app(OURS + timer) as worker:
        result = worker.invoke("expire", timer_tick(past_due=True, next_due="2026-11-20T21:05:00+00:00"))
        tick = next(line.fields for line in result.logs if line.message == "tick")

    assert sorted(worker.functions) == ["bill_usage", "expire"]
    assert result.ok
    assert tick["late"] is True
    assert tick["status"]["Next"] == "2026-11-20T21:05:00+00:00"


# The harness itself


def test_prints_and_logs_reach_the_test_and_leave_the_protocol_alone(app):
    body = """
    print('{"kind": "result"}')
    logging.getLogger("chargeback").error("batch.failed", extra={"count": 2})
    try: 1 / 0
    except ZeroDivisionError: logging.exception("trace")
"""
    with app(HEADER + TRIGGER + SIGNATURE + body) as worker:
        result = worker.invoke("bill_usage", event_hub_batch([b"{}"]))
        printed = worker.printed()
    own = [line for line in result.logs if not line.logger.startswith("azure.functions")]

    assert result.ok
    assert '{"kind": "result"}' in printed
    assert [(line.level, line.logger, line.fields) for line in own] == [
        ("ERROR", "chargeback", {"count": 2}),
        ("ERROR", "root", {}),
    ]
    assert "ZeroDivisionError" in own[1].message


def test_logs_of_concurrent_invocations_are_told_apart(app):
    source = OURS.replace("def bill_usage", "async def bill_usage")
    batches = [event_hub_batch([json.dumps(number).encode()]) for number in range(8)]
    with app(source) as worker:
        results = worker.invoke_many([("bill_usage", batch) for batch in batches])

    assert [seen(result)["events"][0]["body"] for result in results] == [str(number) for number in range(8)]
    assert all(sum(line.message == "seen" for line in result.logs) == 1 for result in results)


def test_the_child_sees_only_the_environment_it_was_given(app, monkeypatch):
    monkeypatch.setenv("AzureWebJobsStorage", "the developer's own")
    source = HEADER + "import os\nlogging.warning(sorted(os.environ))" + TRIGGER + BODY
    with app(source, {"CHARGEBACK_LEDGER": "here"}) as worker:
        names = next(line.message for line in worker.logs if line.level == "WARNING")

    assert "CHARGEBACK_LEDGER" in names
    assert "AzureWebJobsStorage" not in names


def test_a_killed_child_finishes_nothing(app, tmp_path):
    body = f"""
    import time
    logging.warning("started")
    time.sleep(30)
    open({str(tmp_path / "written")!r}, "w").close()
"""
    with app(HEADER + TRIGGER + SIGNATURE + body) as worker:
        invocation = worker.send("bill_usage", event_hub_batch([b"{}"]))
        worker.wait_for_log("started")
        worker.kill()
        with pytest.raises(WorkerGoneError, match="ended with -9"):
            worker.result(invocation)

    assert not (tmp_path / "written").exists()


def test_end_of_input_lets_running_invocations_finish(app, tmp_path):
    body = f"""
    import time
    time.sleep(0.2)
    open({str(tmp_path / "written")!r}, "w").close()
"""
    with app(HEADER + TRIGGER + SIGNATURE + body) as worker:
        worker.send("bill_usage", event_hub_batch([b"{}"]))

    assert (tmp_path / "written").exists()
    assert worker.process.returncode == 0


def test_a_child_that_dies_unseen_is_an_error(app):
    with (
        pytest.raises(WorkerGoneError, match="ended with 3"),
        app(OURS + "    import os\n    os._exit(3)") as worker,
    ):
        worker.send("bill_usage", event_hub_batch([b"{}"]))
