"""From a call through the policy, the hub and the pipeline to the right charge; and nothing secret on the way."""

import base64
import json
import uuid
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from chargeback.charge import Charge
from chargeback.journal.rows import Identity, Reject
from tests.policies.gateway import Gateway
from tests.policies.scenarios import BACKENDS, KEY, a_call, answer, scenario, token
from tests.support import oracle
from tests.support.azure_bodies import Style, request_body, response_body
from tests.support.calls import Answer, Counts, Message
from tests.support.charges import rows_of

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "event-v1.json"
APP, TENANT = "7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c02", "5e0b9a34-1c2d-4e5f-8a7b-6c9d0e1f2a3b"
SECRETS = (KEY, "Bearer ", token()[:12], "managed-identity ")
"""What must not be in any event: the key, the client's token, the gateway's own."""
LONG = "Ein Satz mit Umlauten, „Anführung“ und € am Ende.\n" * 6000

LINE = '<include-fragment fragment-id="chargeback-log-exchange" />'
ONE_LINE = (
    f"<policies><inbound><base /></inbound><backend><base /></backend><outbound>{LINE}<base /></outbound>"
    f"<on-error>{LINE}<base /></on-error></policies>"
)
STREAM = {"stream": True, "answers": (Answer(text="It left the hub in Kassel this morning."),)}
SHOWN = a_call()
CALLS = {
    "JSON": (SHOWN, "api", "usage"),
    "JSON with cached and reasoning tokens": (
        a_call(
            usage=Counts(prompt=5000, completion=900, cached=4096, reasoning=640),
            deployment="thinker",
            account="aoai-swc-1",
            region="swedencentral",
            backend="https://aoai-swc-1.openai.azure.com",
            model="gpt-5-mini-2025-08-07",
        ),
        "api",
        "usage",
    ),
    "JSON by an app with a token": (a_call(app_id=APP, tenant_id=TENANT), "api", "usage"),
    "embeddings": (
        a_call(
            operation="embeddings",
            deployment="embed",
            model="text-embedding-3-small",
            inputs=("oak", "ash"),
            usage=Counts(prompt=12, cached=None),
        ),
        "api",
        "usage",
    ),
    "stream with usage, bodies captured": (a_call(**STREAM), "api-with-bodies", "usage"),
    "stream without usage, bodies captured": (
        a_call(**STREAM, usage_visible=False),
        "api-with-bodies",
        "part",
    ),
    "JSON without usage, bodies captured": (a_call(usage_visible=False), "api-with-bodies", "part"),
    "big bodies in parts": (
        a_call(messages=(Message(text=LONG),), answers=(Answer(text=LONG[:150_000]),), usage_visible=False),
        "api-with-bodies",
        "part",
    ),
}


def ran(gateway, call, policy="api", **told):
    """Run one call; whatever it is, it breaks no rule of the gateway and leaks nothing."""
    asked = scenario(call, policy, told.pop("style", Style()), **told)
    # The second account serves calls whose backend says so: the pool is turned to it.
    if call.backend and isinstance(asked["backends"]["aoai-standard"], list):
        asked["backends"] = {**asked["backends"], "aoai-standard": [call.backend]}
    [result] = gateway.run([asked])
    check(result)
    return result


def check(result):
    assert result.violations == []
    validate = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate
    for sent, event in zip(result.hub, result.events, strict=True):
        validate(event)

        assert sent["logger"] == "chargeback"
        assert sent["partition_key"] == event["request_id"]
        sliced = base64.b64decode(event.get("data", "")).decode("utf-8", "replace")
        assert not any(secret in sent["body"] + sliced for secret in SECRETS)


def charged(result):
    rows = rows_of(*result.bodies)

    assert not [row for row in rows if isinstance(row, Reject)]
    return [row for row in rows if isinstance(row, Charge)]


# ---- the right money


@pytest.mark.parametrize(("call", "policy", "kind"), CALLS.values(), ids=CALLS.keys())
def test_what_the_policy_sends_becomes_the_charge_that_the_oracle_expects(gateway, call, policy, kind):
    result = ran(gateway, call, policy)

    assert {event["kind"] for event in result.events} == {kind}
    assert (result.status, result.body) == (200, response_body(call))
    [charge] = charged(result)
    expected = oracle.expected_cost(call, oracle.sample_rates())
    assert expected
    assert Fraction(charge.total_cost) == expected
    told = (
        charge.subscription_id,
        charge.subscription_name,
        charge.product,
        charge.app_id,
        charge.tenant_id,
        charge.account,
        charge.deployment,
        charge.operation,
        charge.api_version,
        charge.region,
        charge.backend,
        charge.http_status,
        charge.streamed,
        charge.request_id,
        charge.occurred_at,
    )
    assert told == (
        call.subscription_id,
        call.subscription_name,
        call.product,
        call.app_id,
        call.tenant_id,
        call.account,
        call.deployment,
        call.operation,
        call.api_version,
        call.region,
        call.backend,
        200,
        call.stream,
        call.request_id,
        call.at,
    )


def test_a_usage_event_holds_no_text(gateway):
    call = a_call(messages=(Message(text="my secret plan"),), answers=(Answer(text="your secret answer"),))
    result = ran(gateway, call)

    assert "secret" not in result.hub[0]["body"]


def test_big_bodies_arrive_byte_by_byte_in_slices_that_fit(gateway):
    call, policy, _ = CALLS["big bodies in parts"]
    result = ran(gateway, call, policy)
    sizes = [len(body) for body in result.bodies]

    assert len(sizes) == 5
    assert max(sizes) < 186_000
    assert [(event["body"], event["part"], event["parts"]) for event in result.events] == [
        ("request", 0, 3),
        ("request", 1, 3),
        ("request", 2, 3),
        ("response", 0, 2),
        ("response", 1, 2),
    ]
    assert charged(result)[0].usage_source == "estimated"


@pytest.mark.parametrize(
    "order", [(4, 3, 2, 1, 0), (1, 0, 1, 4, 2, 3)], ids=["backwards", "one of them twice"]
)
def test_parts_are_joined_in_any_order(gateway, order):
    call, policy, _ = CALLS["big bodies in parts"]
    bodies = ran(gateway, call, policy).bodies
    [charge] = [row for row in rows_of(*(bodies[at] for at in order)) if isinstance(row, Charge)][:1]

    assert Fraction(charge.total_cost) == oracle.expected_cost(call, oracle.sample_rates())


# ---- honest where it cannot know


def test_a_stream_is_passed_on_untouched_and_sent_as_identity(gateway):
    call = a_call(**STREAM)
    result = ran(gateway, call)

    assert not result.buffered
    assert result.body == response_body(call)
    [event] = result.events
    assert (event["kind"], event["streamed"], event["deployment"]) == ("identity", True, "chat")
    [row] = rows_of(*result.bodies)
    assert isinstance(row, Identity)


def test_bodies_that_do_not_fit_are_sent_as_identity_not_in_part(gateway):
    call = a_call(messages=(Message(text=LONG * 4),), usage_visible=False)
    result = ran(gateway, call, "api-with-bodies")

    assert [event["kind"] for event in result.events] == ["identity"]
    assert "Umlauten" not in result.hub[0]["body"]
    assert result.body == response_body(call)


def test_a_body_of_exactly_eight_slices_fits_and_one_byte_more_does_not(gateway):
    call = a_call(usage_visible=False)
    frame = len(request_body(call).encode()) - len("Where is my parcel?")
    fits = 7 * 120_000 - frame
    scenarios = [
        scenario(replace(call, messages=(Message(text="x" * size),)), "api-with-bodies")
        for size in (fits, fits + 1)
    ]
    exact, over = gateway.run(scenarios)

    assert [event["kind"] for event in exact.events] == ["part"] * 8
    assert [event["kind"] for event in over.events] == ["identity"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("policy", ["api", "api-with-bodies"])
def test_a_failure_is_told_without_its_body_and_costs_nothing(gateway, status, policy):
    call = a_call(status=status, error="content_filter" if status == 400 else str(status), usage=None)
    result = ran(gateway, call, policy)

    assert "failure read" not in result.trail
    assert (result.status, result.body) == (status, response_body(call))
    assert [(event["kind"], event["status"]) for event in result.events] == [("identity", status)]
    assert charged(result) == []


@pytest.mark.parametrize(
    "body", ["not JSON", "", "[1, 2]", '{"usage": 5}', '{"usage": {"prompt_tokens": "x"}}', None]
)
@pytest.mark.parametrize("policy", ["api", "api-with-bodies"])
def test_an_answer_that_cannot_be_read_goes_on_as_it_is(gateway, body, policy):
    result = ran(gateway, SHOWN, policy, responses=[answer(SHOWN) | {"body": body}])

    assert (result.status, result.body) == (200, body)
    assert result.error is None
    assert {event["kind"] for event in result.events} <= {"identity", "part"}


@pytest.mark.parametrize("body", ["not JSON", "", "[1, 2]", None], ids=["text", "empty", "a list", "none"])
@pytest.mark.parametrize("policy", ["api", "api-with-bodies"])
def test_a_request_that_cannot_be_read_goes_on_as_it_is(gateway, body, policy):
    asked = scenario(SHOWN, policy)["request"] | {"body": body}
    result = ran(gateway, SHOWN, policy, request=asked)

    assert result.sent[0]["body"] == body
    assert [event["kind"] for event in result.events] == ["usage"]


def test_nobody_is_null_not_empty(gateway):
    call = a_call(subscription_id=None, app_id=APP, tenant_id=TENANT)
    asked = scenario(call)
    asked["context"]["product"] = None
    asked["responses"][0]["headers"].pop("x-ms-region")
    [result] = gateway.run([asked])
    check(result)
    [event] = result.events

    assert (event["subscription_id"], event["app_id"], event["region"]) == (None, APP, None)
    assert event.get("subscription_name") is None
    assert event.get("product") is None


def test_fetching_an_answer_again_is_not_sent_as_usage(gateway):
    asked = scenario(SHOWN)["request"]
    url = "https://apim-contoso.azure-api.net/openai/responses"
    results = [
        ran(gateway, SHOWN, request={**asked, "url": f"{url}{path}?api-version=preview", "method": method})
        for method, path in (("GET", "/resp_1"), ("POST", "/resp_1/cancel"), ("POST", ""))
    ]

    assert [result.events[0]["kind"] for result in results] == ["identity", "identity", "usage"]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        ("api", ["identity", "identity", "usage", "usage"]),
        ("api-with-bodies", ["part", "part", "usage", "usage"]),
    ],
)
def test_what_was_made_in_the_background_is_billed_once_however_often_it_is_fetched(gateway, policy, kinds):
    asked = scenario(SHOWN)["request"]
    url = "https://apim-contoso.azure-api.net/openai/responses"
    usage = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
    done = {"id": "resp_1", "object": "response", "status": "completed", "background": True, "usage": usage}
    ids = (str(uuid.UUID(int=number)) for number in range(1, 9))
    results = []
    for method, path, body in (
        ("POST", "", {**done, "status": "queued", "usage": None}),
        ("GET", "/resp_1", {**done, "status": "in_progress", "usage": None}),
        ("GET", "/resp_1", done),
        ("GET", "/resp_1", done),
    ):
        told = scenario(replace(SHOWN, request_id=next(ids)), policy)
        sent = {"body": asked["body"] if method == "POST" else None}
        told["request"] = {**asked, **sent, "url": f"{url}{path}?api-version=preview", "method": method}
        told["responses"] = [answer(SHOWN) | {"body": json.dumps(body)}]
        told["context"]["operation"] = "an-id-nobody-knows"
        results += gateway.run([told])
        check(results[-1])

    assert [result.events[0]["kind"] for result in results] == kinds
    assert all(event.get("background") for result in results for event in result.events)
    charges = [
        row
        for row in rows_of(*(body for result in results for body in result.bodies))
        if isinstance(row, Charge)
    ]
    ready = [charge for charge in charges if charge.rating_reason != "not_final"]
    assert {(charge.prompt_tokens, charge.completion_tokens) for charge in ready} == {(30, 5)}
    assert len({charge.charge_id for charge in charges}) == 1


def test_a_v1_request_names_its_deployment_in_the_body(gateway):
    asked = scenario(SHOWN)["request"]
    body = json.dumps({"model": "chat", "messages": []})
    url = "https://apim-contoso.azure-api.net/openai/v1/chat/completions"
    result = ran(gateway, SHOWN, request={**asked, "url": url, "matched": {}, "body": body})

    assert (result.events[0]["deployment"], result.events[0]["api_version"]) == ("chat", None)
    assert result.sent[0]["body"] == body


@pytest.mark.parametrize("name", ["JSON", "embeddings"])
def test_an_api_with_one_operation_for_everything_is_billed_by_its_urls(gateway, name):
    call, _, _ = CALLS[name]
    asked = scenario(call)
    asked["request"]["matched"] = {}
    asked["context"]["operation"] = "64f0c2d1a7b9"
    asked["backends"] = BACKENDS | {"aoai-standard": [call.backend]}
    [result] = gateway.run([asked])
    check(result)
    [charge] = charged(result)

    assert (charge.deployment, charge.operation) == (call.deployment, call.operation)
    assert Fraction(charge.total_cost) == oracle.expected_cost(call, oracle.sample_rates())


@pytest.mark.parametrize(
    ("path", "deployment", "operation"),
    [
        ("/openai/deployments/chat/completions", "chat", "completions"),
        ("/openai/deployments/chat/chat/completions", "chat", "chat"),
        ("/openai/deployments/my%20own/embeddings", "my own", "embeddings"),
        ("/openai/deployments/pictures/images/generations", "pictures", "images"),
        ("/openai/v1/responses", "chat", "responses"),
        ("/openai/files", None, "64f0c2d1a7b9"),
    ],
)
def test_a_url_tells_deployment_and_operation(gateway, path, deployment, operation):
    asked = scenario(SHOWN)
    asked["context"]["operation"] = "64f0c2d1a7b9"
    url = f"https://apim-contoso.azure-api.net{path}?api-version=2024-10-21"
    body = '{"model": "chat"}' if path.endswith("responses") else "{}"
    asked["request"] |= {"matched": {}, "url": url, "body": body}
    [result] = gateway.run([asked])
    check(result)

    assert (result.events[0]["deployment"], result.events[0]["operation"]) == (deployment, operation)


def test_spillover_tier_and_attempts_are_told(gateway):
    body = json.loads(response_body(SHOWN)) | {"service_tier": "priority"}
    served = answer(SHOWN, **{"x-ms-spillover-from-chat-ptu": "1", "x-ms-spillover-error": "429"})
    responses = [answer(a_call(status=429, error="429", usage=None)), served | {"body": json.dumps(body)}]
    [event] = ran(gateway, SHOWN, responses=responses).events

    assert (event["spillover_from"], event["service_tier"]) == ("chat-ptu", "priority")
    assert event["tags"] == {"attempts": "2"}


def test_the_backend_of_a_pool_that_answered_is_told(gateway):
    refused = answer(a_call(status=429, error="429", usage=None))
    call = a_call(backend=None)
    [event] = ran(gateway, call, responses=[refused, answer(SHOWN)]).events

    assert event["backend"] == "https://aoai-swc-1.openai.azure.com"


def test_ids_are_cut_before_they_make_an_event_too_long(gateway):
    call = a_call(subscription_id="s" * 900, subscription_name="\u0001" * 900, product="€" * 900)
    [event] = ran(gateway, call).events

    assert [len(event[name]) for name in ("subscription_id", "subscription_name", "product")] == [256] * 3


def test_a_time_without_zone_is_the_gateways_which_is_utc(gateway, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    told = scenario(SHOWN)
    told["context"]["time"] = "2026-11-18T12:00:00.1234000"
    [result] = gateway.run([told])
    check(result)

    assert datetime.fromisoformat(result.events[0]["time"]) == SHOWN.at


# ---- who, and what is only said


def test_the_consumer_header_is_a_tag_and_personal_data_is_not_sent_unless_chosen(gateway):
    asked = scenario(SHOWN)
    bearer = {
        "Authorization": f"Bearer {token(appid=APP, oid='person-1', scp='chat')}",
        "x-chargeback-consumer": "dunning",
    }
    asked["request"]["headers"] |= bearer
    plain, personal = gateway.run([asked, {**asked, "variables": {"chargeback-personal": "true"}}])
    check(plain)
    check(personal)

    assert plain.events[0]["tags"] == {"consumer": "dunning", "attempts": "1"}
    assert "end_user_id" not in plain.events[0]
    assert "client_ip" not in plain.events[0]
    assert (personal.events[0]["end_user_id"], personal.events[0]["client_ip"]) == ("person-1", "203.0.113.7")


def test_a_token_nobody_validated_names_nobody(gateway):
    """With the line for Entra taken out, an Authorization header is only text."""
    asked = scenario(a_call(app_id=APP, tenant_id=TENANT), "log-only")
    told = gateway_of_one_line().run([asked])[0]

    assert told.events[0].get("app_id") is None


def test_the_log_works_as_the_only_line_of_an_existing_policy(gateway):
    result = gateway_of_one_line().run([scenario(SHOWN, "log-only", backends=None)])[0]
    check(result)
    [charge] = charged(result)

    assert (charge.subscription_id, charge.deployment) == ("sub-shop", "chat")
    assert charge.usage_source == "reported"


def gateway_of_one_line():
    return Gateway.of({"log-only": ONE_LINE})
