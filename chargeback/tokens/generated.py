"""The tokens an answer was billed for, as far as they can be seen: text, calls and their frames.

What a reasoning model thought is billed and never shown, so for those models the figure is a
lower bound. The frames below are what remained of recorded bills after the visible text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chargeback.replies.reply import Choice, Reply
from chargeback.tokens.calls import Call, parallel_text, written_in_parallel
from chargeback.tokens.content import text_of
from chargeback.tokens.eras import bills_closing_token
from chargeback.tokens.reader import as_list, as_object, as_text, objects, whole_number
from chargeback.tokens.responses import forced_function
from chargeback.tokens.tally import Tally
from chargeback.tokens.tools import chosen_function, functions_of

UNFINISHED = (None, "length")
"""Finish reasons of a choice that was cut before its closing frame."""
COMPLETIONS_LIMIT = 16
"""``max_tokens`` of legacy completions when the request names none (API reference)."""


def count_chat_answer(tally: Tally, reply: Reply) -> None:
    tally.note("counted_text")
    # What a stop sequence ended has no closing token of its own.
    closed = not tally.azure and not tally.model.thinks and not tally.request.get("stop")
    spell = int(closed and bills_closing_token(reply.response_id))
    for choice in reply.choices:
        calls = _calls(choice)
        before = tally.tokens
        tally.text(choice.content, choice.refusal)
        if choice.finish_reason in UNFINISHED:
            for call in calls:
                tally.text(call.name, call.arguments)
            _count_limit(tally, choice, before)
        elif tally.model.reasoning:
            _frame_reasoning(tally, choice, calls)
        else:
            _frame(tally, choice, calls)
            tally.add(spell)
        _note_end(tally, choice.finish_reason)
    _note_reply(tally, reply)


def count_completions_answer(tally: Tally, reply: Reply) -> None:
    """Legacy completions bill the text and nothing else; an echoed prompt is not generated."""
    tally.note("counted_text")
    prompts = _echoed(tally.request)
    for choice in reply.choices:
        text = choice.content
        for prompt in prompts:
            if prompt and text.startswith(prompt):
                text = text.removeprefix(prompt)
                break
        before = tally.tokens
        tally.text(text)
        _count_limit(tally, choice, before, default=COMPLETIONS_LIMIT)
        _note_end(tally, choice.finish_reason)
    best_of, answers = tally.request.get("best_of"), tally.request.get("n") or 1
    if isinstance(best_of, int) and isinstance(answers, int) and best_of > answers:
        tally.note("best_of_hidden")
    _note_reply(tally, reply)


def count_responses_answer(tally: Tally, reply: Reply) -> None:
    tally.note("counted_text")
    calls = [_output_call(item) for item in reply.output if as_text(item.get("type")) in _CALL_ITEMS]
    for item in reply.output:
        _OUTPUT_ITEMS.get(as_text(item.get("type")), _other_item)(tally, item)
    if calls:
        _count_output_calls(tally, calls)
    if reply.status == "completed":
        tally.add(_closing(tally, reply.output, calls))
    else:
        tally.note("aborted")
    _note_reply(tally, reply)


def count_no_answer(_tally: Tally, _reply: Reply) -> None:
    """Embeddings generate nothing: the provider bills 0 here, and says so."""


def _count_limit(tally: Tally, choice: Choice, before: int, *, default: int | None = None) -> None:
    """Bill an answer that the request's limit ended at the limit, however its text is spelled anew.

    The text may also have met the end of the model's window, far from the limit. What a reasoning
    model thought takes part of its limit, unseen.
    """
    fields = ("max_completion_tokens", "max_tokens")
    given = (whole_number(tally.request.get(field)) for field in fields)
    limit = next((limit for limit in given if limit), default)
    counted = tally.tokens - before
    near = limit is not None and abs(limit - counted) * 10 <= limit
    if limit is not None and near and choice.finish_reason == "length" and not tally.model.thinks:
        tally.add(limit - counted)


def _addressed(call: Call) -> str:
    """Return whom a call is written to; the dot may take a token that the bare name does not need."""
    return f"functions.{call.name}"


def _calls(choice: Choice) -> list[Call]:
    legacy = [choice.function_call] if choice.function_call else []
    return [Call(call.name, call.arguments) for call in [*choice.tool_calls, *legacy]]


def _frame(tally: Tally, choice: Choice, calls: Sequence[Call]) -> None:
    azure = int(tally.azure)
    alone = len(calls) == 1
    if alone and chosen_function(tally.request) and choice.finish_reason == "stop":
        # The answer was begun for the model, name included.
        tally.text(calls[0].arguments)
        tally.add(azure)
    elif calls and (not alone or written_in_parallel(calls[0])):
        if alone:
            tally.note("tool_calls_close")
        tally.text(parallel_text(calls))
        tally.add(10 + azure)
    elif calls:
        tally.text(_addressed(calls[0]), calls[0].arguments)
        tally.add((3 if tally.model.old_calls else 6) + azure)
    else:
        tally.add(azure if tally.model.own_end else 0)
        tally.add(tally.model.answer_frame if tally.model.thinks else 0)
        tally.add(1 if choice.refusal else 0)
        if functions_of(tally.request):
            tally.add(1 + _heading(tally))
    _note_calls(tally, calls)


def _frame_reasoning(tally: Tally, _choice: Choice, calls: Sequence[Call]) -> None:
    azure = int(tally.azure)
    for call in calls:
        tally.text(_addressed(call), call.arguments)
    if calls:
        first = 9 if tally.model.version >= (5, 4) else 15
        tally.add(first + azure + 13 * (len(calls) - 1))
    else:
        short = tally.model.late and not azure
        tally.add((3 if short else tally.model.answer_frame + azure) + _heading(tally))
    _note_calls(tally, calls)


def _heading(tally: Tally) -> int:
    """The response format's name heads the answer; where no function may be called, it is given."""
    name = as_text(_format(tally.request).get("name"))
    return tally.size(name) + 2 if name else 0


def _format(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return name and schema asked for, in either API's spelling."""
    chat = as_object(as_object(request.get("response_format")).get("json_schema"))
    modern = as_object(as_object(request.get("text")).get("format"))
    return chat or (modern if modern.get("type") == "json_schema" else {})


def _note_calls(tally: Tally, calls: Sequence[Call]) -> None:
    if calls:
        tally.note("counted_tool_calls")
    if len(calls) > 1 and tally.model.reasoning:
        tally.note("tool_calls_close")


def _note_end(tally: Tally, finish_reason: str | None) -> None:
    if finish_reason is None:
        tally.note("aborted")
    if finish_reason == "content_filter":
        tally.note("content_filtered")


def _note_reply(tally: Tally, reply: Reply) -> None:
    if not reply.complete:
        tally.note("aborted")
    if tally.model.thinks:
        tally.note("reasoning_not_visible")


def _echoed(request: Mapping[str, Any]) -> list[str]:
    """Return the prompts that stand at the start of the answers, the longest first."""
    if request.get("echo") is not True:
        return []
    prompt = request.get("prompt")
    texts = (
        [prompt]
        if isinstance(prompt, str)
        else [entry for entry in as_list(prompt) if isinstance(entry, str)]
    )
    return sorted(texts, key=len, reverse=True)


def _message(tally: Tally, item: Mapping[str, Any]) -> None:
    tally.text(text_of(item.get("content")))


def _output_call(item: Mapping[str, Any]) -> Call:
    return Call(as_text(item.get("name")), as_text(item.get("arguments") or item.get("input")))


def _count_output_calls(tally: Tally, calls: Sequence[Call]) -> None:
    tally.note("counted_tool_calls")
    if len(calls) > 1:
        tally.note("tool_calls_close")
    if tally.model.reasoning or len(calls) == 1:
        forced = not tally.model.reasoning and _forced(tally.request)
        for call in calls:
            tally.text("" if forced else _addressed(call), call.arguments)
    else:
        tally.text(parallel_text(calls))


def _forced(request: Mapping[str, Any]) -> bool:
    functions = [tool for tool in objects(request.get("tools")) if tool.get("type") == "function"]
    return bool(forced_function(request, functions))


def _nothing(_tally: Tally, _item: Mapping[str, Any]) -> None:
    """Counted with the other calls of the answer."""


def _reasoning(tally: Tally, _item: Mapping[str, Any]) -> None:
    tally.note("reasoning_not_visible")


def _other_item(tally: Tally, _item: Mapping[str, Any]) -> None:
    tally.note("hosted_tools")


_CALL_ITEMS = frozenset({"function_call", "custom_tool_call"})
_OUTPUT_ITEMS: Mapping[str, Callable[[Tally, Mapping[str, Any]], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    **dict.fromkeys(_CALL_ITEMS, _nothing),
}


def _closing(tally: Tally, output: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> int:
    """Return the tokens around the visible items of a finished answer."""
    kinds = [item.get("type") for item in output]
    messages = kinds.count("message")
    heading = _heading(tally) if messages else 0
    if tally.model.marks_channels:
        both = 3 if messages and calls else 0
        return 4 * messages + 10 * len(calls) + both + heading + (2 if "reasoning" in kinds else 0)
    with_tools = any(tool.get("type") == "function" for tool in objects(tally.request.get("tools")))
    return messages + _around_calls(tally, calls) + (1 + heading if messages and with_tools else 0)


def _around_calls(tally: Tally, calls: Sequence[Call]) -> int:
    if len(calls) > 1:
        return 11
    if calls and _forced(tally.request):
        return 1  # addressed to the function before the model began
    return 7 * len(calls)
