"""Lines of a batch's output file: each is the answer to one call of the batch.

They come as events of their own (a replayed file), or all in one captured body (somebody fetched the file
through the gateway). The line's own id names the call, so a file fetched twice is billed once.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from chargeback.capture import Capture
from chargeback.errors import RejectError
from chargeback.facts import Facts, merge
from chargeback.formats.fields import Fields
from chargeback.formats.row import Read, Row
from chargeback.privacy import Privacy
from chargeback.salvage import Decoded, decode
from chargeback.strangers import as_count, as_object

_ID = "batch_req_"


def read(row: Row, fields: Fields, privacy: Privacy) -> Read:
    del privacy  # a line holds no secret member
    return (_capture(row.name, fields, Facts()),)


def is_output(body: Any) -> bool:
    """Tell whether a captured body is such a file."""
    return isinstance(body, str) and _ID in body[:64] and body.lstrip()[:1] == "{"


def split(capture: Capture) -> Read:
    """Return the calls of a captured file, who fetched it from the event that carried it."""
    carrier = msgspec.structs.replace(
        capture.facts, request_id=None, deployment=None, http_status=None, streamed=None
    )
    lines = [line for line in str(capture.response).splitlines() if line.strip()]
    return tuple(_line(line, carrier, capture.source_format) for line in lines)


def _line(line: str, carrier: Facts, source_format: str) -> Capture | RejectError:
    try:
        return _capture(source_format, Fields(decode(line)), carrier)
    except RejectError as error:
        return error


def _capture(source_format: str, fields: Fields, carrier: Facts) -> Capture:
    answer = Fields(Decoded(dict(fields.mapping("response") or as_object(fields.raw("response")) or {})))
    body = answer.raw("body")
    facts = Facts(
        occurred_at=_made_at(body),
        operation="batch",
        http_status=answer.count("status_code"),
        response_id=fields.text("id"),
        streamed=False,
    )
    return Capture(
        source_format=source_format,
        facts=merge(facts, carrier),
        response=Decoded(body, fields.open_path[2:], cut=True) if fields.open == "response" else body,
        # A line without an answer was never processed: the batch was cancelled or expired before.
        effect="call" if body is not None or fields.cut else "free",
        truncated=fields.cut,
        cut_body="response" if fields.open == "response" else None,
    )


def _made_at(body: Any) -> datetime | None:
    made = as_object(body) or {}
    second = as_count(made.get("created")) or as_count(made.get("created_at"))
    return datetime.fromtimestamp(second, UTC) if second and second < 4_102_444_800 else None


BATCH_OUTPUT = Row(
    name="batch",
    title="Lines of a batch's output file",
    needs=frozenset({"custom_id", "response", "id"}),
    when_cut=frozenset({"custom_id", "id"}),
    read=read,
    yields=("occurred_at", "operation", "http_status", "response_id", "response body"),
)
