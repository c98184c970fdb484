"""What the fragments do to requests and answers: routes, limits, retries, tokens, usage asked for, and no harm."""

import json

import pytest

from tests.policies.gateway import NAMED, Gateway
from tests.policies.scenarios import KEY, a_call, answer, scenario, token
from tests.policies.test_policy_events import check
from tests.support.calls import Answer

CALL = a_call()
STREAM = a_call(stream=True, usage_visible=False, answers=(Answer(text="Yes."),))
REFUSED = answer(a_call(status=429, error="429", usage=None))
BROKEN = answer(a_call(status=503, error="503", usage=None))
PREMIUM_APP = "7d1f0c52-3b7e-4f2a-9c5d-0a6e4b8f1c09"


def ran(gateway, asked):
    [result] = gateway.run([asked])

    assert result.violations == []
    return result


def with_headers(asked, **headers):
    asked["request"]["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    return asked


# ---- asking for usage


def asking(gateway, body, *, version="2024-10-21", path="/openai/deployments/chat/chat/completions"):
    """Return the body that reaches the service."""
    asked = scenario(STREAM)
    query = f"?api-version={version}" if version else ""
    asked["request"] |= {"url": f"https://apim-contoso.azure-api.net{path}{query}", "body": body}
    return ran(gateway, asked).sent[0]["body"]


@pytest.mark.parametrize(
    "version", ["2024-09-01-preview", "2024-10-21", "2025-04-01-preview", "preview", "latest"]
)
def test_a_streamed_chat_asks_for_usage_where_the_api_version_knows_it(gateway, version):
    sent = json.loads(asking(gateway, '{"messages":[],"stream":true}', version=version))

    assert sent == {"messages": [], "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    "version", ["2023-05-15", "2024-02-01", "2024-06-01", "2024-08-01-preview", "next", ""]
)
def test_an_api_version_that_may_refuse_the_option_gets_the_body_as_it_was(gateway, version):
    body = '{"messages":[],"stream":true}'

    assert asking(gateway, body, version=version) == body


def test_the_v1_api_needs_no_version(gateway):
    body = asking(gateway, '{"model":"chat","stream":true}', version="", path="/openai/v1/chat/completions")

    assert json.loads(body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "body",
    [
        '{"messages":[]}',
        '{"messages":[],"stream":false}',
        '{"messages":[],"stream":"true"}',
        '{"stream":true,"stream_options":{"include_usage":false}}',
        '{"stream":true,"stream_options":{"include_usage":true}}',
        '{"stream":true,"stream_options":null}',
        '{"stream":true,"stream_options":[]}',
        '{"stream":true,"data_sources":[]}',
        '[{"stream":true}]',
        '{"stream":true',
        "",
    ],
)
def test_a_body_that_needs_nothing_or_says_otherwise_is_left_alone(gateway, body):
    assert asking(gateway, body) == body


def test_other_operations_are_left_alone(gateway):
    body = '{"prompt":"x","stream":true}'

    assert asking(gateway, body, path="/openai/deployments/chat/completions") == body


def test_the_clients_other_stream_options_are_kept(gateway):
    sent = asking(gateway, '{"stream":true,"stream_options" : {"include_obfuscation":false},"n":1}')

    assert json.loads(sent)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert json.loads(asking(gateway, '{"stream":true,"stream_options":{}}'))["stream_options"] == {
        "include_usage": True
    }


def test_an_option_that_only_looks_like_it_in_a_prompt_is_not_touched(gateway):
    """Two places could be meant: nothing is inserted rather than into the wrong one."""
    inner = '{"stream":true,"tools":[{"stream_options":{"a":1}}],"stream_options":{"b":2}}'
    text = '{"messages":[{"content":"set \\"stream_options\\": {"}],"stream":true,"stream_options":{"b":2}}'

    assert asking(gateway, inner) == inner
    assert json.loads(asking(gateway, text))["stream_options"] == {"include_usage": True, "b": 2}


def test_what_is_asked_for_moves_nothing_else_in_the_body(gateway):
    body = '{ "messages":[{"role":"user","content":"2026-11-18T12:00:00Z 1.0 €"}], "temperature":1.50,\n "stream":true }'

    assert asking(gateway, body) == body.replace("{", '{"stream_options":{"include_usage":true},', 1)


# ---- capacity


@pytest.mark.parametrize(
    ("product", "header", "backend"),
    [
        ("gold", "high", "aoai-premium"),
        ("Gold", " HIGH ", "aoai-premium"),
        ("gold", None, "aoai-standard"),
        ("gold", "", "aoai-standard"),
        ("gold", "0", "aoai-standard"),
        ("gold", "-1", "aoai-standard"),
        ("gold", "99999", "aoai-standard"),
        ("chat", "high", "aoai-standard"),
        (None, "high", "aoai-standard"),
    ],
)
def test_the_best_capacity_needs_the_word_and_a_product_that_may_say_it(gateway, product, header, backend):
    asked = scenario(CALL)
    asked["context"]["product"] = {"id": product, "name": product} if product else None
    if header is not None:
        with_headers(asked, x_priority=header)

    assert ran(gateway, asked).trail[2:][0] == f"backend {backend}"


def test_premium_clients_get_dedicated_capacity_by_subscription_or_by_validated_app(gateway):
    by_subscription = scenario(a_call(subscription_id="sub-legal"))
    by_app = with_headers(
        scenario(a_call(subscription_id=None)), Authorization=f"Bearer {token(appid=PREMIUM_APP)}"
    )

    for asked in (by_subscription, by_app):
        assert ran(gateway, asked).sent[0]["url"].startswith("https://aoai-ptu-1.")


def test_nobody_is_premium_where_nobody_is_named():
    named = {**NAMED, "chargeback-premium-clients": "none", "chargeback-priority-products": "none"}
    asked = with_headers(
        scenario(a_call(subscription_id=None)), Authorization=f"Bearer {token()}", x_priority="high"
    )

    assert ran(Gateway.of(named=named), asked).sent[0]["url"].startswith("https://aoai-weu-1.")


# ---- trying again


@pytest.mark.parametrize("first", [REFUSED, BROKEN], ids=["429", "503"])
def test_another_region_is_tried_after_a_refusal_and_gets_the_whole_request(gateway, first):
    result = ran(gateway, scenario(CALL, responses=[first, answer(CALL)]))
    one, two = result.sent

    assert (one["url"].split("/")[2], two["url"].split("/")[2]) == (
        "aoai-weu-1.openai.azure.com",
        "aoai-swc-1.openai.azure.com",
    )
    assert one["body"] == two["body"]
    assert (result.status, [event["kind"] for event in result.events]) == (200, ["usage"])


def test_it_gives_up_after_three_and_passes_on_what_the_service_said(gateway):
    result = ran(gateway, scenario(CALL, responses=[REFUSED]))

    assert (len(result.sent), result.status, result.body) == (3, 429, REFUSED["body"])
    assert result.events[0]["tags"] == {"attempts": "3"}


def test_a_full_premium_capacity_spills_to_the_pool_and_the_event_says_so(gateway):
    asked = scenario(a_call(subscription_id="sub-legal"), responses=[REFUSED, answer(CALL)])
    [event] = ran(gateway, asked).events

    assert event["backend"].endswith(("aoai-weu-1.openai.azure.com", "aoai-swc-1.openai.azure.com"))


def test_a_good_or_a_wrong_request_is_sent_once(gateway):
    wrong = answer(a_call(status=400, error="content_filter", usage=None))

    assert len(ran(gateway, scenario(CALL)).sent) == 1
    assert len(ran(gateway, scenario(CALL, responses=[wrong])).sent) == 1


def test_a_service_that_cannot_be_reached_is_a_failure_that_is_told(gateway):
    result = ran(gateway, scenario(CALL, responses=[{"unreachable": True}]))
    check(result)

    assert (result.status, result.error.split(": ")[1]) == (500, "BackendConnectionFailure")
    assert [(event["kind"], event["status"]) for event in result.events] == [("identity", 500)]


# ---- who may, and how much


def test_what_the_client_authenticated_with_does_not_reach_the_service(gateway):
    [sent] = ran(gateway, with_headers(scenario(CALL), Authorization=f"Bearer {token(appid='a')}")).sent

    assert sent["headers"]["Authorization"] == "Bearer managed-identity https://cognitiveservices.azure.com"
    assert KEY not in json.dumps(sent)


@pytest.mark.parametrize(
    ("subscription", "headers", "status"),
    [
        ("sub-shop", {}, 200),
        (None, {"Authorization": f"Bearer {token(appid='a')}"}, 200),
        (None, {}, 401),
        (None, {"Authorization": "Bearer nonsense"}, 401),
        (None, {"Authorization": f"Bearer {token(appid='a', tid='another tenant')}"}, 401),
        (None, {"Authorization": f"Bearer {token(appid='a', aud='another api')}"}, 401),
        ("sub-shop", {"Authorization": "Bearer nonsense"}, 401),
    ],
    ids=["key", "token", "neither", "no token", "other tenant", "other audience", "key with a bad token"],
)
def test_a_caller_proves_who_he_is_by_key_or_token(gateway, subscription, headers, status):
    result = ran(gateway, with_headers(scenario(a_call(subscription_id=subscription)), **headers))
    check(result)

    assert result.status == status
    assert [event["status"] for event in result.events] == [status]
    assert len(result.sent) == (status == 200)


@pytest.mark.parametrize(
    ("limit", "word"),
    [("rate-limit-by-key", "requests"), ("llm-token-limit", "tokens")],
    ids=["calls", "tokens"],
)
def test_beyond_a_limit_the_client_is_told_when_to_come_back(gateway, limit, word):
    result = ran(gateway, scenario(CALL, exceeded=[limit]))
    check(result)

    assert (result.status, result.headers["Retry-After"], result.sent) == (429, "37", [])
    assert result.headers["Content-Type"] == "application/json"
    error = json.loads(result.body)["error"]
    assert (error["code"], error["type"]) == ("429", word)
    assert "37 seconds" in error["message"]
    assert [event["kind"] for event in result.events] == ["identity"]


def test_the_services_own_429_is_not_rewritten(gateway):
    result = ran(
        gateway,
        scenario(CALL, responses=[{**REFUSED, "headers": {**REFUSED["headers"], "Retry-After": "9"}}]),
    )

    assert (result.body, result.headers["Retry-After"]) == (REFUSED["body"], "9")


def test_what_is_left_is_told_with_every_answer(gateway):
    headers = ran(gateway, scenario(CALL)).headers

    assert {"remaining-calls", "remaining-tokens", "consumed-tokens"} <= headers.keys()


@pytest.mark.parametrize(
    ("subscription", "app", "payer"),
    [("sub-shop", None, "sub-shop"), (None, "app-1", "app-1"), ("sub-shop", "app-1", "sub-shop")],
)
def test_limits_count_by_subscription_or_else_by_app(gateway, subscription, app, payer):
    asked = scenario(a_call(subscription_id=subscription))
    if app:
        with_headers(asked, Authorization=f"Bearer {token(appid=app)}")
    told = [each for each in ran(gateway, asked).trail if isinstance(each, dict)]

    assert [each["counter-key"] for each in told] == [payer, payer]


def test_the_metric_has_no_more_dimensions_than_allowed(gateway):
    asked = with_headers(scenario(CALL), Authorization=f"Bearer {token(appid='app-1')}")
    [metric] = ran(gateway, asked).metrics

    assert metric == {"Subscription": "sub-shop", "App": "app-1", "Deployment": "chat", "Product": "chat"}
    assert len(metric) <= 5


# ---- no harm

MEMBERS = [
    "Api",
    "Operation",
    "Product",
    "Subscription",
    "Response",
    "LastError",
    "Timestamp",
    "Elapsed",
    "Deployment",
    "Request.Headers",
    "Request.Body",
    "Request.Url",
    "Request.OriginalUrl",
    "Request.MatchedParameters",
    "Request.Method",
    "Request.IpAddress",
    "Response.Headers",
    "Response.Body",
    "Response.StatusCode",
]  # fmt: skip - a list of words
LOG_ONLY = {
    "logged": "<policies><inbound><base /><include-fragment fragment-id='chargeback-identity' />"
    "<include-fragment fragment-id='chargeback-include-usage' /></inbound><backend><forward-request"
    " buffer-response='false' /></backend><outbound><base /><include-fragment fragment-id='chargeback-log-exchange' />"
    "</outbound><on-error><base /></on-error></policies>"
}


@pytest.fixture(scope="module")
def logged():
    """Only what watches: identity, asking for usage, log."""
    return Gateway.of(LOG_ONLY)


@pytest.mark.parametrize("call", [CALL, STREAM], ids=["JSON", "stream"])
@pytest.mark.parametrize("bodies", ["false", "true"], ids=["no bodies", "bodies"])
def test_whatever_member_fails_the_client_gets_its_answer_and_the_call_is_told(logged, call, bodies):
    asked = [
        scenario(call, "logged", throws=[member], variables={"chargeback-bodies": bodies})
        for member in MEMBERS
    ]
    for member, result in zip(MEMBERS, logged.run(asked), strict=True):
        assert (result.error, result.violations) == (None, []), member
        assert result.body == scenario(call)["responses"][0]["body"], member
        assert len(result.events) >= 1, member
        assert result.events[0]["request_id"] == call.request_id, member


def test_without_a_request_id_nothing_is_told_and_nothing_breaks(logged):
    [result] = logged.run([scenario(CALL, "logged", throws=["RequestId"])])

    assert (result.error, result.hub, result.status) == (None, [], 200)


@pytest.mark.parametrize("name", ["bodies", "personal", "token", "consumer-header", "attempts", "request"])
def test_a_variable_of_another_type_does_no_harm(logged, name):
    values = (True, 5, 1.5, None, "yes", "")
    asked = [scenario(CALL, "logged", variables={f"chargeback-{name}": value}) for value in values]
    for value, result in zip(values, logged.run(asked), strict=True):
        unharmed = (None, [], scenario(CALL)["responses"][0]["body"])

        assert (result.error, result.violations, result.body) == unharmed, value
        assert [event["kind"] for event in result.events] == ["usage"], value


def test_a_call_is_told_once_though_a_later_policy_fails():
    fails = "<set-variable name='x' value='@(((string)null).Length)' />"
    line = '<include-fragment fragment-id="chargeback-log-exchange" />'
    policy = (
        f"<policies><inbound><base /></inbound><backend><base /></backend><outbound>{line}{fails}</outbound>"
        f"<on-error>{line}</on-error></policies>"
    )
    [result] = Gateway.of({"late": policy}).run([scenario(CALL, "late")])

    assert result.status == 500
    assert [(event["kind"], event["status"]) for event in result.events] == [("usage", 200)]


def test_taken_out_again_the_policy_leaves_no_trace(gateway):
    bare = "<policies><inbound><base /></inbound><backend><base /></backend><outbound><base /></outbound></policies>"
    asked = scenario(CALL, "bare")
    [without] = Gateway.of({"bare": bare}).run([asked])
    [watched] = Gateway.of(LOG_ONLY).run([{**asked, "policy": "logged"}])

    assert (without.status, without.body, without.headers) == (watched.status, watched.body, watched.headers)
    assert without.sent[0]["body"] == watched.sent[0]["body"]
