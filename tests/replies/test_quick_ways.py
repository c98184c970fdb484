"""The quick ways through an answer tell what the whole way tells: every one held against it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback import replies
from chargeback.replies import read_reply
from chargeback.replies.deltas import learn
from chargeback.replies.reported import reported
from chargeback.sse import PREFIX, events
from chargeback.usage import from_block
from tests.support.azure_bodies import Style, response_body
from tests.support.strategies import calls, styles

WHO = ("operation", "response_id", "model", "service_tier", "background", "final", "model_ran")
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
PIECES = st.text(alphabet=st.sampled_from('ab 0{}[],:"\\\n\x00\x1f\x7f\u2028\u00a0é漢😀\ud83d'), max_size=4)
DELTAS = st.lists(
    st.builds(lambda text: {"content": text}, PIECES)
    | st.sampled_from(
        [
            {"role": "assistant", "content": ""},
            {"content": None},
            {"refusal": "no"},
            {"content": "a", "refusal": "b"},
            {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]},
            {},
        ]
    ),
    max_size=12,
)


def facts_of(reply):
    return {name: getattr(reply, name) for name in (*WHO, "streamed")}


def as_told(body):
    """What the whole way tells of a body: its facts, and the usage read from its block."""
    reply = read_reply(body)
    return facts_of(reply), from_block(reply.usage, reply.operation)


def chunk(delta, **more):
    choice = {"index": more.pop("index", 0), "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-11-20"}
    return {"choices": [choice], **head, **more}


def framed(chunks, *, done=True, ascii_only=True):
    lines = [json.dumps(each, ensure_ascii=ascii_only, separators=(",", ":")) for each in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])])


def learnt(said):
    return learn(framed([said], done=False).strip(), PREFIX, said)


def response_stream(**body):
    answer = {"object": "response", "id": "resp_1", "model": "chat", **body}
    started = {"type": "response.created", "response": {**answer, "usage": None, "status": "in_progress"}}
    ended = {"type": "response.completed", "response": {**answer, "usage": USAGE, "status": "completed"}}
    both = [(each["type"], json.dumps(each)) for each in (started, ended)]
    return "".join(f"event: {name}\ndata: {data}\n\n" for name, data in both)


@given(calls(usage_visible=True), styles())
def test_a_reported_usage_is_read_alike_on_both_ways(call, style):
    body = response_body(call, style)
    quick = reported(body)

    if quick is not None:
        assert (facts_of(quick.reply), quick.usage) == as_told(body)


COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "new_tokens")
DETAILS = tuple(
    f"{side}_details"
    for side in ("prompt_tokens", "input_tokens", "input_token", "output_tokens", "output_token")
)
INSIDE = ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "new_tokens")
ODD = st.sampled_from([None, -1, 10**15, 2**70, 7.0, 7.5, 1e300, True, "7", "", [], {}])


def blocks(count):
    details = st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(INSIDE, count))
    return st.fixed_dictionaries({}, optional=dict.fromkeys(COUNTS, count) | dict.fromkeys(DETAILS, details))


BLOCKS = blocks(st.integers(0, 10**6)) | blocks(st.integers(0, 10**6) | ODD)


@given(BLOCKS)
def test_a_block_of_any_kind_is_read_alike_or_left_to_the_whole_way(block):
    body = json.dumps({"object": "chat.completion", "id": "c", "model": "m", "usage": block})
    quick = reported(body)

    if quick is not None:
        assert (facts_of(quick.reply), quick.usage) == as_told(body)


@given(calls(operation="chat", usage_visible=True, stream=True))
def test_a_plain_stream_with_usage_takes_the_quick_way(call):
    assert reported(response_body(call, Style())) is not None


@pytest.mark.parametrize(
    "body",
    [
        framed([chunk({"content": "a"}), chunk({}, usage=USAGE)]),
        framed([chunk({"content": "a"}), chunk({}, usage=USAGE, service_tier="priority")]),
        framed([chunk({"content": "a"}, service_tier="flex"), chunk({}, usage=USAGE, service_tier="flex")]),
        framed([chunk({"content": "a"}), chunk({}, usage=USAGE), chunk({}, id="", model="", object="")]),
        framed([chunk({}, id="", model="", object=""), chunk({}, usage=USAGE)], done=False),
        response_stream(background=True),
        response_stream(),
        json.dumps({"object": "response", "id": "r", "status": "in_progress", "usage": USAGE}),
        json.dumps({"object": "chat.completion", "id": "c", "model": "m", "usage": USAGE, "choices": []}),
    ],
)
def test_these_take_the_quick_way(body):
    quick = reported(body)

    assert quick is not None
    assert (facts_of(quick.reply), quick.usage) == as_told(body)


@pytest.mark.parametrize(
    "body",
    [
        framed([chunk({"content": "a"})]),
        framed([chunk({"content": "a"}, service_tier="flex"), chunk({}, usage=USAGE)]),
        framed([chunk({"content": "a"}), chunk({}, usage=USAGE)]).replace("\n", "\r\n"),
        framed([chunk({}, usage=USAGE, model="")]),
        framed([chunk({}, usage=USAGE), *[chunk({"content": "a"})] * 9]),
        framed([chunk({}, usage=USAGE, object="thread.run")]),
        framed([chunk({}, usage=USAGE)])[:-20],
        json.dumps({"object": "chat.completion", "usage": USAGE, "error": {"code": "429"}}),
        json.dumps({"object": "chat.completion", "usage": None}),
        json.dumps({"object": "chat.completion", "usage": {}}),
        json.dumps({"object": "chat.completion", "usage": {**USAGE, "prompt_tokens": "12"}}),
        json.dumps({"object": "model", "usage": USAGE}),
        json.dumps({"object": "chat.completion", "usage": USAGE})[:-1],
        "<html>busy</html>",
        "",
    ],
)
def test_what_is_not_plain_is_left_to_the_whole_way(body):
    assert reported(body) is None


@given(calls(stream=True), styles())
def test_lines_with_blank_ones_between_are_read_like_any_stream(call, style):
    text = response_body(call, style)

    quick = replies._read_lines(text, None, cut=False)
    if quick is not None:
        assert quick == replies._read_stream(events(text), None, cut=False)


@given(DELTAS, st.booleans(), st.booleans(), st.integers(0, 40))
def test_chunks_told_by_their_pattern_say_what_decoding_them_says(deltas, done, ascii_only, cut):
    chunks = [
        chunk(delta, index=place % 2 if len(deltas) % 3 == 0 else 0) for place, delta in enumerate(deltas)
    ]
    text = framed([chunk({"content": "begin"}), *chunks], done=done, ascii_only=ascii_only)
    text = text[: len(text) - cut]

    quick = replies._read_lines(text, None, cut=False)
    if quick is not None:
        assert quick == replies._read_stream(events(text), None, cut=False)


@given(
    st.lists(st.sampled_from([{}, {"model": "other"}, {"service_tier": "flex"}, {"error": "x"}, {"id": "2"}]))
)
def test_a_chunk_that_says_something_else_ends_the_pattern(mores):
    chunks = [chunk({"content": "ab"}, **more) for more in mores]
    text = framed(chunks)

    assert replies._read_lines(text, None, cut=False) == replies._read_stream(events(text), None, cut=False)


@pytest.mark.parametrize("said", [[], {}, 7, None, "LIST", "Chat.Completion.Chunk"])
def test_an_object_member_of_any_kind_is_read_alike(said):
    text = framed([chunk({"content": "a"}, object=said), chunk({"content": "b"}, object=said)])

    assert replies._read_lines(text, None, cut=False) == replies._read_stream(events(text), None, cut=False)


def test_a_pattern_is_proved_before_it_is_used():
    """The text stands twice; only the place whose change changes the delta is one."""
    pattern = learnt(chunk({"content": "gpt"}, model="gpt"))

    assert pattern is None or json.loads(f"{pattern.before}x{pattern.behind}"[6:])["choices"][0]["delta"] == {
        "content": "x"
    }


@pytest.mark.parametrize("more", [{"finish_reason": "stop"}, {"usage": USAGE}, {"type": "x"}, {"error": "x"}])
def test_a_chunk_that_adds_more_than_text_is_no_pattern(more):
    assert learnt(chunk({"content": "ab"}, **more)) is None
    assert learnt(chunk({"content": "ab"})) is not None


def test_a_broken_chunk_in_the_middle_does_not_hide_the_usage_at_the_end():
    """The provider's own count is worth more than an estimate of the text before the damage."""
    good = framed([chunk({"content": "a"}), chunk({}, usage=USAGE)])
    head, tail = good.split("\n\n", 1)
    found = reported(f"{head}\n\ndata: {{broken\n\n{tail}")

    assert found is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (12, 5)
