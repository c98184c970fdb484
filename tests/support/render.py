"""A Call as the events that gateway policies write about it, to the byte, in every format we read.

The published policies build their events with Newtonsoft's ``JObject``: two blanks of indentation, CRLF
on the Windows gateway, bodies as JSON text inside a JSON string. Nothing of the worker is used here.
"""

import base64
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.support.azure_bodies import (
    OBJECTS,
    PLAIN,
    Style,
    request_body,
    response_body,
    text_pieces,
    usage_block,
)
from tests.support.calls import Call, Format

API_OPERATIONS = {"chat": "ChatCompletion", "completions": "TextCompletion", "embeddings": ""}
OPERATION_IDS = {
    "chat": "ChatCompletions_Create",
    "completions": "Completions_Create",
    "embeddings": "embeddings_create",
}


def can_render(call: Call, form: Format) -> bool:
    """True if the format's policy writes events about this call from which it can be billed, or seen to be free."""
    aborted = any(answer.finish_reason is None for answer in call.answers)
    if call.stream and aborted and call.shown_usage and form != "v1":
        return False  # the usage chunk comes after the end that this stream never had
    if form == "v1":
        return call.status != 200 or call.shown_usage is not None
    if form == "v1-parts":
        return True
    if form in ("F1", "F2"):
        return call.status == 200
    # Both policies read the answer as one object and take completion_tokens from it: a stream or an
    # embedding makes their expression fail, and nothing is logged.
    return (
        call.status == 200
        and call.shown_usage is not None
        and not call.stream
        and call.operation != "embeddings"
    )


def render(call: Call, form: Format, style: Style = PLAIN) -> list[bytes]:
    """Return the bodies of the events about this call, in the order they are sent."""
    if not can_render(call, form):
        raise ValueError(f"{form} has no event for call {call.request_id}; ask can_render first")
    if form == "v1":
        return [v1_usage(call, style) if call.shown_usage else v1_identity(call, style)]
    if form == "v1-parts":
        return v1_parts(call, style)
    return [_event({"F1": _f1, "F2": _f2, "F4": _f4, "F5": _f5}[form](call, style), style)]


def as_captured(call: Call, form: Format, style: Style = PLAIN) -> Call:
    """Return the call with everything unknown that the format does not tell.

    What a worker must bill is the price of this, not of the truth: a format without cached counts is
    billed as uncached, one without deployment through the rate table's defaults.
    """
    if form in ("v1", "v1-parts"):
        return replace(call, subscription_key=None)
    counts = call.usage
    nobody = replace(
        call,
        subscription_id=None,
        subscription_name=None,
        product=None,
        app_id=None,
        tenant_id=None,
        account=None,
        deployment=None,
        deployment_type=None,
        region=None,
        api_version=None,
        backend=None,
    )
    if form in ("F1", "F2"):
        return nobody
    flat = replace(
        nobody,
        at=call.at.replace(microsecond=0),
        usage=counts and replace(counts, cached=None, reasoning=None),
        model=None,
        response_id=None,
    )
    if form == "F4":
        return replace(flat, subscription_id=call.subscription_id if style.extended else None)
    return replace(flat, deployment=call.deployment if style.extended else None)


def cut(body: bytes, at: int) -> bytes:
    """Return what API Management sends of an event that is too long: its first bytes, as they are."""
    return body[:at]


def cut_stream(call: Call, form: Format, deltas: int, style: Style = PLAIN) -> tuple[bytes, Call]:
    """Cut a streamed F1 or F2 event early in the chunk after so many text deltas; return what survives, too."""
    [whole] = render(call, form, style)
    [answer] = call.answers
    kept = "".join(text_pieces(answer.text, style)[:deltas])
    ended = replace(call, answers=(replace(answer, text=kept, finish_reason=None),), usage=None)
    # Both are the same up to the end of the last whole chunk: the answer is the last member.
    end = _shared(whole, render(ended, form, style)[0])
    return cut(whole, end + len(b'data: {\\"choices\\":[{')), replace(
        ended, usage=call.usage, usage_visible=False
    )


def t1(at: datetime) -> str:
    """Write ``DateTime.UtcNow`` as Newtonsoft does: seven digits of a second, no zeros at their end."""
    digits = f"{at.microsecond:06d}{at.microsecond % 10}".rstrip("0")
    return f"{at:%Y-%m-%dT%H:%M:%S}{'.' + digits if digits else ''}Z"


def t2(at: datetime) -> str:
    """Write ``DateTime.UtcNow.ToString()`` as a gateway with US culture does."""
    hour, half = at.hour % 12 or 12, "PM" if at.hour >= 12 else "AM"
    return f"{at.month}/{at.day}/{at.year} {hour}:{at:%M:%S} {half}"


# ---- our own format


def v1_usage(call: Call, style: Style = PLAIN) -> bytes:
    assert call.shown_usage, "a usage event is written only when the answer shows its usage"
    answer = {"model": call.model, "response_id": call.response_id}
    usage = usage_block(call.shown_usage, call.operation)
    return _event({**_identity(call, "usage"), **answer, "usage": usage}, style)


def v1_identity(call: Call, style: Style = PLAIN) -> bytes:
    """Who and where, for a call whose answer the policy did not read."""
    return _event(_identity(call, "identity"), style)


def v1_parts(call: Call, style: Style = PLAIN) -> list[bytes]:
    return [
        _event({**_identity(call, "part"), **piece}, style)
        for name, text in (("request", request_body(call, style)), ("response", response_body(call, style)))
        for piece in _pieces(name, text.encode(), style.slice_size)
    ]


def _identity(call: Call, kind: str) -> dict[str, Any]:
    return {
        "v": 1,
        "kind": kind,
        "request_id": call.request_id,
        "time": t1(call.at),
        "subscription_id": call.subscription_id,
        "subscription_name": call.subscription_name,
        "product": call.product,
        "app_id": call.app_id,
        "tenant_id": call.tenant_id,
        "operation": OPERATION_IDS[call.operation],
        "account": call.account,
        "deployment": call.deployment,
        "region": call.region,
        "backend": call.backend,
        "api_version": call.api_version,
        "status": call.status,
        "streamed": call.stream,
    }


def _pieces(name: str, body: bytes, size: int) -> list[dict[str, Any]]:
    slices = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    return [
        {
            "bodies": ["request", "response"],
            "body": name,
            "part": number,
            "parts": len(slices),
            "data": base64.b64encode(piece).decode(),
        }
        for number, piece in enumerate(slices)
    ]


# ---- published formats


def _f1(call: Call, style: Style) -> dict[str, Any]:
    return {
        "eventTime": t1(call.at),
        "apiOperation": API_OPERATIONS[call.operation],
        "appSubscriptionKey": call.subscription_key or "",
        "request": request_body(call, style),
        "response": response_body(call, style),
    }


def _f2(call: Call, style: Style) -> dict[str, Any]:
    return {
        "EventTime": t1(call.at),
        "AppSubscriptionKey": call.subscription_key or "",
        "Request": request_body(call, style),
        "Response": response_body(call, style),
    }


def _f4(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = _counts(call)
    return {
        "Timestamp": t2(call.at),
        "ApiOperation": OBJECTS[call.operation],
        "AppKey": call.subscription_key or "",
        **({"SubcriptionId": call.subscription_id} if style.extended else {}),
        "PromptTokens": prompt,
        "CompletionTokens": completion,
        "TotalTokens": total,
    }


def _f5(call: Call, style: Style) -> dict[str, Any]:
    prompt, completion, total = _counts(call)
    return {
        "timestamp": t2(call.at),
        "appSubscriptionKey": call.subscription_key or "",
        "promptTokens": prompt,
        "completionTokens": completion,
        "totalTokens": total,
        **({"deploymentId": call.deployment} if style.extended else {}),
    }


def _counts(call: Call) -> tuple[str, str, str]:
    counts = call.shown_usage
    assert counts, "can_render saw to it"
    return str(counts.prompt), str(counts.completion), str(counts.prompt + counts.completion)


def _event(value: dict[str, Any], style: Style) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=2 if style.indent else None)
    # Newtonsoft also escapes these three; json.dumps leaves them, and they occur in strings only.
    for sign in "\x85\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.replace("\n", style.newline).encode()


def _shared(one: bytes, other: bytes) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
