"""F15: API Management's own diagnostic log, several records a call, many calls an event.

GatewayLogs      who and where (subscription, backend, status): an ``identity``, like the one of our own policy
GatewayLlmLogs   a record with the counts: the call, counted by the gateway
                 records with text in numbered chunks: used only where no record of the call has counts
metrics          not about calls: ignored

Records of one call may stand in several events and partitions: readers put the rows together by the
correlation id, which is the same kind of id as the RequestId in our own events. What stands in one event is
put together here already, so that prices and payers that hang on the subscription are known at once.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chargeback.capture import Body, Capture, Piece
from chargeback.errors import RejectError
from chargeback.facts import Facts, merge
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row, read_facts, read_usage
from chargeback.operations import effect
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded
from chargeback.strangers import as_object, as_objects

# Only eight names of this log are verified (docs/formats/F15.md); the others are accepted as documented for
# the log's columns. Members of a record and of its `properties` are read as one.
_LLM = frozenset(
    {
        "prompttokens",
        "completiontokens",
        "totaltokens",
        "modelname",
        "requestmessages",
        "responsemessages",
        "isstreamcompletion",
    }
)
_TEXTS: tuple[tuple[Body, str, tuple[bytes, bytes]], ...] = (
    ("request", "requestmessages", (b'{"messages":', b"}")),
    ("response", "responsemessages", (b'{"object":"chat.completion","choices":', b"}")),
)


def read(row: Row, fields: Fields, privacy: Privacy) -> Read:
    captures = tuple(_captures(row, fields, privacy))
    who = _who(captures)
    known = tuple(_known(capture, who) for capture in captures)
    if fields.cut:
        return (*known, RejectError("cut_record", "the event was cut; its last record is not whole"))
    return known or (_ignored(row, "no_records"),)


def _captures(row: Row, fields: Fields, privacy: Privacy) -> Iterator[Capture]:
    """Yield what the records say. In a cut event the last record is not whole, and says nothing."""
    records = as_objects(fields.raw("records"))
    for record in records[:-1] if fields.open == "records" else records:
        merged = Fields(Decoded({**record, **_properties(record)}))
        yield from _of_record(row, merged, privacy)


def _of_record(row: Row, record: Fields, privacy: Privacy) -> Iterator[Capture]:
    facts = read_facts(row, record, privacy)
    if facts.request_id is None:
        yield _ignored(row, "no_call")
        return
    if not (record.names & _LLM):
        yield Capture(source_format=row.name, kind="identity", facts=facts)
        return
    usage = read_usage(row, record, facts)
    if usage is not None and any((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)):
        counted = msgspec.structs.replace(usage, source="gateway")
        yield Capture(
            source_format=row.name,
            facts=facts,
            usage=counted,
            has_sides=True,
            effect=effect(record.text("operationid", "url")),
        )
        return
    pieces = list(_pieces(record))
    spoken = msgspec.structs.replace(facts, operation=facts.operation or "chat")
    for piece in pieces:
        yield Capture(source_format=row.name, kind="part", facts=spoken, piece=piece)
    if not pieces:
        yield Capture(source_format=row.name, kind="identity", facts=facts)


def _ignored(row: Row, reason: str) -> Capture:
    return Capture(source_format=row.name, kind="ignored", facts=Facts(), reason=reason)


def _pieces(record: Fields) -> Iterator[Piece]:
    for body, name, frame in _TEXTS:
        value = record.raw(name)
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        yield Piece(
            kind="chunk",
            body=body,
            bodies=("request", "response"),
            number=record.count("sequencenumber") or 0,
            of=None,
            data=text.encode("utf-8", "replace"),
            awaits_usage=True,
            frame=frame,
        )


def _properties(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record's ``properties``; some exporters write them as JSON text."""
    value = next((member for name, member in record.items() if name.lower() == "properties"), None)
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return {}
    return as_object(value) or {}


def _who(captures: tuple[Capture, ...]) -> dict[str, Facts]:
    """Return what the event's gateway records say of each call."""
    return {
        capture.facts.request_id: capture.facts
        for capture in captures
        if capture.kind == "identity" and capture.facts.request_id
    }


def _known(capture: Capture, who: dict[str, Facts]) -> Capture:
    if capture.kind not in ("call", "part"):
        return capture
    told = who.get(capture.facts.request_id or "")
    return msgspec.structs.replace(capture, facts=merge(capture.facts, told)) if told else capture


GATEWAY_LOG = Row(
    name="F15",
    title="API Management's diagnostic log (GatewayLogs, GatewayLlmLogs)",
    needs=frozenset({"records"}),
    in_records=frozenset({"properties", "correlationid", "category", "metricname"}),
    facts={
        "occurred_at": ("time",),
        "subscription_id": ("apimsubscriptionid",),
        "product": ("productid",),
        "client_ip": ("calleripaddress",),
        "deployment": ("deploymentname",),
        "model": ("modelname",),
        "operation": ("operationid",),
        "api_version": ("apiversion",),
        "backend": ("backendid",),
        "account": ("backendurl",),
        "http_status": ("responsecode",),
        "request_id": ("correlationid",),
    },
    url=("backendurl", "url"),
    counts={"prompt": ("prompttokens",), "completion": ("completiontokens",), "total": ("totaltokens",)},
    read=read,
    yields=("request body", "response body"),
    experimental="every member but `time`, `correlationId` and the eight that are named on its page",
)
