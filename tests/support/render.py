"""A Call as the events that gateway policies write about it, to the byte, in every format we read.

The published policies build their events with Newtonsoft's ``JObject``: two blanks of indentation, CRLF
on the Windows gateway, bodies as JSON text inside a JSON string. Nothing of the worker is used here.
"""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.support.azure_bodies import PLAIN, Style, request_body, response_body, text_pieces, usage_block
from tests.support.calls import Call, Format
from tests.support.published import OPERATION_IDS, RENDERERS, t1, t2

__all__ = [
    "ENQUEUED",
    "PLAIN",
    "as_captured",
    "can_render",
    "cut",
    "cut_stream",
    "render",
    "t1",
    "t2",
    "v1_identity",
    "v1_parts",
    "v1_usage",
]

ENQUEUED = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""When the hub took the events of formats without a time, in tests that price them (``events.NOON``)."""

# Policies that read the answer as one object and take completion_tokens from it: a stream or an embedding
# makes their expression fail, and nothing is logged.
_COUNTS_OF_ONE_OBJECT = ("F3", "F4", "F5", "F6")
_WITH_ERRORS = ("v1", "v1-parts", "F11")


def can_render(call: Call, form: Format) -> bool:  # noqa: C901, PLR0911, PLR0912  one rule a policy
    """True if the format's policy writes events about this call from which it can be billed, or seen to be free."""
    aborted = any(answer.finish_reason is None for answer in call.answers)
    if call.stream and aborted and call.shown_usage and form != "v1":
        return False  # the usage chunk comes after the end that this stream never had
    if form == "v1":
        return call.status != 200 or call.shown_usage is not None
    if call.status != 200:
        return form in _WITH_ERRORS
    if form in ("v1-parts", "F1", "F2", "F11"):
        return True
    shown, plain = call.shown_usage, all(not (a.tool_calls or a.function_call) for a in call.answers)
    if form in _COUNTS_OF_ONE_OBJECT:
        return shown is not None and not call.stream and call.operation != "embeddings"
    if form == "F7":  # 1/0/1 is what its policy writes for "no usage"
        phantom = shown is not None and (shown.prompt, shown.completion) == (1, 0)
        return shown is not None and not call.stream and not (phantom and call.operation != "embeddings")
    if form in ("F8", "F12"):
        return shown is not None
    if form == "F9":
        return not call.stream and call.operation != "embeddings" and (shown is not None or plain)
    if form == "F10":
        return not call.stream and (shown is not None or (plain and call.operation != "embeddings"))
    if form == "F13":
        one_text = call.n == 1 and call.answers[0].text and plain and not call.answers[0].refusal
        return call.operation == "chat" and bool(one_text) and (call.stream or shown is not None)
    if form == "F14":
        return call.operation == "chat" and shown is not None and shown.completion > 0 and call.n == 1
    if form == "F15":
        if shown is not None:  # two zeros are what the log writes where it counted nothing
            return shown.prompt + shown.completion > 0
        return call.operation == "chat" and plain and not any(answer.refusal for answer in call.answers)
    if form == "F16":  # three zeros are what the proxy writes for "no usage"
        return shown is not None and shown.prompt + shown.completion > 0
    return not call.stream or shown is not None  # F17 keeps the last chunk of a stream


def render(call: Call, form: Format, style: Style = PLAIN) -> list[bytes]:
    """Return the bodies of the events about this call, in the order they are sent."""
    if not can_render(call, form):
        raise ValueError(f"{form} has no event for call {call.request_id}; ask can_render first")
    if form == "v1":
        return [v1_usage(call, style) if call.shown_usage else v1_identity(call, style)]
    if form == "v1-parts":
        return v1_parts(call, style)
    events = RENDERERS[form](call, style)
    return [_event(event, style) for event in (events if isinstance(events, list) else [events])]


def as_captured(call: Call, form: Format, style: Style = PLAIN) -> Call:
    """Return the call with everything unknown that the format does not tell.

    What a worker must bill is the price of this, not of the truth: a format without cached counts is
    billed as uncached, one without deployment through the rate table's defaults.
    """
    if form in ("v1", "v1-parts"):
        return replace(call, subscription_key=None)
    counts = call.usage
    if form not in ("F1", "F2", "F4", "F5"):
        return _TOLD[form](call, style)
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


def _told(call: Call, *members: str, seconds: bool = True, split: bool = True, **more: Any) -> Call:
    """Return the call with the named members only; ``split``: with cached and reasoning counts."""
    nobody = dict.fromkeys(_WHO_AND_WHERE) | {name: getattr(call, name) for name in members}
    counts = call.usage
    if counts and not split:
        counts = replace(counts, cached=None, reasoning=None)
    at = call.at.replace(microsecond=0) if seconds else call.at
    return replace(call, **{**nobody, "at": at, "usage": counts, **more})


_WHO_AND_WHERE = (
    "subscription_id", "subscription_name", "subscription_key", "product", "app_id", "tenant_id",
    "account", "deployment", "deployment_type", "region", "api_version", "backend",
)  # fmt: skip
_SITE = ("account", "deployment", "api_version")
_TOLD: dict[Format, Any] = {
    "F3": lambda call, _: _told(call, split=False),
    "F6": lambda call, _: _told(
        call, "subscription_key", "app_id", split=False, model=None, response_id=None
    ),
    "F7": lambda call, style: _told(
        call,
        "subscription_id",
        "product",
        "app_id",
        "deployment",
        usage=replace(call.usage, cached=call.usage.cached if style.extended else None, reasoning=None),
    ),
    "F8": lambda call, _: _told(call, "subscription_id", split=False, model=None, deployment=None),
    "F9": lambda call, _: _told(call, "app_id", "account", "backend", split=False),
    "F10": lambda call, _: _told(call, "product", "account", "backend", split=False),
    "F11": lambda call, style: _told(call, *_SITE, "region", seconds=not style.extended),
    "F12": lambda call, _: _told(call),
    "F13": lambda call, _: _told(
        call,
        "region",
        seconds=False,
        # The producer writes what it got, and not how it ended.
        answers=tuple(replace(answer, finish_reason="stop") for answer in call.answers),
    ),
    "F14": lambda call, _: _told(call, "deployment", split=False, at=ENQUEUED, model=None),
    "F15": lambda call, _: _told(
        call,
        "subscription_id",
        "product",
        *_SITE,
        "backend",
        seconds=False,
        split=False,
        # The log keeps messages, not how they ended.
        answers=tuple(replace(answer, finish_reason=None) for answer in call.answers),
    ),
    "F16": lambda call, _: _told(call, *_SITE, "backend", seconds=False),
    "F17": lambda call, _: _told(call, "tenant_id", "app_id", "deployment", at=ENQUEUED),
}


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
