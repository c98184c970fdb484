"""What was rendered, read back with plain json, is the call again: the renderers hide nothing and add nothing."""

import base64
import json
import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import strategies
from tests.support.azure_bodies import Style, request_body, response_body, usage_block
from tests.support.calls import FORMATS, Answer, Call, Counts, Message, ToolCall
from tests.support.render import as_captured, can_render, cut, cut_stream, render, t1, t2

quick = settings(max_examples=20, deadline=None)

AT = datetime(2026, 11, 18, 9, 18, 11, 418309, tzinfo=UTC)
CALL = Call(
    request_id="r-1",
    at=AT,
    subscription_id="team-a",
    subscription_key="0a1b",
    account="acc",
    deployment="dep",
    model="gpt-4o-mini-2024-07-18",
    messages=(Message(text="Hi"),),
    answers=(Answer(text="Hello."),),
    response_id="chatcmpl-1",
    usage=Counts(prompt=23, completion=15),
)


def sent(body: str) -> list[str]:
    """The data of a stream's events, by the letter of the standard."""
    events: list[str] = []
    data: list[str] = []
    for line in re.split(r"\r\n|\n|\r", body.removeprefix("\ufeff")):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif not line and data:
            events.append("\n".join(data))
            data = []
    assert not data, "every event is closed by a blank line"
    return events


def answers_in(bodies: list[dict]) -> tuple[Answer, ...]:
    """Fold ``message``s or ``delta``s into answers again."""
    texts, refusals, ends = defaultdict(str), defaultdict(str), {}
    tools, functions = defaultdict(lambda: defaultdict(lambda: ["", ""])), defaultdict(lambda: ["", ""])
    for choice in (choice for body in bodies for choice in body["choices"]):
        index = choice["index"]
        said = choice.get("delta") or choice.get("message") or {}
        texts[index] += said.get("content") or choice.get("text") or ""
        refusals[index] += said.get("refusal") or ""
        ends[index] = choice["finish_reason"] or ends.get(index)
        for place, tool in enumerate(said.get("tool_calls") or ()):
            into = tools[index][tool.get("index", place)]
            into[:] = [
                part + tool["function"].get(name, "")
                for part, name in zip(into, ("name", "arguments"), strict=True)
            ]
        if function := said.get("function_call"):
            into = functions[index]
            into[:] = [
                part + function.get(name, "") for part, name in zip(into, ("name", "arguments"), strict=True)
            ]
    return tuple(
        Answer(
            text=texts[index],
            refusal=refusals[index],
            tool_calls=tuple(ToolCall(*tools[index][place]) for place in sorted(tools[index])),
            function_call=ToolCall(*functions[index]) if index in functions else None,
            finish_reason=ends[index],
        )
        for index in sorted(ends)
    )


def messages_in(request: dict) -> tuple[str, ...]:
    contents = (message["content"] for message in request["messages"])
    return tuple(
        each if isinstance(each, str) else "".join(part["text"] for part in each) for each in contents
    )


@settings(max_examples=40, deadline=None)
@given(call=strategies.calls(), style=strategies.styles())
def test_an_answer_in_any_style_says_what_the_call_says(call, style):
    text = response_body(call, style)
    bodies = (
        [json.loads(text)]
        if not call.stream
        else [json.loads(each) for each in sent(text) if each != "[DONE]"]
    )
    usages = [body["usage"] for body in bodies if body.get("usage")]

    if call.operation == "embeddings":
        assert len(bodies[0]["data"]) == len(call.inputs)
    else:
        assert answers_in(bodies) == call.answers
        assert {body["id"] for body in bodies} - {""} == {call.response_id}
    assert {body["model"] for body in bodies} - {""} == {call.model}
    assert usages == ([usage_block(call.usage, call.operation)] if call.usage_visible else [])


@quick
@given(call=strategies.calls(), style=strategies.styles())
def test_a_request_in_any_style_says_what_the_call_says(call, style):
    request = json.loads(request_body(call, style))

    if call.operation == "chat":
        assert messages_in(request) == tuple(message.text for message in call.messages)
        assert [message["role"] for message in request["messages"]] == [
            message.role for message in call.messages
        ]
    elif call.operation == "completions":
        assert request["prompt"] == call.prompt
    else:
        assert request["input"] in (list(call.inputs), call.inputs[0])
    assert request.get("stream", False) is call.stream
    assert call.operation == "embeddings" or request.get("n", 1) == call.n


@quick
@given(call=strategies.calls(), style=strategies.styles())
def test_captured_bodies_are_the_bodies(call, style):
    [f1] = map(json.loads, render(call, "F1", style))
    [f2] = map(json.loads, render(call, "F2", style))

    assert (f1["request"], f1["response"]) == (request_body(call, style), response_body(call, style))
    assert (f2["Request"], f2["Response"]) == (f1["request"], f1["response"])
    assert f1["appSubscriptionKey"] == f2["AppSubscriptionKey"] == call.subscription_key


@quick
@given(call=strategies.calls(), style=strategies.styles())
def test_parts_joined_by_number_are_the_bodies(call, style):
    parts = [json.loads(body) for body in render(call, "v1-parts", style)]

    for name, text in (("request", request_body(call, style)), ("response", response_body(call, style))):
        mine = {part["part"]: base64.b64decode(part["data"]) for part in parts if part["body"] == name}
        assert b"".join(mine[number] for number in range(len(mine))).decode() == text
        assert {part["parts"] for part in parts if part["body"] == name} == {len(mine)}
    assert {part["request_id"] for part in parts} == {call.request_id}


@quick
@given(call=strategies.calls("v1"))
def test_a_usage_event_has_the_counts_and_no_text(call):
    [event] = map(json.loads, render(call, "v1"))

    assert event["usage"] == usage_block(call.usage, call.operation)
    assert (event["subscription_id"], event["app_id"]) == (call.subscription_id, call.app_id)
    assert (event["account"], event["deployment"]) == (call.account, call.deployment)
    assert not {"messages", "choices", "data"} & event.keys()


def test_counts_are_strings_in_indented_json_with_crlf():
    [f4] = render(CALL, "F4")
    [f5] = render(CALL, "F5")

    assert f4 == (
        b'{\r\n  "Timestamp": "11/18/2026 9:18:11 AM",\r\n  "ApiOperation": "chat.completion",\r\n'
        b'  "AppKey": "0a1b",\r\n  "SubcriptionId": "team-a",\r\n  "PromptTokens": "23",\r\n'
        b'  "CompletionTokens": "15",\r\n  "TotalTokens": "38"\r\n}'
    )
    assert f5 == (
        b'{\r\n  "timestamp": "11/18/2026 9:18:11 AM",\r\n  "appSubscriptionKey": "0a1b",\r\n'
        b'  "promptTokens": "23",\r\n  "completionTokens": "15",\r\n  "totalTokens": "38",\r\n'
        b'  "deploymentId": "dep"\r\n}'
    )


@pytest.mark.parametrize(
    ("at", "iso", "general"),
    [
        (AT, "2026-11-18T09:18:11.4183099Z", "11/18/2026 9:18:11 AM"),
        (AT.replace(microsecond=410_000), "2026-11-18T09:18:11.41Z", "11/18/2026 9:18:11 AM"),
        (AT.replace(microsecond=0), "2026-11-18T09:18:11Z", "11/18/2026 9:18:11 AM"),
        (datetime(2026, 1, 2, 0, 5, tzinfo=UTC), "2026-01-02T00:05:00Z", "1/2/2026 12:05:00 AM"),
        (datetime(2026, 1, 2, 12, 5, tzinfo=UTC), "2026-01-02T12:05:00Z", "1/2/2026 12:05:00 PM"),
    ],
    ids=["seven digits", "no zeros at the end", "whole second", "after midnight", "after noon"],
)
def test_both_shapes_of_time(at, iso, general):
    assert (t1(at), t2(at)) == (iso, general)


def test_newtonsoft_escapes_three_signs_that_json_does_not_have_to():
    [body] = render(replace(CALL, messages=(Message(text="a\x85b\u2028c\u2029d é"),)), "F1")

    assert rb"a\u0085b\u2028c\u2029d" in body
    assert "é".encode() in body


def test_the_usage_chunk_follows_the_end_of_the_answer():
    chunks = [json.loads(each) for each in sent(response_body(replace(CALL, stream=True)))[:-1]]

    assert [bool(chunk["choices"]) for chunk in chunks] == [False, *[True] * (len(chunks) - 2), False]
    assert chunks[0]["prompt_filter_results"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 38


def test_the_asynchronous_filter_sends_choices_without_delta():
    chunks = sent(response_body(replace(CALL, stream=True), Style(async_filter=True)))[:-1]
    verdicts = [json.loads(each) for each in chunks if "content_filter_offsets" in each]

    assert verdicts
    assert all(
        "delta" not in chunk["choices"][0] and chunk["id"] == chunk["model"] == "" for chunk in verdicts
    )


def test_choices_of_a_stream_take_turns():
    two = replace(CALL, stream=True, answers=(Answer(text="abcdef"), Answer(text="uvwxyz")))
    chunks = [json.loads(each) for each in sent(response_body(two, Style(pieces=(2,))))[1:-2]]

    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0, 1] * 5


def test_half_an_emoji_can_end_a_delta():
    call = replace(CALL, stream=True, answers=(Answer(text="👋"),))
    text = response_body(call, Style(pieces=(1,), split_surrogates=True))

    assert '{"content":"\\ud83d"}' in text
    assert '{"content":"\\udc4b"}' in text


def test_an_aborted_stream_has_no_end():
    call = replace(CALL, stream=True, usage=None, answers=(Answer(text="Hello", finish_reason=None),))
    text = response_body(call)

    assert "[DONE]" not in text
    assert answers_in([json.loads(each) for each in sent(text)]) == call.answers


@pytest.mark.parametrize("form", FORMATS)
def test_no_format_shows_a_key_and_an_id_it_does_not_have(form):
    known = as_captured(CALL, form)

    assert (known.subscription_id is not None) == (form in ("v1", "v1-parts", "F4", "F7", "F8", "F15"))
    assert (known.subscription_key is not None) == (form in ("F1", "F2", "F4", "F5", "F6"))
    assert (known.deployment is None) == (
        form in ("F1", "F2", "F3", "F4", "F6", "F8", "F9", "F10", "F12", "F13")
    )
    assert (known.model is None) == (form in ("F4", "F5", "F6", "F8", "F14"))


def test_policies_that_read_one_object_say_nothing_of_streams_and_embeddings():
    stream = replace(CALL, stream=True)
    vectors = replace(CALL, operation="embeddings", inputs=("a",), response_id=None)
    refused = replace(CALL, status=429, error="429")

    objects_only = {"F3", "F4", "F5", "F6", "F7", "F9", "F10"}
    needs_completion = {"F3", "F4", "F5", "F6", "F9"}
    assert {form for form in FORMATS if not can_render(stream, form)} == objects_only
    assert {form for form in FORMATS if not can_render(vectors, form)} == needs_completion | {"F13", "F14"}
    assert [form for form in FORMATS if can_render(refused, form)] == ["v1", "v1-parts", "F11"]
    with pytest.raises(ValueError, match="no event for call r-1"):
        render(stream, "F4")


@quick
@given(
    call=strategies.calls(stream=True, usage_visible=False, operation="chat").filter(
        lambda call: call.n == 1
    ),
    form=st.sampled_from(["F1", "F2"]),
    deltas=st.integers(0, 4),
)
def test_a_cut_stream_ends_before_the_first_lost_delta(call, form, deltas):
    body, survivor = cut_stream(call, form, deltas)
    [whole] = render(call, form)
    [kept], [said] = survivor.answers, call.answers

    assert whole.startswith(body)
    assert said.text.startswith(kept.text)
    assert kept.finish_reason is None
    assert kept.text or not deltas


@given(
    st.binary(min_size=2, max_size=60).flatmap(
        lambda body: st.tuples(st.just(body), strategies.splits(body), strategies.cuts(body))
    )
)
def test_splits_lose_nothing_and_cuts_keep_the_beginning(drawn):
    body, pieces, at = drawn

    assert b"".join(pieces) == body
    assert body.startswith(cut(body, at))
    assert 0 < at < len(body)


@settings(max_examples=8, deadline=None)
@given(strategies.traffic(most=2))
def test_traffic_is_about_its_calls_and_nothing_else(traffic):
    numbers = {each.sequence_number: each.body for each in traffic.deliveries}

    assert all(numbers[each.sequence_number] == each.body for each in traffic.deliveries)
    assert sorted(numbers) == list(range(len(numbers)))
    assert len(traffic.calls) == len({call.request_id for call in traffic.calls}) <= len(numbers)
