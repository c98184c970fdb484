"""Answers that came in one piece, and what is no answer at all."""

import pytest

from chargeback.replies import ToolCall, read_reply


def test_a_chat_answer():
    reply = read_reply(
        '{"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-11-20", "service_tier": "default",'
        ' "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}],'
        ' "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}'
    )

    assert (reply.operation, reply.response_id, reply.model) == ("chat", "chatcmpl-1", "gpt-4o-2024-11-20")
    assert (reply.choices[0].content, reply.choices[0].finish_reason) == ("Hi.", "stop")
    assert reply.usage["total_tokens"] == 5
    assert (reply.streamed, reply.complete, reply.error) == (False, True, None)


def test_a_message_may_be_parts_and_tool_calls():
    body = {
        "object": "chat.completion",
        "choices": [
            {
                "message": {
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image"},
                        {"type": "text", "text": "b"},
                    ],
                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                }
            }
        ],
    }

    [choice] = read_reply(body).choices

    assert (choice.content, choice.tool_calls) == ("ab", (ToolCall("f", "{}"),))


def test_embeddings_have_no_id_and_no_choices():
    reply = read_reply(
        '{"object": "list", "model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
    )

    assert (reply.operation, reply.response_id, reply.choices) == ("embeddings", None, ())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "429", "message": "slow down"}, "429"),
        (
            {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
            "content_filter",
        ),
        ({"type": "invalid_request_error", "code": None}, "invalid_request_error"),
        ({}, None),
        ("text", "error"),
    ],
)
def test_an_error_body_gives_its_code(error, code):
    assert read_reply({"error": error}).error == code


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_no_reply(body):
    assert read_reply(body) is None


@pytest.mark.parametrize(
    "body",
    [
        "<html>busy</html>",
        "Too many requests",
        "[]",
        "7",
        "\x00",
        [],
        7,
        {"choices": 7},
        {"choices": [7, None]},
    ],
)
def test_what_is_no_answer_is_a_reply_that_says_nothing(body):
    reply = read_reply(body, "chat")

    assert (reply.usage, reply.error, reply.response_id) == (None, None, None)


def test_a_usage_block_that_stands_open_at_the_cut_is_not_used():
    whole = '{"id": "c", "model": "m", "usage": {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320}'

    assert read_reply(whole, cut=True).usage is not None
    assert read_reply(whole[:-1], cut=True).usage is None
    assert read_reply(whole[:-10], cut=True).usage is None
    assert not read_reply(whole, cut=True).complete
