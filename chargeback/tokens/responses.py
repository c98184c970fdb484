"""The prompt of a Responses API call: instructions, input items, tools and text format.

The same conversation as in Chat Completions is written out of it, with other frames. Much of what
this API can refer to is kept by the service; such parts are noted, never guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chargeback.tokens.chat import BASE, BASE_REASONING, SYSTEM_ROLES
from chargeback.tokens.content import count_others, text_of
from chargeback.tokens.json_schema import count_schema
from chargeback.tokens.reader import as_list, as_object, as_text, compacted, objects
from chargeback.tokens.tally import Tally
from chargeback.tokens.tools import Declarations, Style

Item = Mapping[str, Any]

FRAME = 4
"""Of a message, its role included."""
# Sizes of the texts that gpt-4o was told first in March 2025; the texts are not in the bodies.
PREAMBLE = 18
PREAMBLE_TOOLS = 3
PREAMBLE_PARALLEL = 195
PREAMBLE_PICTURES = 212


def count_responses(tally: Tally, request: Mapping[str, Any]) -> None:
    tally.add(BASE_REASONING if tally.model.reasoning else BASE)
    tally.note("counted_text")
    instructions = as_text(request.get("instructions"))
    if instructions:
        tally.add(FRAME)
        tally.text(instructions)
    _count_input(tally, request.get("input"))
    _count_tools(tally, request)
    if tally.preamble:
        _count_preamble(tally, request)
    _count_format(tally, request, with_system=bool(instructions) or _has_system(request))
    if as_object(request.get("reasoning")).get("mode"):
        tally.note("service_instructions")
    for field, word in _HELD.items():
        if request.get(field):
            tally.note(word)


def _count_preamble(tally: Tally, request: Mapping[str, Any]) -> None:
    """Add what gpt-4o was told first: a greeting, the tools' heading, calls in parallel, pictures."""
    if tally.model.series != "gpt-4o":
        tally.note("service_instructions")
        return
    tally.note("preamble_assumed")
    tally.add(PREAMBLE)
    if "counted_tools" in tally.notes:
        tally.add(PREAMBLE_TOOLS)
        tally.add(PREAMBLE_PARALLEL if request.get("parallel_tool_calls") is not False else 0)
    if not {"counted_images", "remote_image"}.isdisjoint(tally.notes):
        tally.add(PREAMBLE_PICTURES)


_HELD = {
    "previous_response_id": "server_held_context",
    "conversation": "server_held_context",
    "prompt": "server_held_context",
    "context_management": "server_held_context",
}
"""Field -> note, when it has a value."""


def _count_input(tally: Tally, value: Any) -> None:
    if isinstance(value, str):
        tally.add(FRAME)
        tally.text(value)
    elif value is not None and not isinstance(value, (list, tuple)):
        tally.note("unknown_part")
    for entry in as_list(value):
        item = as_object(entry)
        kind = as_text(item.get("type")) or ("message" if "role" in item else "")
        _ITEMS.get(kind, _unknown)(tally, item)


def _message(tally: Tally, item: Item) -> None:
    tally.add(FRAME)
    tally.text(text_of(item.get("content")))
    count_others(tally, item.get("content"))
    if tally.model.reasoning and item.get("role") == "assistant":
        tally.add(2)


def _function_call(tally: Tally, item: Item) -> None:
    name = as_text(item.get("name"))
    tally.text(name, compacted(as_text(item.get("arguments"))), f"functions.{name}")
    framed = 15 if tally.model.reasoning else 9
    # Measured: a call sent back without the service's id costs less on older models.
    tally.add(framed if item.get("id") or tally.model.version >= (5, 4) else framed - 3)
    tally.note("counted_tool_calls")


def _function_output(tally: Tally, item: Item) -> None:
    output = item.get("output")
    tally.add(FRAME)
    tally.text(text_of(output))
    count_others(tally, output)
    tally.note("counted_tool_calls")


def _noted(word: str) -> Callable[[Tally, Item], None]:
    return lambda tally, _item: tally.note(word)


_unknown = _noted("unknown_part")
_hosted = _noted("hosted_tools")
_held = _noted("server_held_context")

_ITEMS: Mapping[str, Callable[[Tally, Item], None]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_output,
    "reasoning": _noted("replayed_reasoning"),
    "item_reference": _held,
    "compaction": _held,
    **dict.fromkeys(
        (
            "additional_tools",
            "apply_patch_call",
            "apply_patch_call_output",
            "code_interpreter_call",
            "computer_call",
            "computer_call_output",
            "configuration_update",
            "custom_tool_call",
            "custom_tool_call_output",
            "file_search_call",
            "image_generation_call",
            "local_shell_call",
            "local_shell_call_output",
            "mcp_approval_request",
            "mcp_approval_response",
            "mcp_call",
            "mcp_list_tools",
            "shell_call",
            "shell_call_output",
            "tool_search_call",
            "tool_search_output",
            "web_search_call",
        ),
        _hosted,
    ),
}


def _count_tools(tally: Tally, request: Mapping[str, Any]) -> None:
    tools = objects(request.get("tools"))
    functions = [tool for tool in tools if tool.get("type") == "function"]
    if len(functions) < len(tools):
        tally.note("hosted_tools")
    if not functions:
        return
    declarations = Declarations(
        functions, Style(indented=False, remark_at_brace=True, limits=tally.model.late)
    )
    tally.text(declarations.text)
    tally.note_tools(declarations)
    if tally.model.reasoning:
        alone = request.get("parallel_tool_calls") is False
        tally.add(9 if all(function.get("description") for function in functions) else 8)
        if alone:
            tally.add(78)
            tally.note("tool_rules_close")
        tally.add(4 if tally.model.late and "counted_images" in tally.notes else 0)
        return
    tally.add(3)
    if name := forced_function(request, functions):
        tally.add(tally.size(f" to=functions.{name}") + 4)


def forced_function(request: Mapping[str, Any], functions: Sequence[Item]) -> str:
    """Return the only function that may be called: named, or required and without another."""
    choice = request.get("tool_choice")
    if choice == "required" and len(functions) == 1:
        return as_text(functions[0].get("name"))
    return as_text(as_object(choice).get("name"))


def _count_format(tally: Tally, request: Mapping[str, Any], *, with_system: bool) -> None:
    chosen = as_object(as_object(request.get("text")).get("format"))
    if chosen.get("type") != "json_schema":
        return
    count_schema(tally, chosen)
    if not tally.model.reasoning and not with_system:
        tally.add(1)


def _has_system(request: Mapping[str, Any]) -> bool:
    return any(as_text(item.get("role")) in SYSTEM_ROLES for item in objects(request.get("input")))
