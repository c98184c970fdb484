"""Prompts of every operation, what is noted of them, and bodies no one should send."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chargeback.tokens
from chargeback.replies.reply import Choice, Reply
from chargeback.tokens import NOTES, completion_tokens, count_text, grade, prompt_tokens

HI = [{"role": "user", "content": "hi"}]


def chat(messages, model="gpt-4o", **more):
    return prompt_tokens("chat", {"messages": messages, **more}, model)


@pytest.mark.parametrize(
    ("messages", "model", "tokens"),
    [
        pytest.param(HI, "gpt-4o", 8, id="one word"),
        pytest.param(HI, "gpt-5", 7, id="one word to a reasoning model"),
        pytest.param(
            [{"role": "user", "content": ["h", {"type": "text", "text": "i"}]}], "gpt-4o", 8, id="parts"
        ),
        pytest.param([{"role": "user", "content": None}], "gpt-4o", 7, id="null"),
        pytest.param([{"role": "user", "content": "hi", "name": "ann"}], "gpt-4o", 10, id="a name"),
        pytest.param(
            [*HI, {"role": "assistant", "content": "hi"}], "gpt-5", 14, id="a reasoning model's turn"
        ),
        pytest.param([*HI, {"role": "tool", "content": "hi"}], "gpt-4o", 13, id="a result"),
        pytest.param([], "gpt-4o", 3, id="nobody speaks"),
    ],
)
def test_messages(messages, model, tokens):
    assert chat(messages, model).tokens == tokens


@pytest.mark.parametrize(
    ("operation", "request_", "tokens"),
    [
        ("completions", {"prompt": "hello world"}, 2),
        ("completions", {"prompt": ["hello world", "hello world"]}, 4),
        ("completions", {"prompt": [1, 2, 3]}, 3),
        ("embeddings", {"input": [[1, 2], [3]]}, 3),
        ("embeddings", {"input": "hello world"}, 2),
        ("responses", {"input": "hello world"}, 9),
        ("responses", {"input": [{"role": "user", "content": "hello world"}]}, 9),
        ("responses", {"input": "hello world", "instructions": "hello"}, 14),
    ],
)
def test_other_operations(operation, request_, tokens):
    assert prompt_tokens(operation, request_, "gpt-4o").tokens == tokens


@pytest.mark.parametrize("operation", ["images", "audio", "realtime", "batch", "unknown", ""])
def test_operations_without_text_are_unknown_not_zero(operation):
    assert prompt_tokens(operation, {"prompt": "a cat"}, "gpt-image-1").tokens is None


@pytest.mark.parametrize("body", [None, {}, [], "text", 3])
def test_without_a_body_the_count_is_unknown_not_zero(body):
    assert prompt_tokens("chat", body, "gpt-4o").tokens is None


@pytest.mark.parametrize(
    ("operation", "request_", "note"),
    [
        ("responses", {"input": "x", "previous_response_id": "resp_1"}, "server_held_context"),
        ("responses", {"input": "x", "conversation": "conv_1"}, "server_held_context"),
        ("responses", {"prompt": {"id": "pmpt_1"}}, "server_held_context"),
        ("responses", {"input": [{"type": "item_reference", "id": "rs_1"}]}, "server_held_context"),
        ("responses", {"input": [{"type": "reasoning", "encrypted_content": "x"}]}, "replayed_reasoning"),
        ("responses", {"input": "x", "tools": [{"type": "web_search"}]}, "hosted_tools"),
        ("responses", {"input": [{"type": "mcp_call"}]}, "hosted_tools"),
        ("responses", {"input": [{"type": "telepathy"}]}, "unknown_part"),
        ("responses", {"input": "x", "reasoning": {"mode": "pro"}}, "service_instructions"),
        ("chat", {"messages": HI, "web_search_options": {}}, "hosted_tools"),
        ("chat", {"messages": HI, "data_sources": [{}]}, "hosted_tools"),
        ("chat", {"messages": HI, "modalities": ["text", "audio"]}, "audio"),
        ("completions", {"prompt": "x", "suffix": "y"}, "suffix"),
        ("completions", {"prompt": [None]}, "unknown_part"),
    ],
)
def test_what_cannot_be_known_is_a_lower_bound(operation, request_, note):
    estimate = prompt_tokens(operation, request_, "gpt-4o")

    assert note in estimate.notes
    assert grade(estimate.notes) == "lower_bound"


@pytest.mark.parametrize(
    ("model", "note"),
    [
        ("our-chat", "encoding_assumed"),
        (None, "encoding_assumed"),
        ("text-davinci-003", "tokenizer_close"),
        ("gpt-35-turbo", "model_version_unknown"),
    ],
)
def test_an_assumption_about_the_model_is_noted(model, note):
    assert note in chat(HI, model).notes


def test_every_note_is_in_the_table_and_every_word_of_the_table_is_used():
    source = "".join(
        path.read_text()
        for path in Path(chargeback.tokens.__file__).parent.parent.rglob("*.py")
        if path.name != "notes.py"
    )

    assert [word for word in NOTES if not re.search(rf'"{word}"', source)] == []


def test_grades_go_from_exact_to_bound():
    assert grade([]) == "unknown"
    assert grade(["counted_text"]) == "exact"
    assert grade(["counted_text", "encoding_assumed"]) == "close"
    assert grade(["encoding_assumed", "remote_image", "counted_text"]) == "lower_bound"


# ---- the Responses API's first weeks ----------------------------------------------------------------

MARCH_2025 = "resp_67e5393791c0819185c91fab3113b3dc"
ADD = {"type": "function", "name": "add", "description": "Add.", "parameters": {}}


def told(request_, model="gpt-4o", *, response_id=MARCH_2025, azure=False):
    """Return how much more a call cost than it does today, by the id of its answer."""
    request_ = {"input": "hi", **request_}
    then = prompt_tokens("responses", request_, model, azure=azure, response_id=response_id)
    today = prompt_tokens("responses", request_, model, azure=azure)
    return then.tokens - today.tokens


def test_gpt_4o_was_told_a_text_of_the_services_own():
    picture = {"type": "input_image", "image_url": "https://pictures.example/1.png"}

    assert told({}) == 18
    assert told({"tools": [ADD]}) == 216
    assert told({"tools": [ADD], "parallel_tool_calls": True}) == 216
    assert told({"tools": [ADD], "parallel_tool_calls": False}) == 21
    assert told({"input": [{"role": "user", "content": [picture]}]}) == 230


def test_nobody_else_was_told_it():
    assert told({"tools": [ADD]}, "gpt-4o-mini") == 0
    assert told({"tools": [ADD]}, azure=True) == 0
    assert told({"tools": [ADD]}, response_id="resp_67f3fdfd6a04819195ff9a0b4ed5f79d") == 0
    assert told({"tools": [ADD]}, response_id="chatcmpl-BKUI2djaaaaaaaaaaaaaaaaaaaaaa") == 0


def test_the_assumed_text_is_noted():
    def notes(model):
        return prompt_tokens("responses", {"input": "hi"}, model, azure=False, response_id=MARCH_2025).notes

    assert "preamble_assumed" in notes("gpt-4o")
    assert "service_instructions" in notes("o3-mini")


# ---- hostile bodies ---------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "messages",
        "role",
        "content",
        "text",
        "type",
        "image_url",
        "url",
        "data:",
        "tools",
        "function",
        "functions",
        "name",
        "parameters",
        "properties",
        "title",
        "description",
        "default",
        "enum",
        "anyOf",
        "oneOf",
        "$ref",
        "#/$defs/a",
        "$defs",
        "items",
        "required",
        "array",
        "object",
        "string",
        "null",
        "tool_calls",
        "function_call",
        "arguments",
        "tool",
        "assistant",
        "system",
        "user",
        "input",
        "output",
        "instructions",
        "message",
        "reasoning",
        "response_format",
        "json_schema",
        "schema",
        "tool_choice",
        "prompt",
        "suffix",
        "echo",
        "best_of",
        "n",
        "strict",
        "input_text",
        "format",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=25,
)
OPERATIONS = st.sampled_from(["chat", "completions", "responses", "embeddings", "realtime"])
MODELS = st.sampled_from([None, "", "gpt-4o", "gpt-4", "gpt-5-mini", "gpt-5.5", "o3-mini", "x" * 99])


@given(OPERATIONS, st.dictionaries(WORDS, JSON, max_size=8), MODELS)
def test_no_json_raises(operation, request_, model):
    estimate = prompt_tokens(operation, request_, model)

    assert estimate.tokens is None or estimate.tokens >= 0
    assert list(estimate.notes) == sorted(set(estimate.notes))
    assert set(estimate.notes) <= set(NOTES)


MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "tool", "system"]) | JSON,
        "content": JSON,
        "tool_calls": st.lists(st.fixed_dictionaries({"function": JSON}), max_size=3) | JSON,
        "type": WORDS | JSON,
        "output": JSON,
    },
)
FUNCTION = st.fixed_dictionaries({"name": JSON, "description": JSON, "parameters": JSON})


@given(
    st.sampled_from(["chat", "responses"]),
    st.lists(MESSAGE | JSON, max_size=4),
    st.lists(
        st.fixed_dictionaries({"type": st.just("function"), "function": FUNCTION}) | FUNCTION | JSON,
        max_size=3,
    ),
    JSON,
    MODELS,
)
def test_no_conversation_raises(operation, messages, tools, other, model):
    request = {
        "messages": messages,
        "input": messages,
        "tools": tools,
        "tool_choice": other,
        "response_format": {"type": "json_schema", "json_schema": other},
        "text": {"format": other},
    }

    assert prompt_tokens(operation, request, model).tokens is not None


@given(OPERATIONS, st.dictionaries(WORDS, JSON, max_size=6), st.lists(JSON, max_size=3), MODELS)
def test_no_answer_raises(operation, request_, output, model):
    reply = Reply(
        operation=operation,
        choices=(Choice(content="x", finish_reason="stop"),),
        output=tuple(item for item in output if isinstance(item, dict)),
        status="completed",
    )

    completion_tokens(reply, request_, model)


def nested(depth, leaf, wrap):
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


@pytest.mark.parametrize(
    "deep",
    [
        nested(900, {"type": "string"}, lambda inner: {"type": "object", "properties": {"a": inner}}),
        nested(900, {"type": "string"}, lambda inner: {"type": "array", "items": inner}),
        nested(900, {"type": "string"}, lambda inner: {"anyOf": [inner, {"type": "null"}]}),
        nested(50_000, {}, lambda inner: {"enum": [inner], "default": inner}),
    ],
    ids=["objects", "arrays", "unions", "values"],
)
def test_deep_nesting_neither_raises_nor_takes_long(deep):
    parameters = {"properties": {"root": deep}}
    request = {
        "messages": HI,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": parameters}},
    }
    started = time.perf_counter()

    assert prompt_tokens("chat", request, "gpt-4o").tokens
    assert time.perf_counter() - started < 5


def test_a_text_counts_the_same_in_the_cache_and_out_of_it():
    text = "The same text, again. " * 40

    assert (
        chat([{"role": "user", "content": text}]).tokens == chat([{"role": "user", "content": text}]).tokens
    )
    assert chat([{"role": "user", "content": text}]).tokens == 7 + count_text(text, "o200k_base")
