"""F9 and F10: one call in two or three events, joined by ``message-id``.

F9   request (inbound), response and counts (outbound); request and counts share a partition, the response not
F10  request and response; the response brings the counts

The event with the counts alone is billed, whatever else comes. Bodies are held until it is here; if it never
comes they are counted, and the charge says so. A request alone is no call: it may have been refused.
"""

import json

import msgspec

from chargeback.capture import Body, Capture, Piece
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row, read_row
from chargeback.privacy import Privacy

BODIES = ("request", "response")
# The policies keep the messages of a request and nothing else of it.
ABRIDGED = ("request_abridged",)
LONE_REQUEST = "request_without_response"


def read_request(row: Row, fields: Fields, privacy: Privacy) -> Read:
    name = "messages" if fields.raw("messages") is not None else "prompt"
    capture = read_row(row, fields, privacy)
    if capture.message_id is None:  # nothing can be joined to it
        return (Capture(source_format=row.name, kind="ignored", facts=capture.facts, reason=LONE_REQUEST),)
    return (_side(capture, "request", _member(name, fields.raw(name)), cut=fields.cut),)


def read_response(row: Row, fields: Fields, privacy: Privacy) -> Read:
    capture = read_row(row, fields, privacy)
    if capture.usage is not None or (not fields.cut and fields.raw("choices") is None):
        return (_counted(capture),)
    data = _answer(capture, fields)
    if capture.message_id is None:
        return (msgspec.structs.replace(capture, response="{" + data + ("" if fields.cut else "}")),)
    return (_side(capture, "response", data, cut=fields.cut),)


def read_counts(row: Row, fields: Fields, privacy: Privacy) -> Read:
    return (_counted(read_row(row, fields, privacy)),)


def _counted(capture: Capture) -> Capture:
    """Take it as the event that decides; one that was cut may lack what bodies can still tell."""
    decides = capture.message_id is not None and not capture.truncated
    return msgspec.structs.replace(capture, has_sides=decides)


def _side(capture: Capture, body: Body, data: str, *, cut: bool) -> Capture:
    piece = Piece(
        kind="side",
        body=body,
        bodies=BODIES,
        data=data.encode("utf-8", "replace"),
        awaits_usage=capture.source_format == "F9",
        frame=(b"{", b"}"),
        cut=cut,
    )
    return msgspec.structs.replace(capture, kind="part", usage=None, piece=piece, estimate_notes=ABRIDGED)


def _member(name: str, value: object) -> str:
    """Return the member of a body. The policies write JSON into a text; a prompt may be plain text, too."""
    if value is None:
        return '"input":null'
    if not isinstance(value, str):
        return f'"{name}":{json.dumps(value)}'
    is_json = name == "messages" or value.lstrip()[:1] == "["
    return f'"{name}":{value if is_json else json.dumps(value)}'


def _answer(capture: Capture, fields: Fields) -> str:
    word = "text_completion" if capture.facts.operation == "completions" else "chat.completion"
    head = {"object": word, **({"model": capture.facts.model} if capture.facts.model else {})}
    choices = fields.raw("choices")
    text = choices if isinstance(choices, str) else json.dumps(choices)
    return f'{json.dumps(head)[1:-1]},"choices":{text}'


_COUNTS = {"prompt": ("prompt_tokens",), "completion": ("completion_tokens",), "total": ("total_tokens",)}
_F9 = {"occurred_at": ("event-time",), "app_id": ("appid",)}

REQUEST = Row(
    name="F9",
    title="Split events, the request",
    needs=frozenset({"message-id", "operationname"}),
    when_cut=frozenset({"message-id", "operationname"}),
    facts={**_F9, "operation": ("operationname",), "account": ("backend",), "backend": ("backend",)},
    message_id=("message-id",),
    read=read_request,
    yields=("request body",),
)
RESPONSE = Row(
    name="F9",
    title="Split events, the response",
    needs=frozenset({"message-id", "choices"}),
    when_cut=frozenset({"message-id", "response-time"}),
    facts={
        **_F9,
        "operation": ("operation",),
        "model": ("model",),
        "account": ("backend",),
        "backend": ("backend",),
    },
    message_id=("message-id",),
    streamed=False,
    read=read_response,
    yields=("response body",),
)
COUNTED = Row(
    name="F9",
    title="Split events, the counts",
    needs=frozenset({"message-id"}),
    one_of=(frozenset({"prompt_tokens", "completion_tokens", "total_tokens"}),),
    when_cut=frozenset({"message-id", "modeltime"}),
    facts={**_F9, "operation": ("operation",), "model": ("model",)},
    message_id=("message-id",),
    counts=_COUNTS,
    streamed=False,
    read=read_counts,
)

_F10 = {
    "occurred_at": ("event-time",),
    "operation": ("operation",),
    "model": ("model",),
    "account": ("backend",),
    "backend": ("backend",),
    "product": ("productid",),
}
PAIR_REQUEST = Row(
    name="F10",
    title="Request and response events, the request",
    needs=frozenset({"event-type", "message-id"}),
    says={"event-type": ("request",)},
    when_cut=frozenset({"event-type", "message-id"}),
    facts=_F10,
    message_id=("message-id",),
    read=read_request,
    yields=("request body",),
)
PAIR_RESPONSE = Row(
    name="F10",
    title="Request and response events, the response",
    needs=frozenset({"event-type", "message-id"}),
    says={"event-type": ("response",)},
    when_cut=frozenset({"event-type", "message-id"}),
    facts=_F10,
    message_id=("message-id",),
    counts=_COUNTS,
    streamed=False,
    read=read_response,
    yields=("response body",),
)
