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


@pytest.mark.parametrize(
    ("response_id", "second"),
    [
        ("chatcmpl-BKUI2djaaaaaaaaaaaaaaaaaaaaaa", 1_744_222_694),
        ("chatcmpl-BO8vj69aaaaaaaaaaaaaaaaaaaaaa", 1_745_093_899),
        ("chatcmpl-", None),
        ("chatcmpl-é0000", None),
        ("resp_0001", None),
        ("", None),
        (None, None),
    ],
)
def test_the_id_tells_the_second(response_id, second):
    assert made_at(response_id) == second
