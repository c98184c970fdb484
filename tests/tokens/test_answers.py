"""The completion side: text, calls, frames, and what is known to be missing."""

import pytest

from chargeback.replies.reply import Choice, Reply, ToolCall
from chargeback.tokens import completion_tokens, count_text
from chargeback.tokens.eras import made_at

TOOLS = {"tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}]}
ADD = ToolCall(name="add", arguments='{"a":1}')
TEXT = "Paris is the capital."


def size(text):
    return count_text(text, "o200k_base")


CALL = size("add") + size('{"a":1}')
PAIR = (
    '{"tool_uses":[{"recipient_name":"functions.add","parameters":{"a":1}},'
    '{"recipient_name":"functions.add","parameters":{"a":1}}]}'
)


def chat(*choices, **more):
    return Reply(operation="chat", choices=choices, **more)


def said(content=TEXT, finish="stop", **more):
    return Choice(content=content, finish_reason=finish, **more)


@pytest.mark.parametrize(
    ("reply", "request_", "model", "openai", "azure"),
    [
        pytest.param(chat(said()), {}, "gpt-4o", size(TEXT), size(TEXT) + 1, id="text"),
        pytest.param(chat(said()), TOOLS, "gpt-4o", size(TEXT) + 1, size(TEXT) + 2, id="text beside tools"),
        pytest.param(
            chat(said(finish="length")), {}, "gpt-4o", size(TEXT), size(TEXT), id="cut by max_tokens"
        ),
        pytest.param(
            chat(said("", refusal=TEXT)), {}, "gpt-4o", size(TEXT) + 1, size(TEXT) + 2, id="refusal"
        ),
        pytest.param(
            chat(said("", "tool_calls", tool_calls=(ADD,))),
            TOOLS,
            "gpt-4o",
            CALL + 7,
            CALL + 8,
            id="one call",
        ),
        pytest.param(
            chat(said("", "function_call", function_call=ADD)),
            TOOLS,
            "gpt-4o",
            CALL + 7,
            CALL + 8,
            id="legacy call",
        ),
        pytest.param(
            chat(said("", "stop", tool_calls=(ADD,))),
            {**TOOLS, "tool_choice": {"type": "function", "function": {"name": "add"}}},
            "gpt-4o",
            CALL - 1,
            CALL,
            id="a demanded call is not billed for its name",
        ),
        pytest.param(
            chat(said("", "tool_calls", tool_calls=(ADD, ADD))),
            TOOLS,
            "gpt-4o",
            size(PAIR) + 10,
            size(PAIR) + 11,
            id="two calls",
        ),
        pytest.param(
            chat(said(), said()), {"n": 2}, "gpt-4o", 2 * size(TEXT), 2 * size(TEXT) + 2, id="n answers"
        ),
        pytest.param(chat(said()), {}, "gpt-5-mini", size(TEXT) + 9, size(TEXT) + 10, id="reasoning"),
    ],
)
def test_chat_answers(reply, request_, model, openai, azure):
    def counted(*, on_azure):
        return completion_tokens(reply, request_, model, azure=on_azure).tokens

    assert (counted(on_azure=False), counted(on_azure=True)) == (openai, azure)


@pytest.mark.parametrize(
    ("name", "arguments", "billed"),
    [
        ("calculator", '{"expression":"100 / 4"}', 17),
        ("dangerous_operation", '{"action":"delete_all"}', 17),
        ("joker", '{"theme":"socks"}', 15),
        ("get_weather", '{"location":"New York, NY"}', 17),
    ],
)
def test_a_call_costs_whom_it_is_addressed_to(name, arguments, billed):
    """Usage of recorded calls to OpenAI (crewAI, pydantic-ai, logfire: MIT)."""
    call = ToolCall(name=name, arguments=arguments)
    reply = chat(said("", "tool_calls", tool_calls=(call,)))

    assert completion_tokens(reply, TOOLS, "gpt-4o", azure=False).tokens == billed


def test_a_lone_call_with_blanks_between_its_arguments_was_written_as_a_list_of_one():
    """Recorded with 36 tokens in May 2025 (pydantic-ai, MIT), when an answer's end cost one more."""
    call = ToolCall(name="final_result", arguments='{"city": "Mexico City", "country": "Mexico"}')
    reply = chat(said("", "tool_calls", tool_calls=(call,)))

    assert completion_tokens(reply, TOOLS, "gpt-4o", azure=False).tokens == 36 - 1


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-0613", "gpt-4-32k"])
def test_the_first_gpt_4_framed_its_calls_more_tightly(model):
    reply = chat(said("", "tool_calls", tool_calls=(ADD,)))

    def counted(name):
        return completion_tokens(reply, TOOLS, name, azure=False).tokens

    assert counted(model) == counted("gpt-4-0125-preview") - 3 == counted("gpt-4-turbo") - 3


def cut_at(limit, text, **fields):
    reply = chat(said(text, "length"))
    return completion_tokens(reply, {"max_tokens": limit, **fields}, "gpt-4o").tokens


def test_an_answer_that_met_its_limit_is_billed_the_limit():
    words = "one two three four five six seven eight nine ten"

    assert cut_at(size(words) + 1, words) == size(words) + 1
    assert cut_at(99, words, max_completion_tokens=size(words) + 1) == size(words) + 1
    assert cut_at(4 * size(words), words) == size(words)
    assert cut_at("many", words) == size(words)


def test_a_limit_holds_for_each_answer():
    reply = chat(said("one two three four five six seven eight nine", "length"), said(TEXT))

    assert completion_tokens(reply, {"max_tokens": 10, "n": 2}, "gpt-4o", azure=False).tokens == 10 + size(
        TEXT
    )


def test_a_legacy_completion_has_a_limit_unasked():
    """The recorded text has 15 tokens spelled anew; 16 were billed (openllmetry, Apache-2.0)."""
    text = "\n\nOPENELEMENTARY. The first day of school, she asked her teacher"
    reply = Reply(operation="completions", choices=(Choice(content=text, finish_reason="length"),))

    assert completion_tokens(reply, {"prompt": "x"}, "davinci-002").tokens == 16
    assert completion_tokens(reply, {"prompt": "x", "max_tokens": 99}, "davinci-002").tokens == 15


def test_what_a_reasoning_model_thought_takes_part_of_its_limit():
    reply = chat(said("one two three four five six seven eight nine", "length"))

    estimate = completion_tokens(reply, {"max_completion_tokens": 10}, "gpt-5-mini")

    assert (estimate.tokens, "reasoning_not_visible" in estimate.notes) == (9, True)


def test_reasoning_is_always_a_lower_bound():
    for reply in (
        chat(said()),
        Reply(operation="responses", status="completed", output=({"type": "message"},)),
    ):
        for model in ("gpt-5", "o3-mini", "o1-mini", "codex-mini"):
            assert "reasoning_not_visible" in completion_tokens(reply, {}, model).notes


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (chat(said(finish=None)), "aborted"),
        (chat(said(), complete=False), "aborted"),
        (chat(said("", "content_filter")), "content_filtered"),
        (Reply(operation="responses", status="in_progress", output=({"type": "message"},)), "aborted"),
        (
            Reply(operation="responses", status="completed", output=({"type": "web_search_call"},)),
            "hosted_tools",
        ),
        (Reply(operation="completions", choices=(said(),)), "best_of_hidden"),
    ],
)
def test_what_was_billed_but_not_seen_is_noted(reply, note):
    assert note in completion_tokens(reply, {"best_of": 3, "n": 1}, "gpt-4o").notes


def test_an_echoed_prompt_is_not_generated():
    reply = Reply(operation="completions", choices=(said("Once upon a time"),))

    echoed = completion_tokens(reply, {"prompt": ["Once upon", "Twice"], "echo": True}, "davinci-002").tokens

    assert echoed == count_text(" a time", "cl100k_base")


def message(text):
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


CALL_ITEM = {"type": "function_call", "name": "add", "arguments": '{"a":1}'}
FUNCTION = {"type": "function", "name": "add"}


@pytest.mark.parametrize(
    ("output", "request_", "model", "tokens"),
    [
        pytest.param((message(TEXT),), {}, "gpt-4o", size(TEXT) + 1, id="text"),
        pytest.param(
            (message(TEXT),), {"tools": [FUNCTION]}, "gpt-4o", size(TEXT) + 2, id="text beside tools"
        ),
        pytest.param((CALL_ITEM,), {"tools": [FUNCTION]}, "gpt-4o", CALL + 8, id="one call"),
        pytest.param(
            (CALL_ITEM,),
            {"tools": [FUNCTION], "tool_choice": "required"},
            "gpt-4o",
            CALL,
            id="the only call possible",
        ),
        pytest.param(
            (CALL_ITEM, CALL_ITEM), {"tools": [FUNCTION]}, "gpt-4o", size(PAIR) + 11, id="two calls"
        ),
        pytest.param((message(TEXT),), {}, "gpt-5.5", size(TEXT) + 4, id="reasoning"),
        pytest.param(
            ({"type": "reasoning"}, message(TEXT)), {}, "gpt-5.5", size(TEXT) + 6, id="after thought"
        ),
        pytest.param((CALL_ITEM,), {}, "gpt-5.5", CALL + 11, id="a reasoning model's call"),
        pytest.param(
            ({"type": "reasoning"}, message(TEXT)), {}, "o3-mini", size(TEXT) + 1, id="no channel to name"
        ),
    ],
)
def test_responses_answers(output, request_, model, tokens):
    reply = Reply(operation="responses", status="completed", output=output)

    assert completion_tokens(reply, request_, model, azure=False).tokens == tokens


def test_embeddings_generate_nothing():
    assert completion_tokens(Reply(operation="embeddings"), {}, "text-embedding-3-small").tokens == 0


def test_without_an_answer_the_count_is_unknown_not_zero():
    assert completion_tokens(Reply(operation="chat"), {}, "gpt-4o").tokens is None
    assert completion_tokens(Reply(operation="unknown", choices=(said(),)), {}, "gpt-4o").tokens is None


def test_an_old_answer_by_openai_was_billed_its_closing_token():
    april_2025 = chat(said(), response_id="chatcmpl-BO8vj69aaaaaaaaaaaaaaaaaaaaaa")

    assert completion_tokens(april_2025, {}, "gpt-4o", azure=False).tokens == size(TEXT) + 1
    assert completion_tokens(april_2025, {}, "gpt-4o", azure=True).tokens == size(TEXT) + 1
    assert completion_tokens(april_2025, {"stop": ["\n"]}, "gpt-4o", azure=False).tokens == size(TEXT)


@pytest.mark.parametrize(
    ("response_id", "second"),
    [
        ("chatcmpl-BKUI2djaaaaaaaaaaaaaaaaaaaaaa", 1_744_222_694),
        ("chatcmpl-BO8vj69aaaaaaaaaaaaaaaaaaaaaa", 1_745_093_899),
        ("resp_67e5393791c0819185c91fab3113b3dc", 1_743_075_639),
        ("resp_0a8171a2", None),
        ("resp_67e5", None),
        ("chatcmpl-", None),
        ("chatcmpl-é0000", None),
        ("resp_0001", None),
        ("", None),
        (None, None),
    ],
)
def test_the_id_tells_the_second(response_id, second):
    assert made_at(response_id) == second
