"""Answers beside chats: the Responses API, pictures, sound, live sessions, and what no model made."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.replies import read_reply
from chargeback.replies.responses import visible_text
from chargeback.usage import from_block, settle

USAGE = {"input_tokens": 1300, "output_tokens": 210, "total_tokens": 1510}


def stream(*events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def delta(text, *, kind="output_text", at=0, part=0):
    return {"type": f"response.{kind}.delta", "output_index": at, "content_index": part, "delta": text}


CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-5-mini"},
}


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_the_last_event_of_a_responses_stream_brings_the_usage(status):
    done = {**CREATED["response"], "status": status, "usage": USAGE}
    reply = read_reply(stream(CREATED, delta("Four."), {"type": f"response.{status}", "response": done}))

    assert (reply.operation, reply.response_id, reply.model) == ("responses", "resp_1", "gpt-5-mini")
    assert (reply.usage, reply.status, reply.complete, reply.final) == (USAGE, status, True, True)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8))
def test_an_aborted_responses_stream_keeps_what_was_generated(pieces):
    reply = read_reply(stream(CREATED, *(delta(piece) for piece in pieces)))

    assert visible_text(reply.output) == "".join(pieces)
    assert (reply.complete, reply.usage) == (False, None)


def test_items_grow_by_their_index_and_a_finished_one_stands():
    call = {"type": "function_call", "name": "find", "arguments": ""}
    finished = {"type": "message", "content": [{"type": "output_text", "text": "Whole."}]}
    reply = read_reply(
        stream(
            CREATED,
            {"type": "response.output_item.added", "output_index": 1, "item": call},
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a"'},
            delta("Who"),
            {"type": "response.output_item.done", "output_index": 0, "item": finished},
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ":1}"},
        )
    )

    assert [item["type"] for item in reply.output] == ["message", "function_call"]
    assert visible_text(reply.output) == "Whole."
    assert reply.output[1]["arguments"] == '{"a":1}'


@pytest.mark.parametrize(
    ("status", "final"), [("queued", False), ("in_progress", False), ("completed", True)]
)
def test_an_answer_that_is_still_being_made_says_so(status, final):
    reply = read_reply({"id": "resp_1", "object": "response", "status": status, "background": True})

    assert (reply.final, reply.background) == (final, True)


def test_a_refusal_and_text_may_share_an_item():
    reply = read_reply(stream(CREATED, delta("No", kind="refusal"), delta("but", part=1)))

    assert [part["type"] for part in reply.output[0]["content"]] == ["refusal", "output_text"]


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"object": "model", "id": "gpt-4o"}]},
        {"object": "list", "data": []},
        {"object": "file", "id": "file-1"},
        {"object": "batch", "id": "batch_1"},
        {"object": "response.deleted", "id": "resp_1", "deleted": True},
    ],
)
def test_what_no_model_made(body):
    assert not read_reply(body).model_ran


def test_a_list_of_embeddings_was_made_by_a_model():
    reply = read_reply({"object": "list", "data": [{"object": "embedding", "embedding": [0.5]}]})

    assert (reply.operation, reply.model_ran) == ("embeddings", True)


def test_pictures_are_counted_where_no_tokens_are():
    pictures = {"created": 1, "data": [{"url": "u"}, {"b64_json": "x"}]}

    assert read_reply(pictures).quantities == {"image_each": Decimal(2)}
    assert read_reply({**pictures, "usage": USAGE}, "images").quantities == {}
    assert read_reply(json.dumps(pictures), "images", cut=True).quantities == {}


def test_a_transcription_tells_its_length():
    reply = read_reply({"task": "transcribe", "duration": 8.47, "text": "Hi"})

    assert (reply.operation, reply.quantities) == ("audio", {"audio_second": Decimal("8.47")})


@pytest.mark.parametrize("length", [-1, "x", True, None, float("1e300")])
def test_a_length_that_is_none_is_unknown(length):
    assert read_reply({"task": "transcribe", "duration": length, "text": "Hi"}).quantities == {}


def test_a_sessions_responses_are_added_up_each_once():
    usage = {
        "total_tokens": 10,
        "input_tokens": 6,
        "output_tokens": 4,
        "input_token_details": {"audio_tokens": 5},
    }
    done = [
        {"type": "response.done", "response": {"object": "realtime.response", "id": name, "usage": usage}}
        for name in ("resp_1", "resp_2", "resp_2")
    ]
    for body in (done, json.dumps(done), "\n".join(map(json.dumps, done))):
        found = from_block(read_reply(body).usage, "realtime")

        assert (found.prompt_tokens, found.completion_tokens, found.audio_prompt_tokens) == (12, 8, 10)


def test_each_meter_of_a_live_answer_counts_what_no_other_counts():
    block = {
        "input_tokens": 100,
        "output_tokens": 50,
        "input_token_details": {
            "text_tokens": 20,
            "audio_tokens": 50,
            "image_tokens": 30,
            "cached_tokens": 40,
            "cached_tokens_details": {"text_tokens": 10, "audio_tokens": 20, "image_tokens": 10},
        },
    }

    assert from_block(block, "realtime").by_meter == {
        "input_cached_audio": 20,
        "input_cached_image": 10,
        "input_image": 20,
    }
    assert from_block(block, "chat").by_meter == {}


def test_without_details_all_that_an_image_model_makes_is_pictures():
    found = settle(from_block(USAGE, "images"), "images")

    assert found.by_meter == {"output_image": Decimal(210)}


def test_seconds_are_a_usage_of_their_own():
    block = {"type": "duration", "seconds": 9}

    assert from_block(block, "audio").by_meter == {"audio_second": Decimal(9)}
    assert from_block(block, "chat") is None


def test_a_usage_that_stands_open_in_an_object_is_not_used():
    text = '{"type": "response.completed", "response": {"object": "response", "usage": {"input_tokens": 13'

    assert read_reply(text, cut=True).usage is None
