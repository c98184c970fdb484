"""The formats that a row, or a row and a few lines, can say: F3, F6, F8, F11, F12, F13, F14, F16 and F17."""

from typing import Any

import msgspec

from chargeback.capture import Capture
from chargeback.facts import Facts
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row, read_row
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded
from chargeback.strangers import as_objects

HISTORICAL = Row(
    name="F3",
    title="Counts and the answer's text, the oldest published chargeback policy",
    needs=frozenset({"event-time", "completion_text"}),
    when_cut=frozenset({"event-time", "id"}),
    facts={
        "occurred_at": ("event-time",),
        "operation": ("operation",),
        "model": ("model",),
        "response_id": ("id",),
    },
    counts={"prompt": ("prompt_tokens",), "completion": ("completion_tokens",), "total": ("total_tokens",)},
    streamed=False,
)

BY_APP_AND_KEY = Row(
    name="F6",
    title="Token counts by app and subscription key",
    needs=frozenset({"appsubscriptionkey", "responsetokens"}),
    when_cut=frozenset({"timestamp", "appid", "appsubscriptionkey"}),
    facts={"occurred_at": ("timestamp",), "app_id": ("appid",)},
    key=("appsubscriptionkey",),
    counts={"prompt": ("prompttokens",), "completion": ("responsetokens",), "total": ("totaltokens",)},
    streamed=False,
)

TOTAL_ONLY = Row(
    name="F8",
    title="Total tokens by subscription",
    needs=frozenset({"type", "totaltokens"}),
    when_cut=frozenset({"type", "eventtime", "requestid"}),
    says={"type": ("message",)},
    facts={
        "occurred_at": ("eventtime",),
        "subscription_id": ("subscriptionid",),
        "client_ip": ("requestip",),
        "request_id": ("requestid",),
    },
    title_of=("operationname",),
    counts={"total": ("totaltokens",)},
)

BODIES_AND_URL = Row(
    name="F11",
    title="Request as object, response as text, with the backend's URL",
    needs=frozenset({"requestid"}),
    one_of=(frozenset({"requestbody", "responsebody"}),),
    when_cut=frozenset({"eventtime", "servicename", "requestid"}),
    facts={
        "occurred_at": ("eventtime",),
        "request_id": ("requestid",),
        "client_ip": ("requestip",),
        "region": ("region",),
        "streamed": ("streaming",),
    },
    url=("backendurl",),
    title_of=("operationname",),
    request=("requestbody",),
    response=("responsebody",),
)

_WRAPPED = {
    "occurred_at": ("eventtime",),
    "request_id": ("requestid",),
    "client_ip": ("requestip",),
}


def read_records(row: Row, fields: Fields, privacy: Privacy) -> Read:
    """One call a record. The last record of a cut event is the one the cut is in."""
    records = as_objects(fields.raw("records"))
    if not records:
        return (Capture(source_format=row.name, kind="ignored", facts=Facts(), reason="no_records"),)
    open_path = fields.open_path[2:] if fields.open == "records" else ()
    last = len(records) - 1
    return tuple(
        read_row(
            row,
            Fields(Decoded(record, open_path, cut=True) if fields.cut and place == last else Decoded(record)),
            privacy,
        )
        for place, record in enumerate(records)
    )


WRAPPED = Row(
    name="F12",
    title="Answers wrapped into `records`",
    needs=frozenset({"records"}),
    in_records=frozenset({"requestid", "response"}),
    facts=_WRAPPED,
    title_of=("operationname",),
    request=("request",),
    response=("response",),
    read=read_records,
    experimental="how many records there are, and whether answers that were not streamed look the same",
)


def read_proxy_answer(row: Row, fields: Fields, privacy: Privacy) -> Read:
    """F13 and F14 keep the messages of the request and the text of the first choice."""
    capture = read_row(row, fields, privacy)
    streamed = True if fields.starts("type", ("stream",)) else None
    facts = capture.facts if streamed is None else msgspec.structs.replace(capture.facts, streamed=True)
    return (
        msgspec.structs.replace(
            capture,
            facts=facts,
            request=_messages(capture.request),
            response=_text_answer(capture.response, facts.model, cut=capture.cut_body == "response"),
        ),
    )


def _messages(value: Any) -> Any:
    if isinstance(value, str):  # JSON in a text, read only if it has to be counted
        return f'{{"messages":{value}}}'
    messages = value.value if isinstance(value, Decoded) else value
    return None if messages is None else {"messages": messages}


def _text_answer(text: Any, model: str | None, *, cut: bool) -> Any:
    if not isinstance(text, str):
        return None
    end = None if cut else "stop"
    choice = {"index": 0, "finish_reason": end, "message": {"role": "assistant", "content": text}}
    return {"object": "chat.completion", "choices": [choice], **({"model": model} if model else {})}


STREAM_PRODUCER = Row(
    name="F13",
    title="Answers of an SSE proxy with the messages",
    needs=frozenset({"type"}),
    says={"type": ("completion", "stream_completion")},
    facts={"occurred_at": ("timestamp",), "model": ("model",), "region": ("region",)},
    usage=("usage",),
    request=("prompt",),
    response=("content",),
    estimate_notes=("request_abridged",),
    read=read_proxy_answer,
)

LOG_PROXY = Row(
    name="F14",
    title="Counts and text of a proxy that reads access logs",
    needs=frozenset({"type"}),
    says={"type": ("openai-logger",)},
    when_cut=frozenset({"message_guid"}),
    facts={"deployment": ("model",), "client_ip": ("client_ip",)},
    message_id=("message_guid",),
    counts={"prompt": ("prompt_tokens",), "completion": ("completion_tokens",), "total": ("total_tokens",)},
    request=("prompt",),
    response=("completion",),
    estimate_notes=("request_abridged",),
    read=read_proxy_answer,
)


def read_proxy_event(row: Row, fields: Fields, privacy: Privacy) -> Read:
    """F16 writes an event for everything it does; one type is a call, and its retries must not be billed.

    Three counts of 0 are what the proxy writes when it found no usage.
    """
    capture = read_row(row, fields, privacy)
    if not fields.starts("type", ("s7p-proxyrequest",)):
        ignored = Capture(source_format=row.name, kind="ignored", facts=capture.facts, reason="not_a_call")
        return (ignored,)
    usage = capture.usage
    found = usage is not None and any((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens))
    # The proxy's own number starts anew with the proxy; with the moment it names one call.
    moment = capture.facts.occurred_at
    name = capture.message_id and f"{capture.message_id}@{moment.isoformat() if moment else ''}"
    return (msgspec.structs.replace(capture, usage=usage if found else None, message_id=name),)


PROXY_EVENTS = Row(
    name="F16",
    title="Events of a load-balancing proxy",
    says={"type": ("s7p-",)},
    prefix="usage.",
    facts={
        "occurred_at": ("enqueuetime",),
        "model": ("usage.model",),
        "account": ("backend-host",),
        "backend": ("backend-host",),
        "http_status": ("status",),
        "response_id": ("usage.id",),
    },
    url=("url",),
    method=("method",),
    message_id=("mid",),
    counts={
        "prompt": ("usage.prompt_tokens", "usage.input_tokens"),
        "completion": ("usage.completion_tokens", "usage.output_tokens"),
        "total": ("usage.total_tokens",),
        "cached": ("usage.prompt_tokens_details.cached_tokens", "usage.input_tokens_details.cached_tokens"),
        "reasoning": (
            "usage.completion_tokens_details.reasoning_tokens",
            "usage.output_tokens_details.reasoning_tokens",
        ),
    },
    read=read_proxy_event,
)

POSTED = Row(
    name="F17",
    title="Bodies posted by a gateway with the caller's claims",
    needs=frozenset({"responsebody"}),
    one_of=(frozenset({"clientappid", "tenantid", "deploymentid"}),),
    when_cut=frozenset({"clientappid", "requestbody"}),
    facts={
        "tenant_id": ("tenantid",),
        "app_id": ("clientappid",),
        "subscription_id": ("subscriptionid",),
        "deployment": ("deploymentid",),
    },
    request=("requestbody",),
    response=("responsebody",),
)
