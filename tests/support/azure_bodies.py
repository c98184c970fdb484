"""Bodies as Azure OpenAI and its clients write them: requests, JSON answers, errors and event streams.

Plain ``json`` and nothing of the worker. ``Style`` holds what may differ without changing what was said:
a body in any style tells of the same call.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.calls import Answer, Call, Counts

SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
OBJECTS = {"chat": "chat.completion", "completions": "text_completion", "embeddings": "list"}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How an event and its bodies are written down."""

    # the event
    newline: str = "\r\n"
    indent: bool = True
    extended: bool = True
    """F4 with ``SubcriptionId``, F5 with ``deploymentId``, F7 with cached tokens, F11 after Stream Analytics,
    F15 as one event: all exist without, too."""
    slice_size: int = 120_000
    """Bytes of body in one v1 part."""
    # any body
    ascii: bool = False
    """Write ``\\uXXXX`` for everything outside ASCII."""
    filters: bool = True
    """Annotate prompt and answer with the content filter's verdicts."""
    # a streamed body
    pieces: tuple[int, ...] = (4, 7, 2)
    """Lengths of the deltas, again and again from the first."""
    split_surrogates: bool = False
    """Count ``pieces`` in UTF-16 units, so that one delta may end with half of an emoji's escape."""
    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    bom: bool = False
    space: bool = True
    comments: bool = False
    event_lines: bool = False
    multi_line_data: bool = False
    usage_null: bool = True
    async_filter: bool = False
    usage_choice: bool = False
    """Some gateways send the usage chunk with one empty choice instead of none."""


PLAIN = Style()


def request_body(call: Call, style: Style = PLAIN) -> str:
    """What the client sent. Azure clients name no model: the URL names a deployment."""
    if call.operation == "embeddings":
        return _json({"input": call.inputs[0] if len(call.inputs) == 1 else list(call.inputs)}, style)
    body: dict[str, Any] = (
        {"messages": [_message(message.role, message.text, message.as_parts) for message in call.messages]}
        if call.operation == "chat"
        else {"prompt": call.prompt}
    )
    if tools := _tools(call):
        body["tools"] = tools
    if functions := _functions(call):
        body["functions"] = functions
    if call.n > 1:
        body["n"] = call.n
    if call.stream:
        body["stream"] = True
        if call.usage_visible:
            body["stream_options"] = {"include_usage": True}
    return _json(body, style)


def response_body(call: Call, style: Style = PLAIN) -> str:
    """What the service answered: an error, a stream, or one JSON object."""
    if call.status != 200:
        return _json(error_body(call), style)
    return stream_body(call, style) if call.stream else _json(answer_body(call, style), style)


def answer_body(call: Call, style: Style = PLAIN) -> dict[str, Any]:
    usage = {"usage": usage_block(call.shown_usage, call.operation)} if call.shown_usage else {}
    if call.operation == "embeddings":
        items = [
            {"object": "embedding", "index": index, "embedding": [0.0078125, -0.015625, 0.03125]}
            for index in range(len(call.inputs))
        ]
        return {"object": "list", "data": items, "model": call.model, **usage}
    if call.operation == "completions":
        choices = [
            _text_choice(index, each.text, each.finish_reason) for index, each in enumerate(call.answers)
        ]
        return {**_head(call, "text_completion"), "choices": choices, **usage}
    filtered = (
        {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}]}
        if style.filters
        else {}
    )
    return {
        "choices": [_choice(call, index, each, style) for index, each in enumerate(call.answers)],
        **_head(call, "chat.completion"),
        **filtered,
        "system_fingerprint": "fp_0a1b2c3d4e",
        **usage,
    }


def error_body(call: Call) -> dict[str, Any]:
    error: dict[str, Any] = {"code": call.error, "message": "The request was not served."}
    if call.error == "content_filter":
        hate = {**SAFE, "hate": {"filtered": True, "severity": "medium"}}
        error |= {
            "type": None,
            "param": "prompt",
            "status": call.status,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": hate},
        }
    return {"error": error}


def usage_block(counts: Counts, operation: str) -> dict[str, Any]:
    """The provider's ``usage``: embeddings generate nothing, legacy answers have no details."""
    total = {"prompt_tokens": counts.prompt, "total_tokens": counts.prompt + counts.completion}
    if operation == "embeddings":
        return total
    block: dict[str, Any] = {"completion_tokens": counts.completion, **total}
    if operation == "chat" and counts.cached is not None:
        block["prompt_tokens_details"] = {"audio_tokens": 0, "cached_tokens": counts.cached}
    if operation == "chat" and counts.reasoning is not None:
        block["completion_tokens_details"] = {
            "accepted_prediction_tokens": 0,
            "audio_tokens": 0,
            "reasoning_tokens": counts.reasoning,
            "rejected_prediction_tokens": 0,
        }
    return block


# ---- streams


def stream_body(call: Call, style: Style = PLAIN) -> str:
    whole = all(answer.finish_reason for answer in call.answers)
    data = [_json(chunk, style, lines=style.multi_line_data) for chunk in chunks(call, style)]
    return framed(data + (["[DONE]"] if whole else []), style)


def framed(data: list[str], style: Style = PLAIN) -> str:
    """Put each text into one server-sent event."""
    field = "data: " if style.space else "data:"
    lines: list[str] = []
    for number, text in enumerate(data):
        if style.comments:
            lines.append(": data: {this is a comment}")
        if style.event_lines:
            lines += ["event: message", f"id: {number}", "retry: 3000"]
        lines += [field + line for line in text.split("\n")]
        lines.append("")
    return ("\ufeff" if style.bom else "") + "".join(line + style.line_end for line in lines)


def chunks(call: Call, style: Style = PLAIN) -> Iterator[dict[str, Any]]:
    """The answer's chunks in the order Azure sends them; the choices take turns."""
    if style.filters:
        results = [{"prompt_index": 0, "content_filter_results": SAFE}]
        yield {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": results,
        }
    turns = (_turns(call.operation, index, each, style) for index, each in enumerate(call.answers))
    for choice in itertools.chain.from_iterable(itertools.zip_longest(*turns)):
        if choice is not None:
            yield _chunk(call, [choice], style)
            if style.async_filter and choice["finish_reason"] is None:
                yield _filter_chunk(choice["index"])
    if call.shown_usage:
        empty = _delta_choice(0, {}) if call.operation == "chat" else _text_choice(0, "", None)
        usage = usage_block(call.shown_usage, call.operation)
        yield _chunk(call, [empty] if style.usage_choice else [], style) | {"usage": usage}


def text_pieces(text: str, style: Style = PLAIN) -> list[str]:
    """Cut a text as ``style.pieces`` says; joined they are the text again."""
    units = _utf16_units(text) if style.split_surrogates else list(text)
    sizes, start, pieces = itertools.cycle(style.pieces), 0, list[str]()
    while start < len(units):
        end = start + max(1, next(sizes))
        pieces.append("".join(units[start:end]))
        start = end
    return pieces


def _turns(operation: str, index: int, answer: Answer, style: Style) -> Iterator[dict[str, Any]]:
    if operation == "completions":
        pieces = text_pieces(answer.text, style) or [""]
        for place, piece in enumerate(pieces, 1):
            yield _text_choice(index, piece, answer.finish_reason if place == len(pieces) else None)
        return
    deltas = itertools.chain(
        ({"content": piece} for piece in text_pieces(answer.text, style)),
        ({"refusal": piece} for piece in text_pieces(answer.refusal, style)),
        _tool_deltas(index, answer, style),
        _function_deltas(answer, style),
    )
    only_calls = (answer.tool_calls or answer.function_call) and not answer.text
    role = {"role": "assistant", "content": None if only_calls else ""}
    # Azure opens with the role alone, or with the role and the head of the first tool call.
    yield _delta_choice(index, role | (next(deltas, {}) if only_calls else {}))
    for delta in deltas:
        yield _delta_choice(index, delta)
    if answer.finish_reason:
        yield _delta_choice(index, {}) | {"finish_reason": answer.finish_reason}


def _tool_deltas(choice: int, answer: Answer, style: Style) -> Iterator[dict[str, Any]]:
    for index, call in enumerate(answer.tool_calls):
        head = {
            "id": _tool_id(choice, index),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield {"tool_calls": [{"index": index, **head}]}
        for piece in text_pieces(call.arguments, style):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _function_deltas(answer: Answer, style: Style) -> Iterator[dict[str, Any]]:
    if answer.function_call:
        yield {"function_call": {"name": answer.function_call.name, "arguments": ""}}
        for piece in text_pieces(answer.function_call.arguments, style):
            yield {"function_call": {"arguments": piece}}


def _chunk(call: Call, choices: list[dict[str, Any]], style: Style) -> dict[str, Any]:
    word = "chat.completion.chunk" if call.operation == "chat" else "text_completion"
    return {"choices": choices, **_head(call, word), **({"usage": None} if style.usage_null else {})}


def _filter_chunk(index: int) -> dict[str, Any]:
    """The asynchronous filter's verdict: a choice without ``delta`` in a chunk without ids."""
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 59}
    verdict = {"content_filter_offsets": offsets, "content_filter_results": SAFE}
    choice = {**verdict, "finish_reason": None, "index": index}
    return {"choices": [choice], "created": 0, "id": "", "model": "", "object": ""}


def _delta_choice(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"delta": delta, "finish_reason": None, "index": index, "logprobs": None}


def _text_choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "finish_reason": finish_reason, "logprobs": None}


# ---- pieces of bodies


def _head(call: Call, word: str) -> dict[str, Any]:
    return {
        "created": int(call.at.timestamp()),
        "id": call.response_id or "",
        "model": call.model,
        "object": word,
    }


def _choice(call: Call, index: int, answer: Answer, style: Style) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text or None,
        "refusal": answer.refusal or None,
    }
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": _tool_id(index, place),
                "type": "function",
                "function": {"name": each.name, "arguments": each.arguments},
            }
            for place, each in enumerate(answer.tool_calls)
        ]
    if answer.function_call:
        message["function_call"] = {
            "name": answer.function_call.name,
            "arguments": answer.function_call.arguments,
        }
    filtered = {"content_filter_results": SAFE} if style.filters else {}
    return {
        **filtered,
        "finish_reason": answer.finish_reason,
        "index": index,
        "logprobs": None,
        "message": message,
    }


def _message(role: str, text: str, as_parts: bool) -> dict[str, Any]:  # noqa: FBT001  mirrors Message
    if not as_parts:
        return {"role": role, "content": text}
    middle = len(text) // 2
    return {
        "role": role,
        "content": [{"type": "text", "text": part} for part in (text[:middle], text[middle:])],
    }


def _tools(call: Call) -> list[dict[str, Any]]:
    names = dict.fromkeys(tool.name for answer in call.answers for tool in answer.tool_calls)
    return [{"type": "function", "function": _function(name)} for name in names]


def _functions(call: Call) -> list[dict[str, Any]]:
    return [_function(answer.function_call.name) for answer in call.answers if answer.function_call]


def _function(name: str) -> dict[str, Any]:
    return {"name": name, "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}


def _tool_id(choice: int, index: int) -> str:
    return f"call_{choice}{index}"


def _utf16_units(text: str) -> list[str]:
    encoded = text.encode("utf-16-le")
    return [chr(int.from_bytes(encoded[at : at + 2], "little")) for at in range(0, len(encoded), 2)]


def _json(value: Any, style: Style, *, lines: bool = False) -> str:
    # Half a surrogate pair has no UTF-8: it can only be sent as an escape.
    escaped = style.ascii or style.split_surrogates
    if lines:
        return json.dumps(value, ensure_ascii=escaped, indent=1)
    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":"))
