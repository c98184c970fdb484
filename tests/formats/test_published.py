"""What each published format tells, and the traps that others fell into."""

import json

import pytest

from chargeback import formats
from chargeback.privacy import Privacy
from chargeback.usage import Usage

PRIVACY = Privacy()
CANARY = "canary-b7c1d2e3"


def read(body):
    return formats.read(json.dumps(body).encode(), PRIVACY)


def only(body):
    [capture] = read(body)
    return capture


HUB = {"id": "c-1", "targetService": "chat.completion", "subscriptionId": "team", "promptTokens": 12}


@pytest.mark.parametrize(
    ("service", "counts", "prompt"),
    [
        ("chat.completion", (1, 0, 1), None),
        ("chat.completion", ("1", "0", "1"), None),
        ("chat.completion", (1, 1, 2), 1),
        ("list", (1, 0, 1), 1),
        ("NA", (1, 0, 1), None),
        ("NA", (500, 20, 520), None),
    ],
)
def test_one_nought_one_is_no_count_but_for_an_embedding(service, counts, prompt):
    names = ("promptTokens", "responseTokens", "totalTokens")
    usage = only({**HUB, "targetService": service, **dict(zip(names, counts, strict=True))}).usage

    assert (usage.prompt_tokens if usage else None) == prompt


@pytest.mark.parametrize("service", ["ai-search", "translator", "document-intelligence"])
def test_other_services_are_not_priced_as_tokens(service):
    capture = only({**HUB, "targetService": service, "responseTokens": 900, "totalTokens": 912})

    assert (capture.kind, capture.reason, capture.usage) == ("ignored", "other_service", None)


@pytest.mark.parametrize("word", ["NA", "na", "NA-HEADER", "null", "N/A", "unknown", "", " "])
def test_words_for_nothing_are_no_identity_and_no_count(word):
    names = (
        "appId",
        "subscriptionId",
        "productName",
        "model",
        "deploymentName",
        "promptTokens",
        "totalTokens",
    )
    facts = only({**HUB, **dict.fromkeys(names, word)}).facts

    assert (facts.app_id, facts.subscription_id, facts.product, facts.model, facts.deployment) == (None,) * 5


def test_the_test_console_shows_up_as_a_consumer():
    facts = only({**HUB, "subscriptionId": "Portal-Admin", "productName": "Portal-Admin"}).facts

    assert (facts.subscription_id, facts.product) == ("Portal-Admin", "Portal-Admin")


@pytest.mark.parametrize("word", ["null", None, "", "NA", -3, 1.5, True, "many"])
def test_what_is_no_number_is_unknown(word):
    names = ("promptTokens", "responseTokens", "totalTokens")

    assert only({"appSubscriptionKey": "k", **dict.fromkeys(names, word)}).usage is None


def test_counts_of_a_corrected_policy_are_read():
    event = {"appSubscriptionKey": "k", "promptTokens": "9", "responseTokens": " 4 ", "totalTokens": 13.0}

    usage = only(event).usage

    assert usage == Usage(source="reported", prompt_tokens=9, completion_tokens=4, total_tokens=13)


PROXY = {"Type": "S7P-ProxyRequest", "MID": "p-1", "EnqueueTime": "2026-11-18T09:32:44.1180000Z"}


@pytest.mark.parametrize("kind", ["S7P-BackendRequest", "S7P-Probe", "S7P-Console"])
def test_a_proxys_attempts_and_probes_are_no_calls(kind):
    assert only({**PROXY, "Type": kind, "Usage.Prompt_Tokens": "5"}).reason == "not_a_call"


def test_three_zeros_of_a_proxy_are_unknown():
    names = ("Usage.Prompt_Tokens", "Usage.Completion_Tokens", "Usage.Total_Tokens")

    assert only({**PROXY, **dict.fromkeys(names, "0")}).usage is None


def test_a_url_tells_operation_deployment_version_and_the_host_the_account():
    url = "https://llm.sample.example/openai/deployments/mini/chat/completions?api-version=2024-10-21"
    facts = only({**PROXY, "Url": url, "Backend-Host": "aoai-eu-1.openai.azure.com", "Status": "200"}).facts

    assert (facts.operation, facts.deployment, facts.api_version) == ("chat", "mini", "2024-10-21")
    assert (facts.account, facts.http_status) == ("aoai-eu-1", 200)


@pytest.mark.parametrize(
    "event",
    [
        {
            "Type": "openai-logger",
            "message_guid": "m",
            "req_headers": {"api-key": CANARY},
            "prompt_tokens": 1,
        },
        {**PROXY, "Request-Authorization": f"Bearer {CANARY}", "Request-api-key": CANARY},
        {"AppKey": CANARY, "PromptTokens": "1"},
        {"appSubscriptionKey": CANARY, "responseTokens": "1"},
    ],
    ids=["headers of F14", "headers of F16", "a key in F4", "a key in F6"],
)
def test_no_secret_passes_the_reader(event):
    assert CANARY not in repr(only(event))


def test_bodies_of_split_events_become_bodies_again():
    messages = json.dumps([{"role": "user", "content": "Hi"}], indent=2)
    asked = only({"message-id": "M", "operationname": "ChatCompletions_Create", "messages": messages})
    prompted = only({"message-id": "M", "operationname": "Completions_Create", "prompt": 'Say "hi"'})

    assert (asked.kind, asked.piece.body) == ("part", "request")
    before, behind = asked.piece.frame
    assert json.loads(before + asked.piece.data + behind) == {"messages": [{"role": "user", "content": "Hi"}]}
    assert json.loads(before + prompted.piece.data + behind) == {"prompt": 'Say "hi"'}


def test_an_array_prompt_of_a_split_event_stays_an_array():
    prompted = only({"message-id": "M", "operationname": "Completions_Create", "prompt": '["a", "b"]'})

    assert json.loads(b"{" + prompted.piece.data + b"}") == {"prompt": ["a", "b"]}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_records_are_calls_of_their_own(count):
    found = read({"records": [{"RequestId": f"r{number}", "response": ""} for number in range(count)]})

    assert [capture.facts.request_id for capture in found] == [f"r{number}" for number in range(count)] or (
        [capture.reason for capture in found] == ["no_records"]
    )


def log(*properties, **head):
    told = {"time": "2026-11-18T09:31:12Z", "correlationId": "C-1", **head}
    return {"records": [{**told, "properties": each} for each in properties]}


def test_the_gateways_records_of_one_event_know_of_each_other():
    who, counted = read(
        log({"ApimSubscriptionId": "team", "BackendId": "b"}, {"promptTokens": "3", "completionTokens": 4})
    )

    assert (who.kind, counted.kind, counted.usage.source) == ("identity", "call", "gateway")
    assert (counted.facts.subscription_id, counted.facts.request_id) == ("team", "C-1")


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_the_gateways_names_are_read_in_any_case_and_from_text(spell):
    names = {"promptTokens": 3, "completionTokens": 4, "modelName": "m", "deploymentName": "d"}
    properties = {spell(name): value for name, value in names.items()}
    for value in (properties, json.dumps(properties)):
        counted = only(log(value))

        assert (counted.usage.prompt_tokens, counted.facts.model, counted.facts.deployment) == (3, "m", "d")


@pytest.mark.parametrize("counts", [{"promptTokens": 0, "completionTokens": 0, "totalTokens": 0}, {}])
def test_a_record_without_counts_bills_nothing(counts):
    assert only(log({"modelName": "m", **counts})).kind == "identity"


def test_a_posted_chunk_says_that_the_call_was_streamed_and_a_hole_is_no_json():
    [error] = formats.read(b'{"clientAppId": "a", "responseBody": , "deploymentId": "d"}', PRIVACY)

    assert error.reason == "not_json"


def test_a_batch_file_in_a_captured_body_is_its_lines():
    lines = [{"id": f"batch_req_{n}", "custom_id": str(n), "response": {"body": {}}} for n in (1, 2)]
    text = "\n".join([*map(json.dumps, lines), "broken"])
    found = read({"eventTime": "", "apiOperation": "", "request": "", "response": text})

    assert [capture.facts.response_id for capture in found[:2]] == ["batch_req_1", "batch_req_2"]
    assert found[2].reason == "not_json"
