"""What is one call, attacked: the same id twice, from two sources, on two days, late, polled and made up."""

import json
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback.charge import Charge
from chargeback.event import Stream
from chargeback.exchange import JoinState
from chargeback.journal.rows import Identity, Ignored
from chargeback.journal.winner import calls as winners
from chargeback.pipeline import expire, process
from tests.pipeline.test_properties import CONTEXT, bill_of, rows_of
from tests.support import oracle
from tests.support.azure_bodies import Style
from tests.support.calls import Counts
from tests.support.events import NOON, events_of
from tests.support.render import PLAIN, as_captured, render, v1_identity
from tests.support.sample_calls import CALLERS, ROUTES, a_call
from tests.support.sample_operations import files
from tests.support.strategies import calls

COUNTS = Counts(prompt=120, completion=30)
CALL = a_call(CALLERS["claims"], ROUTES["mini"], NOON, 7, usage=COUNTS)
APART = Style(extended=False)
"""F15 with an event for each record."""


def on_partitions(*bodies, first=0):
    """Process each body on a partition of its own, all parts given up at the end."""
    rows = []
    for number, body in enumerate(bodies, first):
        stream = Stream("contoso.servicebus.windows.net", "usage", 1, str(number))
        [event] = events_of([body], stream=stream)
        outcome = process([event], JoinState(), CONTEXT)
        rows += [row for entry in outcome.entries for row in entry.rows]
        rows += expire(outcome.state, event, None, CONTEXT, "end_of_input")[0]
    return rows


def test_an_identity_event_and_the_gateways_log_make_one_call_in_any_order_and_place():
    who, (gateway, counts, *texts) = v1_identity(CALL), render(CALL, "F15", APART)
    for order in (
        *permutations([who, gateway, counts]),
        [*texts, counts, gateway, who],
        [who, *texts, counts],
    ):
        for rows in (rows_of(order), on_partitions(*order)):
            [call] = winners(rows)

            assert (call.charge.app_id, call.charge.subscription_id) == (CALL.app_id, "sub-claims")
            assert (call.charge.usage_source, call.charge.prompt_tokens) == ("gateway", 120)
            assert not call.conflict


@pytest.mark.parametrize("turned", [False, True], ids=["our event first", "the log first"])
def test_of_two_sources_the_services_own_count_wins_in_either_order(turned):
    other = msgspec.json.decode(render(CALL, "F15")[0])
    other["records"][1]["properties"]["promptTokens"] = 999
    bodies = [render(CALL, "v1")[0], msgspec.json.encode(other)]

    [call] = winners(rows_of(reversed(bodies) if turned else bodies))

    assert (call.charge.usage_source, call.charge.prompt_tokens) == ("reported", 120)
    assert not call.conflict


@pytest.mark.parametrize("form", ["v1", "F15"])
def test_two_counts_of_one_source_are_a_conflict_and_neither_is_dropped(form):
    twice = a_call(CALLERS["claims"], ROUTES["mini"], NOON, 7, usage=Counts(prompt=121, completion=30))

    found = list(winners(rows_of([*render(CALL, form), *render(twice, form)])))

    assert [(call.charge.prompt_tokens, call.conflict) for call in found] == [(120, True), (121, True)]


def test_a_count_that_only_one_copy_knows_is_no_conflict():
    plain, extended = (render(CALL, "F7", Style(extended=extended))[0] for extended in (False, True))

    [call] = winners(rows_of([plain, extended]))

    assert (call.rows, call.conflict) == (2, False)


def test_a_part_that_comes_after_its_call_was_given_up_bills_nothing_more():
    call = a_call(CALLERS["claims"], ROUTES["mini"], NOON, 8, usage=COUNTS, stream=True)
    first, *middle, last = events_of(render(call, "v1-parts", Style(slice_size=300)))
    late = msgspec.structs.replace(last, enqueued_at=NOON.replace(hour=23))
    outcome = process([first, *middle, late], JoinState(), CONTEXT)
    rows = [row for entry in outcome.entries for row in entry.rows]
    rows += expire(outcome.state, late, None, CONTEXT, "end_of_input")[0]

    [billed] = winners(rows)

    assert billed.charge.truncated
    assert billed.rows == 2


def test_an_answer_made_in_the_background_is_billed_once_however_often_it_is_asked_for():
    events = [json.dumps(event).encode() for event in files()["responses"]]
    background = [event for event in events if b"resp_S5" in event]
    costs = set()
    for order in permutations(background):
        [call] = winners(rows_of(order))
        costs.add((call.charge.total_cost, call.charge.deployment, call.rows))

    assert len(costs) == 1
    assert {rows for _, _, rows in costs} == {4}


def test_until_it_is_ready_an_answer_made_in_the_background_is_visible_and_not_free():
    queued = next(json.dumps(event).encode() for event in files()["responses"] if "queued" in str(event))

    [call] = winners(rows_of([queued]))

    assert (call.charge.rating, call.charge.rating_reason) == ("unmetered", "not_final")


def test_fetching_an_answer_again_costs_nothing():
    made = [json.dumps(event).encode() for event in files()["responses"] if "resp_S2" in str(event)]

    found = [call.charge for call in winners(rows_of(made))]

    assert [(charge.rating, charge.rating_reason) for charge in found] == [
        ("priced", None),
        ("not_billable", "fetched_again"),
    ]


def test_without_request_ids_an_answer_and_its_fetch_are_one_call():
    made = next(event for event in files()["responses"] if "resp_S2" in str(event))

    def captured(request):
        told = {"eventTime": "2026-11-18T09:00:00Z", "apiOperation": "", "appSubscriptionKey": "k"}
        return json.dumps({**told, "request": request, "response": made["ResponseBody"]}).encode()

    posted, fetched = captured(json.dumps(made["RequestBody"])), captured("")
    for order in ([posted, fetched], [fetched, posted]):
        [call] = winners(rows_of(order))

        assert (call.charge.rating, call.charge.prompt_tokens, call.rows) == ("priced", 90, 2)


@pytest.mark.parametrize(
    ("days", "caller", "billed"),
    [(0, "shop", 1), (1, "shop", 2), (0, "claims", 2)],
    ids=["the same event twice", "from a cache the next day", "from a cache for somebody else"],
)
def test_an_answers_id_counts_within_a_subscription_and_a_day(days, caller, billed):
    first = a_call(CALLERS["shop"], ROUTES["mini"], NOON, 9, usage=COUNTS)
    again = a_call(CALLERS[caller], ROUTES["mini"], NOON.replace(day=18 + days), 9, usage=COUNTS)

    found = list(winners(rows_of([*render(first, "F1"), *render(again, "F1")])))

    assert len(found) == billed


def test_a_header_that_a_client_chooses_names_no_call():
    def proxied(number, at):
        [body] = render(a_call(CALLERS["shop"], ROUTES["mini"], at, number, usage=COUNTS), "F16")
        event = json.loads(body) | {
            "Request-x-ms-client-request-id": "mine",
            "Usage.Id": f"chatcmpl-{number}",
        }
        return json.dumps(event).encode()

    assert len(list(winners(rows_of([proxied(1, NOON), proxied(2, NOON)])))) == 2


def test_a_proxy_that_counts_anew_after_a_restart_makes_new_calls():
    [body] = render(CALL, "F16")
    later = json.dumps(json.loads(body) | {"EnqueueTime": "2026-11-19T09:00:00Z"}).encode()

    assert len(list(winners(rows_of([body, later, body])))) == 2


def test_several_calls_of_one_event_keep_their_names_when_it_is_delivered_again():
    events = [json.loads(render(CALL, "F5")[0]) for _ in range(3)]
    [event] = events_of([json.dumps(events).encode()])
    rows = [
        row
        for outcome in (process([event, event], JoinState(), CONTEXT),)
        for entry in outcome.entries
        for row in entry.rows
    ]

    assert len(rows) == 6
    assert len({row.charge_id for row in rows}) == 3


# ---- split events


def split(number=20, **told):
    return a_call(CALLERS["claims"], ROUTES["mini"], NOON, number, usage=COUNTS, **told)


def test_the_counts_decide_wherever_the_bodies_are():
    sides = render(split(), "F9")
    for order in permutations(sides):
        for rows in (rows_of(order), on_partitions(*order)):
            [call] = winners(rows)

            assert (call.charge.usage_source, call.charge.prompt_tokens) == ("reported", 120)
            assert call.charge.account == "aoai-weu-1", "only the bodies' events name the backend"


def test_a_body_that_comes_after_its_counts_is_not_kept():
    request, response, counts = render(split(), "F9")

    outcome = process(events_of([counts, request, response]), JoinState(), CONTEXT)

    assert outcome.state.is_empty
    assert [type(row) for entry in outcome.entries for row in entry.rows] == [Charge, Identity, Identity]


def test_bodies_without_counts_are_counted_and_say_so():
    call = split(usage_visible=False)
    [request, response] = render(call, "F9")

    [charge] = [row for row in rows_of([response, request]) if isinstance(row, Charge)]

    assert bill_of([charge]) == oracle.bill([as_captured(call, "F9", PLAIN)], oracle.sample_rates())
    assert {"usage_event_missing", "request_abridged"} <= {*charge.usage_notes}


@pytest.mark.parametrize("form", ["F9", "F10"])
def test_a_request_nobody_answered_is_no_call_and_is_counted(form):
    request, *_ = render(split(), form)

    rows = rows_of([request])

    assert [row.reason for row in rows if isinstance(row, Ignored)] == ["request_without_response"]
    assert not list(winners(rows))


def test_an_answer_without_request_or_counts_is_visible():
    _, response, _ = render(split(), "F9")

    [call] = winners(rows_of([response]))

    assert (call.charge.rating, call.charge.rating_reason) == ("unmetered", "partial_usage")


def test_a_count_that_was_cut_leaves_the_bodies_their_say():
    request, response, counts = render(split(), "F9", Style(indent=False))
    cut = counts[: counts.index(b'"prompt_tokens"')]

    [call] = winners(rows_of([request, response, cut]))

    assert (call.charge.usage_source, call.charge.truncated) == ("estimated", False)


def test_events_without_the_id_that_joins_them_are_never_mixed_up():
    bodies = [
        json.dumps(json.loads(body) | {"message-id": ""}).encode()
        for number in (1, 2)
        for body in render(split(number), "F9")
    ]

    assert len([call for call in winners(rows_of(bodies)) if call.charge.rating == "priced"]) >= 2


# ---- the gateway's log


@settings(max_examples=15)
@given(calls("F15", usage_visible=True, usage=COUNTS), st.permutations(range(3)))
def test_the_logs_records_need_not_share_a_partition(call, order):
    records = render(call, "F15", APART)
    shuffled = [records[place] for place in order if place < len(records)]

    rows = on_partitions(*shuffled, *records[len(order) :])
    priced = [found.charge for found in winners(rows)]

    assert [(charge.usage_source, charge.subscription_id) for charge in priced] == [
        ("gateway", call.subscription_id)
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_the_log_does_not_take_the_bodies_of_our_own_events(turned):
    call = split(stream=True)
    log, parts = render(call, "F15"), render(call, "v1-parts", Style(slice_size=200))

    [found] = winners(rows_of([*parts[:2], *log, *parts[2:]] if turned else [*log, *parts]))

    assert (found.charge.usage_source, found.charge.source_format) == ("reported", "v1")
    assert not found.conflict


def test_a_text_with_a_gap_is_a_lower_bound():
    call = split(usage_visible=False)
    records = render(call, "F15", Style(extended=False, slice_size=80))

    [whole] = winners(rows_of(records))
    assert (whole.charge.usage_source, whole.charge.truncated) == ("estimated", False)
    for lost in range(2, len(records) - 1):
        gapped = list(winners(rows_of([*records[:lost], *records[lost + 1 :]])))
        assert all(call.charge.truncated for call in gapped), f"record {lost} is missing"


def test_metrics_and_foreign_records_bill_nothing():
    metric = {"records": [{"time": "2026-11-18T12:00:00Z", "metricName": "Requests", "total": 3}]}

    [row] = rows_of([json.dumps(metric).encode()])

    assert isinstance(row, Ignored)
