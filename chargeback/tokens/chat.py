"""The prompt of a Chat Completions call: messages, tools and response format.

The service writes one conversation out of the body: every message with a frame of its own, tools
and response format as further sections of the first system message. A part that stands in a
section is therefore counted together with what it is glued to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chargeback.tokens.calls import Call, calls_of, parallel_text
from chargeback.tokens.content import count_others, text_of
from chargeback.tokens.counting import count_text
from chargeback.tokens.json_schema import count_schema
from chargeback.tokens.reader import as_list, as_object, as_text, compacted, dumped, objects
from chargeback.tokens.tally import Tally
from chargeback.tokens.tools import Declarations, Style, chosen_function, functions_of

Message = Mapping[str, Any]

BASE = 3
BASE_REASONING = 2
FRAME = 3
"""Of a message, besides its role."""
SYSTEM_ROLES = frozenset({"system", "developer"})
RESULT_ROLES = frozenset({"tool", "function"})


def count_chat(tally: Tally, request: Mapping[str, Any]) -> None:
    messages = objects(request.get("messages"))
    tally.add(BASE_REASONING if tally.model.reasoning else BASE)
    tally.note("counted_text")
    _count_messages(tally, messages)
    functions = functions_of(request)
    system = _system_text(messages)
    if functions:
        _count_tools(tally, request, functions, system)
    json_schema = _json_schema(request)
    if json_schema:
        _count_format(tally, json_schema, messages, system, with_tools=bool(functions))
    _note_hosted(tally, request)


def _count_messages(tally: Tally, messages: Sequence[Message]) -> None:
    remaining = iter(enumerate(messages))
    frames: dict[str, int] = {}
    plain = 0
    for index, message in remaining:
        role, content = message.get("role"), message.get("content")
        if type(content) is str and type(role) is str and len(message) == 2 and role not in RESULT_ROLES:
            if role not in frames:  # most messages say nothing else, and a chat has many
                frames[role] = _frame(tally, role)
            plain += frames[role] + tally.size(content)
            continue
        role = as_text(role)
        calls = calls_of(message)
        count_others(tally, content)
        if role in RESULT_ROLES:
            tally.add(FRAME + 1)
            tally.text(text_of(content))
            tally.note("counted_tool_calls")
        elif len(calls) > 1:
            results = _results_after(messages, index)
            _count_parallel(tally, calls, text_of(content), results)
            for _, result in zip(range(len(results)), remaining, strict=False):
                count_others(tally, result[1].get("content"))
        elif calls:
            _count_call(tally, calls[0], text_of(content))
        else:
            _count_plain(tally, role, message)
    tally.add(plain)


def _count_plain(tally: Tally, role: str, message: Message) -> None:
    tally.add(_frame(tally, role) + tally.size(text_of(message.get("content"))))
    tally.text(as_text(message.get("refusal")))
    if name := as_text(message.get("name")):
        tally.text(f":{name}")
    if message.get("audio"):
        tally.note("audio")


def _frame(tally: Tally, role: str) -> int:
    """Count what stands around the text of a message."""
    marks = 2 if role == "assistant" and tally.model.marks_channels else 0
    return FRAME + marks + count_text(role, tally.model.encoding)


def _count_call(tally: Tally, call: Call, text: str) -> None:
    _count_call_frame(tally, text)
    arguments = compacted(call.arguments)
    tally.text(call.name, arguments, f"functions.{call.name}")
    tally.add(5 if tally.model.marks_channels and arguments == "{}" else 4)


def _count_parallel(tally: Tally, calls: Sequence[Call], text: str, results: Sequence[Message]) -> None:
    """Several calls in one turn become one call, and their answers one answer: a JSON list."""
    _count_call_frame(tally, text)
    tally.text(parallel_text(calls))
    if not results:
        tally.add(14 - 2 * len(calls))
        tally.note("tool_calls_close")
        return
    answers = [text_of(result.get("content")) for result in results]
    tally.text(dumped(answers, spaced=True, ascii_only=tally.model.escapes_results))
    tally.add(16)


def _count_call_frame(tally: Tally, text: str) -> None:
    tally.add(FRAME + 1)
    if tally.model.marks_channels:
        tally.add(6)
    tally.text(text)
    tally.note("counted_tool_calls")


def _results_after(messages: Sequence[Message], index: int) -> list[Message]:
    results: list[Message] = []
    for message in messages[index + 1 :]:
        if as_text(message.get("role")) not in RESULT_ROLES:
            break
        results.append(message)
    return results


def _count_tools(
    tally: Tally, request: Mapping[str, Any], functions: Sequence[Mapping[str, Any]], system: str | None
) -> None:
    declarations = Declarations(functions, Style(limits=tally.model.late))
    tally.text(declarations.text)
    tally.add(9)
    tally.note_tools(declarations)
    if tally.model.marks_channels:
        # A fixed text about channels comes with functions; it is one token shorter when some
        # function has no description.
        tally.add(82 if all(function.get("description") for function in functions) else 81)
        return
    if tally.model.reasoning:
        tally.add(1)
    if system is not None:
        tally.add(tally.size(f"{system}\n") - tally.size(system) - 4)
    if name := chosen_function(request):
        # The answer is begun for the model: it is addressed to the function.
        tally.add(tally.size(f" to=functions.{name}") + 4)
    elif "none" in (request.get("tool_choice"), request.get("function_call")):
        tally.add(1)


def _count_format(
    tally: Tally,
    json_schema: Mapping[str, Any],
    messages: Sequence[Message],
    system: str | None,
    *,
    with_tools: bool,
) -> None:
    count_schema(tally, json_schema)
    if with_tools:
        tally.add(1)  # the blank line below the tools
    elif system is None:
        tally.add(FRAME + 1)  # a system message of its own
    elif tally.model.reasoning:
        tally.add(3)
    else:
        tally.add(tally.size(f"{system}\n\n") - tally.size(system))
    if not tally.model.reasoning:
        # Every answer is headed by the format's name: those of the history, and the one to come
        # unless that may turn out a function call.
        answers = sum(message.get("role") == "assistant" and not calls_of(message) for message in messages)
        answers += not with_tools
        tally.add(answers * (tally.size(as_text(json_schema.get("name"))) + 2))


def _json_schema(request: Mapping[str, Any]) -> Mapping[str, Any]:
    chosen = as_object(request.get("response_format"))
    return as_object(chosen.get("json_schema")) if chosen.get("type") == "json_schema" else {}


def _system_text(messages: Sequence[Message]) -> str | None:
    """Return the first system message's text; ``None`` when there is no such message."""
    return next(
        (
            text_of(message.get("content"))
            for message in messages
            if as_text(message.get("role")) in SYSTEM_ROLES
        ),
        None,
    )


def _note_hosted(tally: Tally, request: Mapping[str, Any]) -> None:
    hosted = any(tool.get("type") not in ("function", None) for tool in objects(request.get("tools")))
    if hosted or request.get("web_search_options") is not None or request.get("data_sources") is not None:
        tally.note("hosted_tools")
    if request.get("audio") is not None or "audio" in as_list(request.get("modalities")):
        tally.note("audio")
