"""Where a call went, told by whatever its event has: URL, operation id, request or answer."""

import json

import pytest

from chargeback import operations
from tests.support.charges import charge_of

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}
ANSWER = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "chat-eu",
    "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
}
HOST = "https://aoai-swc-1.openai.azure.com/openai"


def event(url, request, response):
    told = {"EventTime": "2026-11-18T09:00:00Z", "RequestId": "r-1", "backendUrl": url}
    return json.dumps({**told, "RequestBody": request, "ResponseBody": json.dumps(response)}).encode()


@pytest.mark.parametrize(
    ("url", "request_model", "response"),
    [
        pytest.param(f"{HOST}/deployments/chat-eu/chat/completions", "gpt-4o", CHAT, id="URL before request"),
        pytest.param(f"{HOST}/v1/chat/completions", "chat-eu", CHAT, id="a v1 URL: the request"),
        pytest.param(
            f"{HOST}/responses?api-version=1", "chat-eu", ANSWER, id="the Responses API: the request"
        ),
        pytest.param(f"{HOST}/responses/resp_1", None, ANSWER | {"background": True}, id="or its answer"),
    ],
)
def test_the_deployment_is_found(url, request_model, response):
    charge = charge_of(event(url, {"model": request_model, "messages": []}, response))

    assert (charge.account, charge.deployment, charge.model) == ("aoai-swc-1", "chat-eu", "gpt-4o@2024-11-20")
    assert charge.rating == "priced"


@pytest.mark.parametrize(
    ("name", "method", "word", "effect"),
    [
        ("https://h/openai/deployments/d/chat/completions?api-version=1", "POST", "chat", "call"),
        ("https://h/openai/responses", "POST", "responses", "call"),
        ("https://h/openai/responses/resp_1?x=1", "GET", "responses", "fetch"),
        ("https://h/openai/responses/resp_1/cancel", "POST", "responses", "fetch"),
        ("https://h/openai/responses/resp_1/input_items", "GET", "responses", "free"),
        ("https://h/openai/responses/resp_1", "DELETE", "responses", "free"),
        ("https://h/openai/files/f/content", "GET", "other", "free"),
        ("https://h/models/chat/completions", "POST", "chat", "call"),
        ("https://h/openai/models", "GET", "other", "free"),
        ("https://h/openai/batches", "POST", "batch", "free"),
        ("https://h/openai/threads/t/runs", "POST", "other", "call"),
        ("ChatCompletions_Create", None, "chat", "call"),
        ("getResponse", None, "responses", "fetch"),
        ("deleteResponse", None, None, "free"),
        ("something else", None, None, "call"),
        (None, None, None, "call"),
    ],
)
def test_what_a_request_does_is_read_from_its_url_or_its_operation(name, method, word, effect):
    assert (operations.operation(name), operations.effect(name, method)) == (word, effect)


def test_a_display_name_is_the_last_resort():
    assert operations.titled("Creates a completion for the chat message") == "chat"
    assert operations.titled("Ask the oracle") is None
