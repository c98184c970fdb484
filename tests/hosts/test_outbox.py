"""From the journal to confirmed customEvents, whatever the endpoint says; the bill never waits."""

import msgspec
import pytest

from chargeback.custom_events import ALIAS_EVENT, CHARGE_EVENT, CHARGE_PROPERTIES, custom_event
from chargeback.facts import Facts
from chargeback.journal.local import ledger as local_ledger
from chargeback.journal.rows import Identity, Part
from chargeback.outbox import WithAlias, drain
from chargeback.ports import Entry
from chargeback.sinks.application_insights import ApplicationInsights
from tests.support.calls import Counts
from tests.support.charges import rows_of
from tests.support.events import NOON
from tests.support.ingestion import IngestionEndpoint, always, receipt, refuses, status
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

JOURNAL = "stream/ns/hub/1/0"


def some_calls(count):
    usage = Counts(prompt=100, completion=20)
    return [
        a_call(CALLERS["shop"], ROUTES["chat"], NOON, number, usage=usage) for number in range(1, count + 1)
    ]


@pytest.fixture
def endpoint():
    with IngestionEndpoint(clock=lambda: NOON) as running:
        yield running


@pytest.fixture
def ledger(tmp_path):
    return local_ledger(tmp_path, writer="test", now=lambda: NOON)


@pytest.fixture
def sender(endpoint):
    transport = ApplicationInsights(
        endpoint.connection_string, clock=lambda: NOON, deadline_s=2, wait=lambda _: None, jitter=lambda: 0.0
    )
    yield transport
    transport.close()


def commit(ledger, rows, *, first=0):
    entries = [
        Entry(position=number, enqueued_at=NOON, rows=(row,)) for number, row in enumerate(rows, first)
    ]
    journal = ledger.journal(JOURNAL)
    journal.append(entries, after=journal.watermark(), batch_id=f"batch-{first}")
    return journal


def drained(ledger, sender):
    return drain(ledger.journal(JOURNAL), ledger, sender, may_go_on=lambda: True)


def test_every_charge_is_confirmed_once_under_its_own_id(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(7)))
    commit(ledger, rows)

    done = drained(ledger, sender)
    again = drained(ledger, sender)

    assert (done.confirmed, done.is_empty, again.confirmed) == (7, True, 0)
    assert dict(endpoint.accepted) == {row.charge_id: 1 for row in rows}
    assert {item["data"]["baseData"]["name"] for item in endpoint.items} == {CHARGE_EVENT}


def test_what_came_after_the_cursor_is_sent_by_the_next_drain(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(5)))
    commit(ledger, rows[:2])
    drained(ledger, sender)
    commit(ledger, rows[2:], first=2)

    assert drained(ledger, sender).confirmed == 3
    assert dict(endpoint.arrivals) == {row.charge_id: 1 for row in rows}


def test_with_the_endpoint_away_everything_waits_and_arrives_later(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(3)))
    commit(ledger, rows)
    endpoint.script(always(status(503)))

    waiting = drained(ledger, sender)
    endpoint.reset()
    endpoint.script()
    done = drained(ledger, sender)

    assert (waiting.confirmed, waiting.is_empty, waiting.oldest_at) == (0, False, rows[0].enqueued_at)
    assert (done.confirmed, done.is_empty) == (3, True)


def test_the_cursor_stops_before_the_first_item_that_is_not_certain(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(4)))
    commit(ledger, rows)
    endpoint.script(receipt(206, errors={2: 503}), always(status(503)))

    first = drained(ledger, sender)
    endpoint.script()
    second = drained(ledger, sender)

    assert not first.is_empty
    assert second.is_empty
    assert set(endpoint.arrivals) == {row.charge_id for row in rows}
    assert endpoint.arrivals[rows[0].charge_id] == 1, "what stands before the cursor is not sent again"


def test_what_is_refused_for_good_is_a_dead_letter_and_does_not_block(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(3)))
    commit(ledger, rows)
    endpoint.script(always(refuses(rows[1].charge_id)))

    done = drained(ledger, sender)

    assert (done.confirmed, done.refused, done.is_empty) == (2, 1, True)
    body, about = ledger.dead_letters.get(f"telemetry/{rows[1].row_id}")
    assert msgspec.json.decode(body)["charge_id"] == rows[1].charge_id
    assert about["reason"] == "telemetry_refused"


def test_known_duplicates_parts_and_rejects_send_nothing_and_identities_their_own_event(
    ledger, endpoint, sender
):
    [charge] = rows_of(render(some_calls(1)[0], "v1")[0])
    duplicate = msgspec.structs.replace(charge, duplicate_of="x")
    part = Part(row_id="p", call="c", body="request", number=0, of=1, sha256="0")
    identity = Identity(
        charge_id="c", row_id="i", source_format="v1", rank="3", facts=Facts(occurred_at=NOON, app_id="a")
    )
    [reject] = rows_of(b"")
    commit(ledger, [duplicate, part, identity, reject])

    assert drained(ledger, sender).confirmed == 1
    [item] = endpoint.items
    assert item["data"]["baseData"]["name"] == "Azure OpenAI Call Identity"
    assert item["data"]["baseData"]["properties"]["AppId"] == "a"


def test_the_published_queries_find_their_properties():
    """Names, case and text of the older sample's eight properties, read by its queries to this day."""
    [charge] = rows_of(render(some_calls(1)[0], "v1")[0])

    properties = custom_event(charge).properties

    wanted = (
        "TokenInfoId",
        "ApiOperation",
        "AppKey",
        "Timestamp",
        "Stream",
        "PromptTokens",
        "CompletionTokens",
        "TotalTokens",
    )
    assert [properties[name] for name in wanted] == [
        charge.charge_id,
        "ChatCompletion",
        "sub-shop",
        "2026-11-18T12:00:00Z",
        "False",
        "100",
        "20",
        "120",
    ]
    assert all(isinstance(value, str) for value in properties.values())
    assert set(properties) == {*CHARGE_PROPERTIES.values(), "AppKey"}


def test_unknown_is_the_empty_text_and_no_measurement():
    [charge] = rows_of(render(some_calls(1)[0], "v1")[0])

    event = custom_event(msgspec.structs.replace(charge, total_cost=None, prompt_tokens=None))

    assert (event.properties["TotalCost"], event.properties["PromptTokens"]) == ("", "")
    assert not {"TotalCost", "PromptTokens"} & set(event.measurements)


def test_an_unfolded_key_shows_its_digits_so_that_eight_of_them_tell_consumers_apart():
    [charge] = rows_of(render(some_calls(1)[0], "F2")[0])
    unfolded = msgspec.structs.replace(charge, subscription_id=f"key-{charge.subscription_key_id}")

    assert custom_event(unfolded).properties["AppKey"] == charge.subscription_key_id


def test_with_the_alias_every_charge_is_sent_under_both_names_and_counts_once(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(3)))
    commit(ledger, rows)

    done = drained(ledger, WithAlias(sender))

    assert (done.confirmed, done.is_empty) == (3, True)
    assert dict(endpoint.accepted) == {row.charge_id: 2 for row in rows}
    sent = [item["data"]["baseData"] for item in endpoint.items]
    alias = next(each["properties"] for each in sent if each["name"] == ALIAS_EVENT)
    assert {
        name: alias[name] for name in ("appSubscriptionKey", "promptTokens", "totalTokens", "timestamp")
    } == {
        "appSubscriptionKey": "sub-shop",
        "promptTokens": "100",
        "totalTokens": "120",
        "timestamp": "2026-11-18T12:00:00Z",
    }


@pytest.mark.parametrize("item", [1, 4], ids=["the event", "its alias"])
def test_a_charge_is_open_until_its_event_and_its_alias_are_confirmed(ledger, endpoint, sender, item):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(3)))
    commit(ledger, rows)
    endpoint.script(receipt(206, errors={item: 503}), always(status(503)))

    first = drained(ledger, WithAlias(sender))
    endpoint.script()
    second = drained(ledger, WithAlias(sender))

    assert (first.confirmed, first.is_empty, second.confirmed) == (2, False, 2)
    assert endpoint.accepted[rows[1].charge_id] >= 2


def test_a_refused_alias_is_a_dead_letter_and_does_not_block(ledger, endpoint, sender):
    rows = rows_of(*(render(call, "v1")[0] for call in some_calls(2)))
    commit(ledger, rows)
    endpoint.script(receipt(206, errors={3: 400}))

    done = drained(ledger, WithAlias(sender))

    assert (done.confirmed, done.refused, done.is_empty) == (1, 1, True)
    assert ledger.dead_letters.get(f"telemetry/{rows[1].row_id}")


def test_what_this_process_committed_is_sent_without_asking_the_storage(
    ledger, endpoint, sender, monkeypatch
):
    journal = commit(ledger, rows_of(*(render(call, "v1")[0] for call in some_calls(3))))
    cursor = drained(ledger, sender).cursor
    commit(ledger, rows_of(*(render(call, "v1")[0] for call in some_calls(5)[3:])), first=3)

    def refuse(*_):
        raise AssertionError("the storage was asked")

    for name in ("read", "extent", "names"):
        monkeypatch.setattr(journal._segments._inner, name, refuse)
    monkeypatch.setattr(ledger.cursors, "load", refuse)
    done = drain(journal, ledger, sender, may_go_on=lambda: True, until=journal.committed(), cursor=cursor)

    assert (done.confirmed, done.is_empty, len(endpoint.accepted)) == (2, True, 5)


def test_a_remembered_cursor_that_another_process_moved_costs_one_chunk_twice_and_is_forgotten(
    ledger, endpoint, sender
):
    journal = commit(ledger, rows_of(*(render(call, "v1")[0] for call in some_calls(2))))
    stale = drained(ledger, sender).cursor
    commit(ledger, rows_of(*(render(call, "v1")[0] for call in some_calls(4)[2:])), first=2)
    drained(ledger, sender)  # as another process would

    done = drain(journal, ledger, sender, may_go_on=lambda: True, until=journal.committed(), cursor=stale)

    assert done.cursor is None
    assert drained(ledger, sender).confirmed == 0
    assert sorted(endpoint.accepted.values()) == [1, 1, 2, 2]
