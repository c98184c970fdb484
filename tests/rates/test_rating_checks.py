"""What only rating can find: a time in the future, another tier than asked for, spillover from where none can be."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from chargeback.facts import Facts
from chargeback.notes import NOTES
from chargeback.pipeline import Context
from chargeback.rates.load import parse
from chargeback.rates.routes import route
from chargeback.rating import FUTURE, MOST_SKEW, ahead
from chargeback.rerating import rerate
from tests.rates.tables import TABLE
from tests.support import oracle
from tests.support.calls import Counts
from tests.support.charges import charge_of
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

RATES = parse(oracle.SAMPLE_RATES.read_text(), source="samples/rates.yaml")
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def body_of(at=NOON, **told):
    call = a_call(CALLERS["shop"], ROUTES["mini"], at, 1, usage=Counts(prompt=1000, completion=100))
    return json.dumps(json.loads(render(call, "v1")[0]) | told).encode()


def charged(body, *, start=NOON):
    return charge_of(body, context=Context(table=RATES), start=start)


# ---- time


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("skew", "rating", "noted"),
    [
        (timedelta(0), "priced", False),
        (MOST_SKEW, "priced", False),
        (MOST_SKEW + SECOND, "priced", True),
        (FUTURE, "priced", True),
        (FUTURE + SECOND, "unpriced", True),
    ],
)
def test_a_time_ahead_of_the_hubs_is_noted_and_one_from_years_ahead_is_unpriced(skew, rating, noted):
    charge = charged(body_of(NOON + skew))

    assert charge.rating == rating
    assert charge.rating_reason == ("future_time" if rating == "unpriced" else None)
    assert (charge.total_cost is None) is (rating == "unpriced")
    assert ("event_time_ahead" in charge.usage_notes) is noted
    assert charge.prompt_tokens == 1000, "what was used stays known"


def test_an_old_event_is_no_error():
    assert charged(body_of(NOON - timedelta(days=9))).rating == "priced"


def test_without_both_times_nobody_can_tell():
    assert ahead(None, NOON) is None
    assert ahead(NOON, None) is None


def test_another_table_does_not_make_a_time_of_the_future_true():
    charge = charged(body_of(NOON + timedelta(days=700)))

    again = rerate(charge, RATES)
    assert (again.rating, again.rating_reason) == ("unpriced", "future_time")


# ---- service tier


URL = "https://aoai-swc-1.openai.azure.com/openai/deployments/chat-eu/chat/completions"
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}  # fmt: skip


def tiered(asked, served, *, as_text):
    request = {"messages": [{"role": "user", "content": 'says "service_tier": "flex"'}]}
    request |= {} if asked is None else {"service_tier": asked}
    answer = ANSWER | ({} if served is None else {"service_tier": served})
    told = {"EventTime": "2026-11-18T09:00:00Z", "RequestId": "r-1", "backendUrl": URL}
    bodies = {"RequestBody": json.dumps(request) if as_text else request, "ResponseBody": json.dumps(answer)}
    return charged(json.dumps(told | bodies).encode())


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    ("asked", "served", "noted"),
    [
        ("priority", "default", True),
        ("default", "priority", True),
        ("priority", "priority", False),
        ("auto", "default", False),
        (None, "default", False),
        ("priority", None, False),
        (7, "default", False),
    ],
)
def test_a_tier_that_was_not_asked_for_is_noted_and_the_answers_is_billed(asked, served, noted, as_text):
    charge = tiered(asked, served, as_text=as_text)

    assert ("tier_differs" in charge.usage_notes) is noted
    assert charge.service_tier == served
    assert charge.rating == ("priced" if served != "priority" else "unpriced")  # the table has no such rate
    again = rerate(charge, RATES)
    assert ("tier_differs" in again.usage_notes) is noted


# ---- spillover


@pytest.mark.parametrize(
    ("deployment", "origin", "noted"),
    [("chat", "ptu", False), ("ptu", "ptu", False), ("chat", "mini", True), ("chat", "chat", True), ("chat", "gone", False)],
)  # fmt: skip
def test_spillover_from_a_deployment_that_cannot_is_noted(deployment, origin, noted):
    facts = Facts(account="weu", deployment=deployment, spillover_from=origin)
    found = route(TABLE, facts, MAY, "hub")

    assert (found.problem, found.deployment) == (None, "chat")
    assert ("spillover_not_provisioned" in found.notes) is noted
    assert set(found.notes) <= set(NOTES)


def test_a_note_of_the_former_table_is_not_kept_by_the_next():
    charge = msgspec.structs.replace(charged(body_of()), usage_notes=("spillover_not_provisioned",))

    assert rerate(charge, RATES).usage_notes == ()
