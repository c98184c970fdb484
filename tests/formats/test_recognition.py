"""Which format an event is, and what is said about one that is none."""

import json

import pytest

from chargeback import formats
from chargeback.capture import Capture
from chargeback.errors import RejectError
from chargeback.privacy import Privacy

PRIVACY = Privacy()


def only(body: object) -> Capture | RejectError:
    [found] = formats.read(json.dumps(body).encode(), PRIVACY)
    return found


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"eventTime": "", "apiOperation": "", "request": "", "response": None}, "F1"),
        ({"EVENTTIME": "", "APIOPERATION": "", "REQUEST": "", "RESPONSE": None}, "F1"),
        ({"EventTime": "", "Request": "", "Response": ""}, "F2"),
        ({"AppKey": "k", "PromptTokens": "1"}, "F4"),
        ({"appSubscriptionKey": "k", "completionTokens": "1"}, "F5"),
        ({"v": 1, "kind": "usage", "request_id": "r"}, "v1"),
        ({"event-time": "", "completion_text": "Hello", "id": "c"}, "F3"),
        ({"appSubscriptionKey": "k", "responseTokens": "1"}, "F6"),
        ({"targetService": "chat.completion", "id": "c"}, "F7"),
        ({"Type": "Message", "TotalTokens": "38"}, "F8"),
        ({"message-id": "m", "operationname": "ChatCompletions_Create", "messages": "[]"}, "F9"),
        ({"message-id": "m", "choices": "[]"}, "F9"),
        ({"message-id": "m", "prompt_tokens": "1"}, "F9"),
        ({"message-id": "m", "event-type": "Request"}, "F10"),
        ({"message-id": "m", "event-type": "response", "choices": "[]"}, "F10"),
        ({"RequestId": "r", "RequestBody": {}, "ResponseBody": ""}, "F11"),
        ({"records": [{"RequestId": "r", "response": ""}]}, "F12"),
        ({"type": "stream_completion", "content": "Hello"}, "F13"),
        ({"Type": "openai-logger", "message_guid": "m"}, "F14"),
        ({"records": [{"correlationId": "c", "properties": {}}]}, "F15"),
        ({"Type": "S7P-ProxyRequest", "MID": "m"}, "F16"),
        ({"Usage.Prompt_Tokens": "3"}, "F16"),
        ({"clientAppId": "a", "requestBody": {}, "responseBody": {}}, "F17"),
        ({"subscriptionId": "s", "deploymentId": "d", "responseBody": {}}, "F17"),
        ({"id": "batch_req_1", "custom_id": "1", "response": {"body": {}}}, "batch"),
    ],
)
def test_a_format_is_told_by_its_names_without_case(body, name):
    assert only(body).source_format == name


def test_an_unknown_event_is_rejected_with_the_names_seen_and_the_nearest_format():
    error = only(
        {
            "appSubscriptionKey": "secret-canary",
            "promptTokens": "7",
            "deploymentId": "d",
            "text of a prompt": 1,
        }
    )

    assert isinstance(error, RejectError)
    assert error.reason == "unknown_format"
    assert "appsubscriptionkey, deploymentid, prompttokens" in str(error)
    assert "nearest is F5" in str(error)
    assert "canary" not in str(error)
    assert "text of a prompt" not in str(error)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"apiOperaton": "", "requst": "", "respons": ""}, "F1"),
        ({"message_id": "m", "choices": "[]", "response-time": "3"}, "F9"),
        ({"target-service": "x", "timestamp": "", "deploymentName": "d"}, "F7"),
        ({"targetServices": "x", "promptTokens": 1, "responseTokens": 0}, "F7"),
    ],
)
def test_a_misspelt_event_is_told_what_it_resembles(body, name):
    assert f"nearest is {name}," in str(only(body))


def test_an_array_is_several_events_and_a_bad_one_does_not_touch_its_neighbours():
    good = {"AppKey": "k", "PromptTokens": "1"}
    found = formats.read(json.dumps([good, 7, good]).encode(), PRIVACY)

    assert [type(each) for each in found] == [Capture, RejectError, Capture]
    assert found[1].reason == "not_an_object"


@pytest.mark.parametrize("body", [b"7", b'"text"', b"null", b"true", b"[]"])
def test_json_that_is_no_object_is_rejected(body):
    [error] = formats.read(body, PRIVACY)

    assert isinstance(error, RejectError)


def test_every_row_has_its_own_title_and_every_format_of_the_catalogue_has_a_row():
    titles = [row.title for row in formats.TABLE]

    assert len(set(titles)) == len(titles)
    assert {row.name for row in formats.TABLE} == {"v1", "batch", *(f"F{number}" for number in range(1, 18))}


def test_the_key_ends_at_the_reader():
    capture = only({"AppKey": "0a1b2c3d4e5f60718293a4b5c6d7e8f9", "PromptTokens": "1"})

    # printf %s 0a1b2c3d4e5f60718293a4b5c6d7e8f9 | sha256sum | cut -c1-32
    assert capture.facts.subscription_key_id == "435cdbd557a00db74aad01efa3c83ef7"
    assert "0a1b2c3d4e5f60718293a4b5c6d7e8f9" not in repr(capture)


def test_a_bomb_of_empty_records_is_one_reject():
    [error] = formats.read(b"[" + b"{}," * 20_000 + b"{}]", PRIVACY)

    assert error.reason == "too_many_records"
