"""Streams put together again: Azure's quirks, several choices, tools, and every way to end early."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.replies import ToolCall, read_reply

FILTER_FIRST = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []}
FILTER_LATER = {
    "choices": [
        {
            "content_filter_offsets": {"check_offset": 44},
            "content_filter_results": {},
            "finish_reason": None,
            "index": 0,
        }
    ],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
}
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 9,
    "total_tokens": 1209,
    "prompt_tokens_details": {"cached_tokens": 1024},
}


def chunk(delta=None, *, index=0, finish=None, usage=None, choices=None):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1794993266,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"delta": delta or {}, "index": index, "finish_reason": finish, "logprobs": None}]
        if choices is None
        else choices,
        "usage": usage,
    }


def stream(*chunks, done=True, end="\n"):
    lines = [f"data: {json.dumps(each)}" for each in chunks] + (["data: [DONE]"] if done else [])
    return "".join(f"{line}{end}{end}" for line in lines)


def test_filter_chunks_a_colon_in_the_text_and_the_usage_chunk():
    reply = read_reply(
        stream(
            FILTER_FIRST,
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Cost"}),
            FILTER_LATER,
            chunk({"content": " data: 5\n"}),
            chunk(finish="stop"),
            chunk(choices=[], usage=USAGE),
        )
    )

    assert (reply.response_id, reply.model, reply.operation) == (
        "chatcmpl-1",
        "gpt-4o-mini-2024-07-18",
        "chat",
    )
    assert reply.choices[0].content == "Cost data: 5\n"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage == USAGE
    assert (reply.streamed, reply.complete) == (True, True)


def test_tool_calls_grow_by_their_index():
    first = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_rate", "arguments": ""},
    }
    second = {
        "index": 1,
        "id": "call_2",
        "type": "function",
        "function": {"name": "get_team", "arguments": "{}"},
    }
    reply = read_reply(
        stream(
            chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"model":'}}]}),
            chunk({"tool_calls": [second]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"gpt-4o"}'}}]}),
            chunk(finish="tool_calls"),
        )
    )

    assert reply.choices[0].tool_calls == (
        ToolCall("get_rate", '{"model":"gpt-4o"}'),
        ToolCall("get_team", "{}"),
    )
    assert reply.usage is None


def test_choices_interleave_and_are_kept_apart():
    reply = read_reply(
        stream(
            chunk({"content": "Yes"}),
            chunk({"content": "No"}, index=1),
            chunk({"content": ", never."}, index=1),
            chunk({"content": ", always."}),
            chunk(finish="stop"),
            chunk(finish="stop", index=1),
        )
    )

    assert [choice.content for choice in reply.choices] == ["Yes, always.", "No, never."]


def test_refusal_and_function_call():
    reply = read_reply(
        stream(
            chunk({"refusal": "I "}),
            chunk({"refusal": "cannot."}),
            chunk({"function_call": {"name": "f", "arguments": "{"}}),
            chunk({"function_call": {"arguments": "}"}}),
            chunk(finish="stop"),
        )
    )

    assert reply.choices[0].refusal == "I cannot."
    assert reply.choices[0].function_call == ToolCall("f", "{}")


def test_legacy_completions_stream_text():
    parts = [
        {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [{"text": text, "index": 0}]}
        for text in (" Bon", "jour")
    ]

    reply = read_reply(stream(*parts))

    assert (reply.operation, reply.choices[0].content) == ("completions", " Bonjour")


def test_the_responses_api_reports_usage_in_its_last_event():
    usage = {"input_tokens": 1300, "output_tokens": 210, "total_tokens": 1510}
    body = (
        'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","usage":null}}\n\n'
        'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","model":"gpt-5-mini","usage":'
        + json.dumps(usage)
        + "}}\n\n"
    )

    reply = read_reply(body)

    assert (reply.operation, reply.response_id, reply.model, reply.usage) == (
        "responses",
        "resp_1",
        "gpt-5-mini",
        usage,
    )
    assert reply.complete


@pytest.mark.parametrize(
    ("body", "text", "complete"),
    [
        pytest.param(stream(chunk({"content": "Once"}), done=False), "Once", False, id="no end at all"),
        pytest.param(
            stream(chunk({"content": "Once"}, finish="stop"), done=False),
            "Once",
            True,
            id="finished, no end mark",
        ),
        pytest.param(
            stream(chunk({"content": "Once"}), done=False)
            + 'data: {"choices":[{"delta":{"content":" upon"},"finis',
            "Once",
            False,
            id="cut inside a chunk",
        ),
        pytest.param(
            stream(chunk({"content": "Once"}), {"error": {"code": "server_error"}}, done=False),
            "Once",
            False,
            id="error in the stream",
        ),
        pytest.param(
            stream(chunk({"content": "Once"}), done=False)
            + ": comment\r\n\r\n"
            + stream(chunk(finish="stop"), end="\r\n"),
            "Once",
            True,
            id="comment and CRLF",
        ),
        pytest.param(
            "\ufeff" + stream(chunk({"content": "Once"}, finish="stop")), "Once", True, id="byte order mark"
        ),
    ],
)
def test_how_a_stream_ends_is_told(body, text, complete):
    reply = read_reply(body)

    assert (reply.choices[0].content, reply.complete) == (text, complete)


def test_a_character_may_be_torn_over_two_chunks():
    halves = stream(
        chunk({"content": "a\ud83d"}),
        chunk({"content": "\ude00b"}),
        chunk({"content": "\ud83d"}),
        chunk(finish="stop"),
    )

    assert read_reply(halves).choices[0].content == "a\U0001f600b\ufffd"


def test_json_inside_a_chunk_may_span_data_lines():
    reply = read_reply(
        'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "A"}}]}\n\ndata: [DONE]\n\n'
    )

    assert reply.choices[0].content == "A"


@given(st.data())
def test_a_stream_cut_anywhere_is_a_beginning_or_whole(data):
    texts = ["Größe", " 👋", " data: x\n", '"quoted"']
    body = stream(
        FILTER_FIRST,
        *(chunk({"content": text}) for text in texts),
        chunk(finish="stop"),
        chunk(choices=[], usage=USAGE),
    )
    whole = read_reply(body)
    at = data.draw(st.integers(0, len(body)))

    reply = read_reply(body[:at], "chat", cut=True)

    text = reply.choices[0].content if reply and reply.choices else ""
    assert "".join(texts).startswith(text)
    if reply and reply.usage:
        assert reply == whole or reply.usage == USAGE
    elif reply and text != "".join(texts):
        assert not reply.complete
